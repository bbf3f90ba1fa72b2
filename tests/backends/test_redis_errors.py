"""What Spin passes on of each error of Redis, collected from a server that sends them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx
import pytest

from kv_batch.errors import StoreBusy
from tests.backends.behind_spin import spin_over
from tests.backends.engines import Engine
from tests.redis_errors import REDIS_ERRORS
from tests.servers import why_not


@contextmanager
def server_of_errors() -> Iterator[Engine]:
    """A server that speaks the protocol of Redis, and answers `GET n` with error number n."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, connection.makefile("rb") as stream:
            while line := stream.readline():
                words = []
                for _ in range(int(line[1:])):
                    words.append(stream.read(int(stream.readline()[1:])))
                    stream.read(2)
                match words[0].upper():
                    case b"GET":
                        connection.sendall(b"-%b\r\n" % REDIS_ERRORS[int(words[1])][0].encode())
                    case b"EXISTS":
                        connection.sendall(b":0\r\n")
                    case b"PING":
                        connection.sendall(b"+PONG\r\n")
                    case _:
                        connection.sendall(b"+OK\r\n")

    def accept() -> None:
        try:
            while True:
                threading.Thread(target=serve, args=(listening.accept()[0],), daemon=True).start()
        except OSError:  # closed
            return

    threading.Thread(target=accept, daemon=True).start()
    port = listening.getsockname()[1]
    try:
        yield Engine(f'[key_value_store.default]\ntype = "redis"\nurl = "redis://127.0.0.1:{port}"\n')
    finally:
        listening.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if missing := why_not("spin"):
        pytest.skip(missing)
    with ExitStack() as stack:
        engine = stack.enter_context(server_of_errors())
        yield spin_over(engine, tmp_path_factory.mktemp("errors"), stack, retry_seconds="0").url


@pytest.mark.parametrize("number", range(len(REDIS_ERRORS)), ids=[sent for sent, *_ in REDIS_ERRORS])
def test_an_error_of_redis_arrives_as_the_table_says(url: str, number: int) -> None:
    _, passed, error, advice = REDIS_ERRORS[number]
    answer = httpx.get(f"{url}/v1/default", params={"key": str(number)}, timeout=30)
    problem = answer.json()
    assert (answer.status_code, problem["type"]) == (
        (503, "/problems/store-busy") if error is StoreBusy else (502, "/problems/store-failed")
    )
    assert passed.rstrip(".") in problem["detail"]
    assert advice in problem["detail"]
