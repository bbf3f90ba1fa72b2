"""The embedded host's ASGI application behind a real server, with functions in place of the component."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
import uvicorn
from wasmtime import WasmtimeError

from embedded import server
from embedded.imports import ClientGone
from embedded.protocol import Protocol
from embedded.server import Application, AsgiExchange
from gateway import linger

Answer = Callable[[AsgiExchange], None]


class FakeComponent:
    """A component whose instances call the function that the target names."""

    def __init__(self, **answers: Answer) -> None:
        self.answers = answers

    @contextmanager
    def instance(self) -> Iterator[FakeComponent]:
        yield self

    def handle(
        self, method: str, target: str, headers: list[tuple[str, bytes]], exchange: AsgiExchange
    ) -> None:
        self.answers[target.strip("/")](exchange)


@contextmanager
def served(log_level: str = "critical", **answers: Answer) -> Iterator[int]:
    """Serves the functions, and yields the port."""
    application = Application(FakeComponent(**answers))  # type: ignore[arg-type]
    config = uvicorn.Config(application, http=Protocol, lifespan="off", log_level=log_level)
    serving = uvicorn.Server(config)
    listener = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=serving.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        serving.should_exit = True
        thread.join()


def sent(port: int, request: bytes) -> bytes:
    """Sends a request. Returns everything that the server answers until it closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(request)
        return b"".join(iter(lambda: connection.recv(65_536), b""))


def head(method: str, target: str, *headers: str) -> bytes:
    return "\r\n".join([f"{method} /{target} HTTP/1.1", "host: x", *headers, "", ""]).encode()


def ok(exchange: AsgiExchange) -> None:
    exchange.respond(200, [("content-length", "2")], False)
    exchange.write(b"ok")


def until_gone(heard: threading.Event) -> Answer:
    """A function that writes until the client is gone, then sets the event."""

    def endless(exchange: AsgiExchange) -> None:
        exchange.respond(200, [], False)
        end = time.monotonic() + 20
        while exchange.write(bytes(65_536)) and time.monotonic() < end:
            pass
        if exchange.gone:
            heard.set()

    return endless


def wait_for(happened: threading.Event) -> None:
    assert happened.wait(10)


def test_what_writes_on_hears_that_the_client_is_gone() -> None:
    heard = threading.Event()

    with served(endless=until_gone(heard)) as port:
        for request in (head("GET", "endless"), head("POST", "endless", "content-length: 4") + b"body"):
            heard.clear()
            with socket.create_connection(("127.0.0.1", port)) as connection:
                connection.sendall(request)
                connection.recv(1_000)
            wait_for(heard)


def test_who_sends_or_takes_nothing_for_long_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SILENCE", 0.3)
    heard = threading.Event()

    def read_all(exchange: AsgiExchange) -> None:
        try:
            while exchange.read():
                pass
        except ClientGone:
            ok(exchange)

    with served(read_all=read_all, endless=until_gone(heard)) as port:
        start = time.monotonic()
        answer = sent(port, head("POST", "read_all", "content-length: 9") + b"part")
        assert time.monotonic() - start < 10
        assert answer.endswith(b"ok")
        assert b"connection: close" in answer
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head("GET", "endless"))
            wait_for(heard)
            connection.settimeout(10)
            while connection.recv(1 << 20):
                pass


def test_a_body_that_comes_slowly_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SILENCE", 0.5)

    def read_all(exchange: AsgiExchange) -> None:
        while exchange.read():
            pass
        ok(exchange)

    with served(read_all=read_all) as port, socket.create_connection(("127.0.0.1", port), 10) as connection:
        connection.sendall(head("POST", "read_all", "content-length: 8", "connection: close"))
        for _ in range(8):
            time.sleep(0.1)
            connection.sendall(b"x")
        assert b"".join(iter(lambda: connection.recv(65_536), b"")).endswith(b"ok")


