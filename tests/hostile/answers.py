"""A client that sends bytes as they are, and reads the statuses that come back."""

from __future__ import annotations

import re
import select
import socket
from contextlib import suppress

import h11

from tests.servers import Server

ANSWER_TIMEOUT = 10.0
"""Seconds that a server has to begin an answer, before our half of the connection is closed."""


def whole(data: bytes) -> bool:
    """Whether these bytes are a whole request, or more: then there must be an answer.

    Of what is no HTTP, or not yet a request, none can be expected: the server may wait for more.
    """
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=200_000)
    reader.receive_data(data)
    try:
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return False
    except h11.RemoteProtocolError:
        return False
    return True


def answers(server: Server, data: bytes) -> list[int]:
    """The statuses that are answered to these bytes, until the server closes.

    Our half of the connection is closed behind a request that is not whole, and behind the first of an
    answer: a server may take a client that closes it earlier for one that is gone.

    Raises:
        ConnectionResetError: the server would not have all of a long request, and closed; its answer was
            lost on the way, as that of any server is then (RFC 9112 section 9.6).
    """
    told = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        try:
            connection.sendall(data)
            if not whole(data):
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before it was all sent: the answer may still be there
        try:
            if not select.select([connection], [], [], ANSWER_TIMEOUT)[0]:
                connection.shutdown(socket.SHUT_WR)  # it waits for more: there is none
            while chunk := connection.recv(65_536):
                told += chunk
                with suppress(OSError):  # it has closed already
                    connection.shutdown(socket.SHUT_WR)
        except ConnectionResetError:
            if not told and len(data) > 16_384:
                raise
    return [int(status) for status in re.findall(rb"(?:^|\n)HTTP/1\.[01] (\d{3}) ", told)]
