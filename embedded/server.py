"""The component behind ASGI: each request is answered by an instance in a thread of its own.

The threads block, the event loop does not: a request's chunks are fetched for its thread by the loop, and a
thread that sends waits until the loop has sent. That is the whole of the back-pressure.
"""

from __future__ import annotations

import asyncio
import json
import sys
import traceback
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from wasmtime import WasmtimeError

from embedded.component import Component
from embedded.imports import ClientGone

INSTANCES = 16
"""Requests answered at once, as many as one instance of Spin takes. More wait for their turn."""

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class AsgiExchange:
    """The two bodies of one request, for the thread that answers it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, receive: Receive, send: Send) -> None:
        self._loop = loop
        self._receive = receive
        self._send = send
        self._ended = False
        self.responded = False
        self.gone = False

    def read(self) -> bytes:
        while not self._ended:
            message = asyncio.run_coroutine_threadsafe(_awaited(self._receive), self._loop).result()
            if message["type"] != "http.request":
                self.gone = True
                raise ClientGone("the client broke off")
            self._ended = not message.get("more_body", False)
            if chunk := message.get("body", b""):
                return bytes(chunk)
        return b""

    def respond(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.responded = True
        fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
        self._put({"type": "http.response.start", "status": status, "headers": fields})

    def write(self, chunk: bytes) -> bool:
        self._put({"type": "http.response.body", "body": chunk, "more_body": True})
        return not self.gone

    def end(self) -> None:
        """Ends the answer, which is then known to be whole."""
        self._put({"type": "http.response.body", "body": b"", "more_body": False})

    def _put(self, message: Message) -> None:
        if self.gone:
            return
        try:
            asyncio.run_coroutine_threadsafe(_awaited(self._send, message), self._loop).result()
        except OSError:
            self.gone = True


def _origin_form(path: str) -> str:
    """The path as RFC 9112 section 3.2.1 has it, of one that was sent as a whole URL or with a fragment."""
    if not path.startswith("/") and "://" in path:
        path = "/" + path.partition("://")[2].partition("/")[2]
    return path.partition("#")[0]


async def _awaited(call: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
    return await call(*arguments)


class Application:
    """The ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html)."""

    def __init__(self, component: Component) -> None:
        self._component = component
        self._threads = ThreadPoolExecutor(INSTANCES, thread_name_prefix="instance")

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        loop = asyncio.get_running_loop()
        exchange = AsgiExchange(loop, receive, send)
        target = _origin_form(scope["raw_path"].decode("latin-1"))
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
        await loop.run_in_executor(self._threads, self._answer, scope["method"], target, headers, exchange)

    def _answer(
        self, method: str, target: str, headers: list[tuple[str, str]], exchange: AsgiExchange
    ) -> None:
        try:
            with self._component.instance() as instance:
                instance.handle(method, target, headers, exchange)
        except WasmtimeError:
            traceback.print_exc(file=sys.stderr)
            if exchange.responded:
                # Half an answer must not look whole: an answer that is not ended makes the server close.
                return
            self._apologise(exchange)
        exchange.end()

    def _apologise(self, exchange: AsgiExchange) -> None:
        body = json.dumps(
            {
                "type": "/problems/internal-error",
                "title": "The gateway has a defect",
                "status": 500,
                "detail": "This is a defect of the gateway, not of the request. Its log has the rest.",
                "request_id": str(uuid.uuid4()),
            }
        ).encode()
        length = ("content-length", str(len(body)))
        exchange.respond(500, [("content-type", "application/problem+json"), length])
        exchange.write(body)
