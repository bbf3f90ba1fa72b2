"""The Spin component: the only file of it that touches the host's interfaces.

It exports `wasi:http/handler` (WASI 0.3: async, bodies streamed both ways) and hands each request to the
gateway, whose buckets are those of `wasi:keyvalue`.
"""

from __future__ import annotations

import gc
from contextlib import aclosing

import componentize_py_async_support
import wit_world
import wit_world.exports
from componentize_py_async_support.futures import FutureReader
from componentize_py_async_support.streams import ByteStreamReader, ByteStreamWriter
from componentize_py_types import Err, Ok, Result
from wit_world.imports import (
    batch,
    key_value,
    monotonic_clock,
    wasi_config_store,
    wasi_http_types,
    wasi_keyvalue_store,
)
from wit_world.imports.wasi_http_types import ErrorCode, Fields, Method_Other

from kv_batch.gateway import Gateway
from kv_batch.http import BodyCutShort, Chunks, Request, header_map
from kv_batch.wit import Asynchronous, Wit, WitBucket, open_bucket

READ_BYTES = 256 * 1024
"""The most that one read of a request's body takes."""


TURN_BYTES = 2 * 1024 * 1024
"""Bytes of a body after which the other requests of the instance have a turn (`Turns`)."""


async def wait(seconds: float) -> None:
    """Waits, and lets the instance's other requests go on."""
    await monotonic_clock.wait_for(int(seconds * 1e9))


async def suspend() -> None:
    """Lets the host do what else it has to, for about a millisecond."""
    await monotonic_clock.wait_for(1)


WIT = Wit(
    wasi_keyvalue_store,
    batch,
    Err,
    Asynchronous(key_value, wait, componentize_py_async_support.spawn),
)


class Turns:
    """The turns of the instance's other requests, while one reads or sends a long body.

    Where the client is fast and the store blocks (SQLite), nothing else would ever suspend that one, and a
    small request would wait for a whole import to end.
    """

    def __init__(self) -> None:
        self._left = TURN_BYTES

    async def after(self, size: int) -> None:
        """Lets the others have theirs, if it is time: so many more bytes have gone through."""
        self._left -= size
        if self._left <= 0:
            self._left = TURN_BYTES
            await suspend()


class SpinHost:
    """The host of `kv_batch.host`, as Spin is."""

    def config(self, name: str) -> str | None:
        return wasi_config_store.get(name)

    async def open(self, label: str) -> WitBucket:
        return await open_bucket(WIT, label)


class SpinBody:
    """The body of one request."""

    def __init__(
        self, reader: ByteStreamReader, trailers: FutureReader[Result[Fields | None, ErrorCode]]
    ) -> None:
        self._reader = reader
        self._trailers = trailers
        self._ended = False
        self._turns = Turns()

    async def read(self) -> bytes:
        while not self._reader.writer_dropped:
            chunk = await self._reader.read(READ_BYTES)
            if chunk:
                await self._turns.after(len(chunk))
                return chunk
        if not self._ended:
            self._ended = True
            # Only here does it show that the client broke off: the stream of a body cut short just ends.
            if isinstance(await self._trailers.read(), Err):
                raise BodyCutShort
        return b""

    async def grew(self, size: int) -> None:
        await self._turns.after(size)


GATEWAY = Gateway(SpinHost())


class HttpHandler(wit_world.exports.HttpHandler):
    """The export `wasi:http/handler`."""

    async def handle(self, request: wasi_http_types.Request) -> wasi_http_types.Response:
        method = request.get_method()
        name = method.value if isinstance(method, Method_Other) else type(method).__name__[7:].upper()
        target = request.get_path_with_query() or "/"
        headers = header_map(request.get_headers().copy_all())
        reader, trailers = wasi_http_types.Request.consume_body(request, _no_error())
        response = await GATEWAY.handle(Request(name, target, headers, SpinBody(reader, trailers)))
        if isinstance(response.body, bytes):
            _close(reader)  # what was not read of it never will be
        # Spin sends the head of an answer and its body in two writes, and without TCP_NODELAY the second
        # waits 40 ms for the client to acknowledge the first, unless the body is there when the head goes
        # out. A store call that blocks the thread (SQLite) makes it late; one real suspension mends that.
        # It can go when Spin sets TCP_NODELAY.
        await suspend()
        writer, body = wit_world.byte_stream()
        componentize_py_async_support.spawn(_send(writer, response.body, reader, name == "HEAD"))
        fields = Fields.from_list([(name, value.encode()) for name, value in response.headers])
        answer = wasi_http_types.Response.new(fields, body, _no_trailers())[0]
        answer.set_status_code(response.status)
        return answer


async def _send(writer: ByteStreamWriter, body: bytes | Chunks, reader: ByteStreamReader, head: bool) -> None:
    """Sends the body of an answer, which may be made of that of the request as it comes."""
    with reader, writer:
        if isinstance(body, bytes):
            if not head:
                await writer.write_all(body)
            return
        async with aclosing(body):
            if head:
                return
            turns = Turns()
            async for chunk in body:
                await writer.write_all(chunk)
                await turns.after(len(chunk))
                if writer.reader_dropped:  # The client is gone.
                    return


def _close(stream: ByteStreamReader) -> None:
    with stream:
        pass


def _no_trailers() -> FutureReader[Result[Fields | None, ErrorCode]]:
    return wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(lambda: Ok(None))[
        1
    ]


def _no_error() -> FutureReader[Result[None, ErrorCode]]:
    return wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))[1]


# What there is by now is in the component's snapshot, and stays: no collection need look at it. And pairs by
# the thousand, none of them garbage, are no reason to collect.
gc.freeze()
gc.set_threshold(100_000)