def test_a_body_is_whole_whether_it_is_read_before_the_answer_or_in_between() -> None:
    def echo(exchange: AsgiExchange) -> None:
        exchange.respond(200, [("connection", "close")], False)
        while chunk := exchange.read():
            exchange.write(chunk)

    def late(exchange: AsgiExchange) -> None:
        exchange.respond(200, [("connection", "close")], False)
        for _ in range(5):
            exchange.write(b"-")
            time.sleep(0.02)
        while chunk := exchange.read():
            exchange.write(chunk)

    body = bytes(range(256)) * 4_000
    with served(echo=echo, late=late) as port:
        for target, before in (("echo", b""), ("late", b"-----")):
            head_ = head("POST", target, f"content-length: {len(body)}").replace(b"1.1", b"1.0")
            assert sent(port, head_ + body).partition(b"\r\n\r\n")[2] == before + body


def test_a_client_that_breaks_off_is_told_at_each_read() -> None:
    told: list[str] = []
    done = threading.Event()

    def read_all(exchange: AsgiExchange) -> None:
        while exchange.read():
            pass

    def read(exchange: AsgiExchange) -> None:
        for _ in range(2):
            with pytest.raises(ClientGone) as caught:
                read_all(exchange)
            told.append(str(caught.value))
        done.set()

    with served(read=read) as port:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head("POST", "read", "content-length: 10") + b"half")
            time.sleep(0.1)
        wait_for(done)
    assert told == ["the client did not send the whole body"] * 2


def test_what_does_not_answer_is_a_problem_whose_id_the_log_has(capfd: pytest.CaptureFixture[str]) -> None:
    def trap(exchange: AsgiExchange) -> None:
        raise WasmtimeError("a trap")

    with served(trap=trap, silent=lambda exchange: None, ok=ok) as port:
        for target in ("trap", "silent"):
            top, _, body = sent(port, head("GET", target, "connection: close")).partition(b"\r\n\r\n")
            problem = json.loads(body)
            assert top.startswith(b"HTTP/1.1 500 ")
            assert (problem["type"], problem["status"]) == ("/problems/internal-error", 500)
            *traceback, line = capfd.readouterr().err.splitlines()
            assert traceback[0].startswith("Traceback")
            logged = json.loads(line)
            assert (logged["request_id"], logged["status"]) == (problem["request_id"], 500)
        assert sent(port, head("GET", "ok", "connection: close")).endswith(b"ok")


@pytest.mark.parametrize("error", [ValueError, WasmtimeError, KeyboardInterrupt])
def test_a_request_is_over_whatever_it_raised(error: type[BaseException]) -> None:
    def fails(exchange: AsgiExchange) -> None:
        raise error("a defect")

    async def nothing(*_: object) -> Any:
        return {"type": "http.disconnect"}

    application = Application(FakeComponent(fails=fails))  # type: ignore[arg-type]
    scope = {"type": "http", "method": "GET", "raw_path": b"/fails", "query_string": b"", "headers": []}
    with suppress(error):
        asyncio.run(application(scope, nothing, nothing))
    assert application.answering == 0


def test_half_an_answer_does_not_look_whole() -> None:
    def half(exchange: AsgiExchange) -> None:
        exchange.respond(200, [], False)
        exchange.write(b"half")
        raise WasmtimeError("a trap")

    with served(half=half) as port:
        assert sent(port, head("GET", "half")).endswith(b"4\r\nhalf\r\n")


def test_a_body_that_was_never_asked_for_ends_the_connection() -> None:
    """Otherwise the next request on the connection would be mistaken for that body."""
    request = head("POST", "ok", "content-length: 5", "expect: 100-continue")
    with served(ok=ok) as port:
        answer = sent(port, request)
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b"connection: close" in answer.lower()


def test_nothing_is_read_behind_a_request_with_a_length_and_chunks_both() -> None:
    """It is unknown which of the two a proxy used: the following bytes may be a body to the proxy."""
    asked: list[str] = []

    def hidden(exchange: AsgiExchange) -> None:
        asked.append("hidden")

    def read(exchange: AsgiExchange) -> None:
        while exchange.read():
            pass
        ok(exchange)

    smuggled = head("POST", "read", "content-length: 5", "transfer-encoding: chunked") + b"0\r\n\r\n"
    with served(read=read, hidden=hidden) as port:
        answer = sent(port, smuggled + head("GET", "hidden"))
    assert answer.count(b"HTTP/1.1 ") == 1
    assert asked == []


