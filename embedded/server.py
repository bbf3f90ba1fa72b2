"""The component behind ASGI: each request is answered by an instance in a thread of its own.

The threads block, the event loop does not: a request's chunks are fetched for its thread by the loop, and a
thread that sends waits until the loop has sent. That is the whole of the back-pressure.
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
from embedded.protocol import HALF_CLOSED, STATUS
from gateway.http import Response
from gateway.problems import answer
from gateway.record import Record

INSTANCES = 16
"""Requests answered at once, as many as one instance of Spin takes. More wait for their turn."""

SILENCE = 60.0
"""Seconds that a client may take to send the next bytes of a body, or to take the next piece of an answer.
There are few instances, and one that waits for ever would be kept from all others."""

Result = TypeVar("Result")
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AsgiExchange:
    """The two bodies of one request, for the thread that answers it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, scope: Message, receive: Receive, send: Send) -> None:
        self._loop = loop
        self._scope = scope
        self._receive = receive
        self._send = send
        self._incoming: asyncio.Task[Message] | None = None
        self._ahead: Message | None = None
        fields = dict(scope["headers"])
        # Which of the two a proxy in between went by is not known, so nothing more is read of such a
        # connection (RFC 9112 section 6.1).
        self._ambiguous = b"transfer-encoding" in fields and b"content-length" in fields
        self._ended = b"transfer-encoding" not in fields and fields.get(b"content-length", b"0") == b"0"
        self._broken = False
        self.responded = False
        self.gone = False

    def read(self) -> bytes:
        while not self._ended:
            if self._broken:
                raise ClientGone("the client broke off")
            try:
                message = None if self.gone else self._on_loop(self._received())
            except TimeoutError:
                self._broken = True
                continue
            if message is None or message["type"] != "http.request":
                self.gone = True
                raise ClientGone("the client broke off")
            self._ended = not message.get("more_body", False)
            self._broken = not self._ended and HALF_CLOSED in self._scope
            if chunk := message.get("body", b""):
                return bytes(chunk)
        return b""

    def respond(self, status: int, headers: list[tuple[str, str]]) -> None:
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        if self._ambiguous or not self._ended:
            # The rest of the body is read only to be thrown away (embedded/protocol.py). One that waits for
            # "100 Continue" may never come, and the next request be taken for it (RFC 9110 section 10.1.1).
            fields.append((b"connection", b"close"))
        self.responded = True
        self._scope[STATUS] = status
        self._put({"type": "http.response.start", "status": status, "headers": fields})

    def write(self, chunk: bytes) -> bool:
        self._put({"type": "http.response.body", "body": chunk, "more_body": True})
        return not self.gone

    def end(self) -> None:
        """Ends the answer, which is then known to be whole."""
        self._put({"type": "http.response.body", "body": b"", "more_body": False})

    def _put(self, message: Message) -> None:
        if not self.gone:
            self._on_loop(self._sent(message))

    def _on_loop(self, work: Coroutine[Any, Any, Result]) -> Result | None:
        """What the loop makes of it; None when the host stops meanwhile: the client is gone, then."""
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
        # Uvicorn sends to a client that is gone as if nothing were; only what it receives tells. So one
        # message is asked for ahead, and kept for the next read; behind the last one only the end can come.
        if self._incoming is not None and self._incoming.done():
            received = self._incoming.result()
            if received["type"] != "http.request":
                self.gone = True
                return
            self._ahead, self._incoming = received, None
        if self._incoming is None and not (self._ahead or {}).get("more_body", False):
            self._incoming = self._loop.create_task(_awaited(self._receive))


def _origin_form(path: str) -> str:
    """The path as RFC 9112 section 3.2.1 has it, of one that was sent as a whole URL."""
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
        """Requests under way, those included that were given up when the host stopped."""

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
            # The host has waited long enough. The connection closes; the thread is left where it is.
            exchange.gone = True
            return
        except BaseException:
            self.answering -= 1
            raise
        self.answering -= 1

    def _answer(
        self, method: str, target: str, headers: list[tuple[str, str]], exchange: AsgiExchange
    ) -> None:
        # The guest logs its requests itself. One that it does not finish is logged here.
        record = Record(method, dict(headers))
        try:
            with self._component.instance() as instance:
                instance.handle(method, target, headers, exchange)
            if not exchange.responded:
                raise WasmtimeError("the component gave no answer")  # noqa: TRY301 - as bad as a trap
        except WasmtimeError as error:
            traceback.print_exception(error, file=sys.stderr)
            response = answer(error, record)
            record.status = response.status
            record.log()
            if exchange.responded:
                # Half an answer must not look whole: an answer that is not ended makes the server close.
                return
            _send_whole(exchange, response)
        exchange.end()


def _send_whole(exchange: AsgiExchange, response: Response) -> None:
    exchange.respond(response.status, response.headers)
    assert isinstance(response.body, bytes)  # noqa: S101 - a problem is never streamed
    exchange.write(response.body)
