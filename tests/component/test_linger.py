"""The rest of a body whose request is answered: what a client may hold with it, and what it costs others.

That the answer arrives, whatever the client, is in test_clients.py.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest

from gateway import linger
from tests.component.test_http import head
from tests.servers import INSTANCE_EACH, Server, serving

WRONG = "authorization: Bearer wrong"
NDJSON = "content-type: application/x-ndjson"


@pytest.fixture(scope="module")
def closed(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A gateway that lets in nobody without its token."""
    with serving(
        host, tmp_path_factory.mktemp(host), write_token="right", anonymous="none", max_body_bytes="1000"
    ) as server:
        yield server


def refused(server: Server, *headers: str) -> socket.socket:
    """A connection on which a stranger has been answered and has begun to send a body."""
    connection = socket.create_connection(("127.0.0.1", server.port), 30)
    connection.sendall(head("POST", "/v1/default/set-many", *headers) + b"some of it")
    assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")
    return connection


def is_served(server: Server) -> bool:
    answer = httpx.get(
        f"{server.url}/v1/default", params={"key": "a"}, headers={"authorization": "Bearer right"}
    )
    return answer.status_code == 200


def test_strangers_who_fall_silent_hold_nobody_and_are_closed(closed: Server) -> None:
    with ExitStack() as held:
        silent = [
            held.enter_context(refused(closed, WRONG, NDJSON, "content-length: 1000000"))
            for _ in range(3 * linger.STRANGERS_AT_ONCE)
        ]
        for _ in range(300):
            assert is_served(closed)
        # Spin closes with the instance, which it lets go of a second after its last request.
        start = time.monotonic()
        for connection in silent:
            with suppress(ConnectionError):
                while connection.recv(65_536):
                    pass
        assert time.monotonic() - start < linger.STRANGERS.silence + 8


def test_strangers_who_drip_take_nothing_from_callers(closed: Server) -> None:
    """300 of them, each with a byte a second, once took all instances that Spin makes of a component."""
    with ExitStack() as held:
        dripping = [
            held.enter_context(refused(closed, WRONG, NDJSON, "content-length: 1000000")) for _ in range(300)
        ]
        for _ in range(5):
            for connection in dripping:
                with suppress(OSError):
                    connection.sendall(b"x")
            start = time.monotonic()
            while time.monotonic() - start < 1:
                assert is_served(closed)


def test_strangers_who_fall_silent_cost_no_later_one_its_answer(closed: Server) -> None:
    """A later one sends everything before it reads, as Python's urllib does."""
    if closed.name in INSTANCE_EACH:
        pytest.skip("this host makes an instance for each request, and reads on for nobody without a token")
    with ExitStack() as held:
        for _ in range(20):
            held.enter_context(refused(closed, WRONG, NDJSON, "content-length: 1000000"))
        end = time.monotonic() + linger.STRANGERS.silence + 1
        while time.monotonic() < end:  # the instance lives on, and leaves their reads behind
            assert is_served(closed)
        for _ in range(20):
            held.enter_context(refused(closed, WRONG, NDJSON, "content-length: 1000000"))
        for _ in range(5):
            with socket.create_connection(("127.0.0.1", closed.port), 30) as connection:
                request = head("POST", "/v1/default/set-many", WRONG, NDJSON, "content-length: 20000000")
                connection.sendall(request + bytes(20_000_000))
                assert connection.recv(65_536).startswith(b"HTTP/1.1 401 ")


def test_a_stranger_who_sends_on_is_closed_in_time(closed: Server) -> None:
    with refused(closed, WRONG, NDJSON, "transfer-encoding: chunked") as connection:
        start = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - start < 30:
                connection.sendall(b"1\r\nx\r\n")
                time.sleep(0.1)
        assert time.monotonic() - start < linger.STRANGERS.seconds + 2


@pytest.mark.parametrize("length", ["content-length: 1000000000000", "transfer-encoding: chunked"])
def test_a_stranger_who_sends_a_lot_is_closed(closed: Server, length: str) -> None:
    with refused(closed, WRONG, NDJSON, length) as connection:
        connection.settimeout(30)
        chunk = b"10000\r\n%s\r\n" % bytes(65_536)
        sent = 0
        with suppress(ConnectionError):
            while sent < 3 * linger.STRANGERS.bytes:
                connection.sendall(chunk)
                sent += len(chunk)
        # What is in the buffers of the two sockets is neither thrown away nor known to be lost.
        assert sent < linger.STRANGERS.bytes + 32 * linger.MIB


def test_others_are_answered_while_bodies_are_thrown_away(closed: Server) -> None:
    end = time.monotonic() + 3

    def send() -> None:
        while time.monotonic() < end:
            with (
                refused(closed, WRONG, NDJSON, "content-length: 100000000") as connection,
                suppress(OSError),
            ):
                connection.sendall(bytes(100_000_000))

    threads = [threading.Thread(target=send) for _ in range(4)]
    for thread in threads:
        thread.start()
    slowest = 0.0
    while time.monotonic() < end:
        start = time.monotonic()
        assert is_served(closed)
        slowest = max(slowest, time.monotonic() - start)
    for thread in threads:
        thread.join()
    assert slowest < 3  # an instance or a loop that is held waits for `linger.STRANGERS.seconds`


def test_who_waits_for_100_continue_is_answered_and_closed(closed: Server) -> None:
    """Its next request must not be taken for the body that it never sent (RFC 9110 section 10.1.1)."""
    request = head("POST", "/v1/default/set-many", WRONG, NDJSON, "content-length: 9", "expect: 100-continue")
    with socket.create_connection(("127.0.0.1", closed.port), 20) as connection:
        connection.sendall(request)
        start = time.monotonic()
        answer = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 401 ")
    assert time.monotonic() - start < 1


def test_a_connection_goes_on_behind_a_body_that_was_read_to_its_end(closed: Server) -> None:
    with httpx.Client(base_url=closed.url) as client:
        for _ in range(5):
            answer = client.post(
                "/v1/default/set-many", content=bytes(300_000), headers={"authorization": "no"}
            )
            assert answer.status_code == 401
            assert is_served(closed)