def test_a_client_that_has_closed_its_half_is_closed_when_it_is_answered() -> None:
    def late(exchange: AsgiExchange) -> None:
        time.sleep(0.2)
        ok(exchange)

    with served(late=late) as port:
        start = time.monotonic()
        with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
            connection.sendall(head("GET", "late"))
            connection.shutdown(socket.SHUT_WR)
            told = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert told.endswith(b"ok")
    assert time.monotonic() - start < 3  # a keep-alive connection is closed after five seconds


# Answers before the end of the request


def problem(exchange: AsgiExchange) -> None:
    exchange.respond(400, [("content-length", "2")], True)
    exchange.write(b"no")


def refusal(exchange: AsgiExchange) -> None:
    exchange.respond(401, [("content-length", "2")], False)
    exchange.write(b"no")


def closed_after(connection: socket.socket) -> float:
    """Seconds until the server has closed a connection on which it has answered."""
    start = time.monotonic()
    connection.settimeout(20)
    with suppress(ConnectionError):
        while True:
            connection.sendall(b"x")
            time.sleep(0.05)
    return time.monotonic() - start


@pytest.mark.parametrize("length", ["content-length: 20000000", "transfer-encoding: chunked"])
def test_a_client_that_reads_only_when_it_has_sent_everything_has_its_answer(length: str) -> None:
    body = bytes(20_000_000)
    if "chunked" in length:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    with served(problem=problem) as port:
        start = time.monotonic()
        answer = sent(port, head("POST", "problem", length) + body)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.endswith(b"no")
    assert time.monotonic() - start < 2  # it need not wait for the limits


def test_the_answer_is_not_held_back_while_the_rest_is_read() -> None:
    with served(problem=problem) as port, socket.create_connection(("127.0.0.1", port), 5) as connection:
        connection.sendall(head("POST", "problem", "content-length: 9") + b"part")
        # This reads to the end of the stream: the server has closed its half, the client has not.
        assert b"".join(iter(lambda: connection.recv(65_536), b"")).endswith(b"no")


@pytest.mark.parametrize(
    ("limits", "shortest", "longest"),
    [
        (linger.Limits(1_000_000, 0.5, 20), 0.3, 3),
        (linger.Limits(5, 20, 20), 0, 1),
    ],
    ids=["seconds", "bytes"],
)
def test_what_is_thrown_away_is_limited(
    limits: linger.Limits, shortest: float, longest: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(linger, "STRANGERS", limits)
    with served(refusal=refusal, problem=problem) as port:
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head("POST", "refusal", "content-length: 1000000000"))
            assert shortest <= closed_after(connection) < longest
        # A caller who was let in has the other limits.
        with socket.create_connection(("127.0.0.1", port)) as connection:
            connection.sendall(head("POST", "problem", "content-length: 100000") + bytes(1_000))
            for _ in range(30):
                connection.sendall(b"x")
                time.sleep(0.02)


def test_who_falls_silent_after_the_answer_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linger, "CALLERS", linger.Limits(1_000_000, 20, 0.3))
    with served(problem=problem) as port, socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(head("POST", "problem", "content-length: 1000000"))
        for _ in range(10):
            time.sleep(0.1)
            connection.sendall(b"x")  # not silent yet
        time.sleep(0.8)
        assert closed_after(connection) < 0.3


def test_what_follows_a_body_is_not_taken_for_it() -> None:
    asked: list[str] = []

    def hidden(exchange: AsgiExchange) -> None:
        asked.append("hidden")

    with served(problem=problem, hidden=hidden) as port:
        answer = sent(port, head("POST", "problem", "content-length: 5") + b"12345" + head("GET", "hidden"))
    assert answer.endswith(b"no")
    assert asked == []


def test_an_upgrade_that_is_not_supported_is_no_line_in_the_log(capfd: pytest.CaptureFixture[str]) -> None:
    """Java's client asks for h2c with its first request."""
    with served("warning", ok=ok) as port:
        request = head(
            "GET", "ok", "connection: upgrade, http2-settings, close", "upgrade: h2c", "http2-settings: AA"
        )
        assert sent(port, request).endswith(b"ok")
    assert capfd.readouterr().err == ""
