"""A client that sends bytes unchanged, and reads the statuses of the answers."""

from __future__ import annotations

import re
import select
import socket
import time
from contextlib import suppress

import h11

from tests.servers import Server

ANSWER_TIMEOUT = 10.0
"""Seconds in which a server must start to answer, before the client closes its half of the connection."""


def whole(data: bytes) -> bool:
    """Whether these bytes have at least one complete request, which must be answered.

    If they are not HTTP, or are an incomplete request, no answer can be expected: the server may wait for
    more.
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
    """Sends these bytes, and reads the statuses of all answers until the server closes.

    The client closes its half of the connection after an incomplete request, or after the first bytes of an
    answer: a server may assume that a client that closes earlier is gone.

    Raises:
        ConnectionResetError: the server did not read all of a long request, and closed. Its answer was lost,
            as that of any server is then (RFC 9112 section 9.6).
    """
    told = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        try:
            connection.sendall(data)
            if not whole(data):
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before everything was sent: there may still be an answer
        try:
            if not select.select([connection], [], [], ANSWER_TIMEOUT)[0]:
                connection.shutdown(socket.SHUT_WR)  # the server waits for more, but there is no more
            while chunk := connection.recv(65_536):
                told += chunk
                with suppress(OSError):  # the server has already closed
                    connection.shutdown(socket.SHUT_WR)
        except ConnectionResetError:
            if not told and len(data) > 16_384:
                raise
    return [int(status) for status in re.findall(rb"(?:^|\n)HTTP/1\.[01] (\d{3}) ", told)]


def seconds_until_closed(server: Server, data: bytes) -> float:
    """Sends these bytes, and returns the seconds until the server has answered and closed the connection.

    A request that the server may take for an incomplete one ends with the sending half of the connection.
    """
    start = time.perf_counter()
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection, suppress(OSError):
        connection.sendall(data)
        told = b""
        while chunk := connection.recv(65_536):
            told = told or chunk
    return time.perf_counter() - start
