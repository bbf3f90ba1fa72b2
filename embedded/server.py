"""The component as an ASGI application: an instance answers each request, in a thread of its own.

The threads block, but the event loop does not. The loop receives the chunks of a request for its thread, and
a thread that sends waits until the loop has sent. There is no other backpressure.
"""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine, MutableMapping
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import Any, TypeVar

from wasmtime import WasmtimeError

from embedded.component import Component
from embedded.imports import ClientGone
from embedded.protocol import AUTHORIZED, HALF_CLOSED
from gateway.http import Response
from gateway.problems import answer
from gateway.record import Record

INSTANCES = 16
"""Requests that are answered at the same time, as many as in one instance of Spin. Others wait."""

SILENCE = 60.0
"""Timeout in seconds for a client to send the next bytes of a body or to receive the next chunk of an answer.
Without it a silent client would occupy one of the few instances for ever."""

Result = TypeVar("Result")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AsgiExchange:
    """The bodies of one request and of its answer, for the thread that answers it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, scope: Message, receive: Receive, send: Send) -> None:
        self._loop = loop
        self._scope = scope
        self._receive = receive
        self._send = send
        self._incoming: asyncio.Task[Message] | None = None
        self._ahead: Message | None = None
        fields = dict(scope["headers"])
        # It is unknown which of the two headers a proxy in between used, so nothing more is read from such a
        # connection (RFC 9112 section 6.1).
        self._ambiguous = b"transfer-encoding" in fields and b"content-length" in fields
        self._ended = b"transfer-encoding" not in fields and fields.get(b"content-length", b"0") == b"0"
        self._broken = False
        self.responded = False
        self.gone = False

    def read(self) -> bytes:
        while not self._ended:
            if self._broken:
                raise ClientGone("the client did not send the whole body")
            try:
                message = None if self.gone else self._on_loop(self._received())
            except TimeoutError:
                self._broken = True
                continue
            if message is None or message["type"] != "http.request":
                self.gone = True
                raise ClientGone("the client did not send the whole body")
            self._ended = not message.get("more_body", False)
            self._broken = not self._ended and HALF_CLOSED in self._scope
            if chunk := message.get("body", b""):
                return bytes(chunk)
        return b""

    def respond(self, status: int, headers: list[tuple[str, str]], authorized: bool) -> None:
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        if self._ambiguous or not self._ended:
            # The rest of the body is only read and discarded (embedded/protocol.py). A client that waits for
            # "100 Continue" may never send it, and its next request would be mistaken for the body (RFC 9110
            # section 10.1.1).
            fields.append((b"connection", b"close"))
        self.responded = True
        self._scope[AUTHORIZED] = authorized
        self._put({"type": "http.response.start", "status": status, "headers": fields})

    def write(self, chunk: bytes) -> bool:
        self._put({"type": "http.response.body", "body": chunk, "more_body": True})
        return not self.gone

    def end(self) -> None:
        """Ends the answer. Only then does the client know that it is complete."""
        self._put({"type": "http.response.body", "body": b"", "more_body": False})

    def _put(self, message: Message) -> None:
        if not self.gone:
            self._on_loop(self._sent(message))

    def _on_loop(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """Runs a coroutine on the loop and returns its result. If the host stops, `gone` is set instead."""
        try:
            return asyncio.run_coroutine_threadsafe(work, self._loop).result()
        except CancelledError:
            self.gone = True
        except RuntimeError:
            work.close()
            if not self._loop.is_closed():
                raise
            self.gone = True
        return None

    async def _received(self) -> Message:
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            return ahead
        incoming, self._incoming = self._incoming, None
        return await asyncio.wait_for(incoming or self._receive(), SILENCE)

    async def _sent(self, message: Message) -> None:
        try:
            await asyncio.wait_for(self._send(message), SILENCE)
        except TimeoutError:
            self.gone = True
            return
        if not message.get("more_body", True):
            return
        # uvicorn reports no error when it sends to a client that is gone; only a receive shows it. So one
        # message is received ahead and kept for the next read. Only a disconnect can follow the last message.
        if self._incoming is not None and self._incoming.done():
            received = self._incoming.result()
            if received["type"] != "http.request":
                self.gone = True
                return
            self._ahead, self._incoming = received, None
        if self._incoming is None and not (self._ahead or {}).get("more_body", False):
            self._incoming = self._loop.create_task(_awaited(self._receive))


def _origin_form(path: str) -> str:
    """The path in origin form (RFC 9112 section 3.2.1), also if the client sent a whole URL."""
    if not path.startswith("/") and "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path


async def _awaited(call: Receive) -> Message:
    return await call()


class Application:
    """The ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

    def __init__(self, component: Component) -> None:
        self._component = component
        self._threads = ThreadPoolExecutor(INSTANCES, thread_name_prefix="instance")
        self.answering = 0
        """Requests in progress, including those that were given up when the host stopped."""

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        loop = asyncio.get_running_loop()
        exchange = AsgiExchange(loop, scope, receive, send)
        target = _origin_form(scope["raw_path"].decode("latin-1"))
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        self.answering += 1
        answered = loop.run_in_executor(
            self._threads, self._answer, scope["method"], target, headers, exchange
        )
        try:
            await answered
        except asyncio.CancelledError:
            # The grace period is over. The connection closes; the thread is left behind.
            exchange.gone = True
            return
        except BaseException:
            self.answering -= 1
            raise
        self.answering -= 1

    def _answer(
        self, method: str, target: str, headers: list[tuple[str, str]], exchange: AsgiExchange
    ) -> None:
        # The guest logs its own requests. A request that it does not finish is logged here.
        record = Record(method, dict(headers))
        try:
            with self._component.instance() as instance:
                instance.handle(method, target, headers, exchange)
            if not exchange.responded:
                raise WasmtimeError("the component sent no answer")  # noqa: TRY301 - handled as a trap
        except WasmtimeError as error:
            traceback.print_exception(error, file=sys.stderr)
            response = answer(error, record)
            record.status = response.status
            record.enter("send")
            record.log()
            if exchange.responded:
                # An incomplete answer must not look complete: without `end`, the server closes.
                return
            _send_whole(exchange, response)
        exchange.end()


def _send_whole(exchange: AsgiExchange, response: Response) -> None:
    exchange.respond(response.status, response.headers, response.authorized)
    assert isinstance(response.body, bytes)  # noqa: S101 - the answer of a problem is never streamed
    exchange.write(response.body)
