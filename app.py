"""The Spin component: the only file of it that touches the host's interfaces.

It exports `wasi:http/handler` (WASI 0.3: async, bodies streamed both ways) and hands each request to the
gateway, whose buckets are those of `wasi:keyvalue`.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Mapping
from contextlib import aclosing
from typing import Any

import componentize_py_async_support
import componentize_py_runtime
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

from gateway import linger
from gateway.gateway import Gateway
from gateway.http import BodyCutShort, Chunks, Request, Response, header_map
from kv_batch.asynchronous import Asynchronous
from kv_batch.bucket import Clock
from kv_batch.wit import Wit, WitBucket, open_bucket

READ_BYTES = 256 * 1024
"""The most that one read of a request's body takes."""

LINGER_BYTES = 64 * 1024
"""The most that one read of a body takes that is thrown away. Many may be waited for at once."""

LINGER_TICK = 0.5
"""Seconds between two looks at whether such a read waits for a client that has fallen silent."""

TURN_BYTES = 2 * 1024 * 1024
"""Bytes of a body after which the other requests of the instance have a turn (`Yielder`)."""


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
    Asynchronous(key_value, Clock(time.monotonic, wait), componentize_py_async_support.spawn),
)


class Yielder:
    """Yields to the other requests of the instance while one request reads or sends a long body.

    Where the client is fast and the store blocks (SQLite), nothing else would ever suspend that one, and a
    small request would wait for a whole import to end.
    """

    def __init__(self) -> None:
        self._left = TURN_BYTES

    async def after(self, size: int) -> None:
        """Yields to other requests once TURN_BYTES have been transferred since the last time.

        Args:
            size: How many more bytes have been transferred.
        """
        self._left -= size
        if self._left <= 0:
            self._left = TURN_BYTES
            await suspend()


class SpinHost:
    """The host of `gateway.host`, as Spin is."""

    def config(self, name: str) -> str | None:
        return wasi_config_store.get(name)

    async def open(self, label: str) -> WitBucket:
        return await open_bucket(WIT, label)


class SpinBody:
    """The body of one request."""

    def __init__(
        self, reader: ByteStreamReader, trailers: FutureReader[Result[Fields | None, ErrorCode]]
    ) -> None:
        self.reader = reader
        self._trailers = trailers
        self._ended = False
        self._begun = False
        self._yielder = Yielder()

    async def read(self) -> bytes:
        self._begun = True
        while not self.reader.writer_dropped:
            chunk = await self.reader.read(READ_BYTES)
            if chunk:
                await self._yielder.after(len(chunk))
                return chunk
        if not self._ended:
            self._ended = True
            # Only here does it show that the client broke off: the stream of a body cut short just ends.
            if isinstance(await self._trailers.read(), Err):
                raise BodyCutShort
        return b""

    async def grew(self, size: int) -> None:
        await self._yielder.after(size)

    def is_under_way(self, headers: Mapping[str, str]) -> bool:
        """Whether the client may still be sending it, in a request with these headers.

        A client that waits for "100 Continue" sends nothing before it is told to. After an answer it may
        never do so, and its next request would be taken for the body (RFC 9110 section 10.1.1).
        """
        if self._ended or self.reader.writer_dropped:
            return False
        if "expect" in headers and not self._begun:
            return False
        return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers

    def close(self) -> None:
        """Takes no more of it. The host closes the connection, if there is more."""
        with self.reader:
            pass


class Lingering:
    """The bodies that are read on and thrown away, their requests answered (`gateway.linger`).

    None of them takes the place of one of the requests that Spin lets an instance answer at once: those are
    the ones without an answer.
    """

    def __init__(self) -> None:
        self._strangers = 0
        self._left = 0

    async def read_on(self, reader: ByteStreamReader, status: int) -> None:
        """Reads on to the end of a body, or to the limits of a request that was answered with `status`."""
        stranger = linger.is_stranger(status)
        if stranger and (self._strangers >= linger.STRANGERS_AT_ONCE or self._left >= linger.STRANGERS_LEFT):
            return
        self._strangers += stranger
        rest = Rest(reader, linger.limits(status))
        componentize_py_async_support.spawn(rest.watch())
        ended = await rest.read()
        self._strangers -= stranger
        self._left += stranger and not ended


class Rest:
    """The rest of one body.

    A read cannot be taken back: componentize-py 0.25.1 has no `stream.cancel-read`. So one that waits for a
    client that has fallen silent is left behind, with its stream: no task waits for it, and it ends with the
    instance. If it were waited for, a silent client would keep the instance, with all its memory, beyond its
    last request. The three lines in `_leave` can go when reads can be cancelled.
    """

    def __init__(self, reader: ByteStreamReader, limits: linger.Limits) -> None:
        self._reader = reader
        self._limits = limits
        self._handle = reader.handle
        self._task: asyncio.Task[Any] | None = None
        self._heard = time.monotonic()
        self._end = self._heard + limits.seconds

    async def read(self) -> bool:
        """Reads until the body ends or a limit is reached; False where the last read had to be left."""
        yielder = Yielder()
        left = self._limits.bytes
        self._task = asyncio.current_task()
        try:
            while not self._reader.writer_dropped and left > 0 and time.monotonic() < self._end:
                size = len(await self._reader.read(LINGER_BYTES))
                self._heard = time.monotonic()
                left -= size
                await yielder.after(size)
        except asyncio.CancelledError:  # by `watch`
            return False
        finally:
            self._task = None
        return True

    async def watch(self) -> None:
        """Ends a read that waits for too long."""
        while self._task is not None:
            await wait(LINGER_TICK)
            now = time.monotonic()
            if now > min(self._end, self._heard + self._limits.silence):
                self._leave()

    def _leave(self) -> None:
        waiting = componentize_py_async_support._future_state.get().futures
        if self._task is None or self._handle not in waiting:
            return  # it is not in a read
        componentize_py_runtime.waitable_join(self._handle, 0)  # of no set: no task hears of it any more
        del waiting[self._handle]
        self._task.cancel()
        self._task = None


GATEWAY = Gateway(SpinHost())

LINGERING = Lingering()


class HttpHandler(wit_world.exports.HttpHandler):
    """The export `wasi:http/handler`."""

    async def handle(self, request: wasi_http_types.Request) -> wasi_http_types.Response:
        method = request.get_method()
        name = method.value if isinstance(method, Method_Other) else type(method).__name__[7:].upper()
        target = request.get_path_with_query() or "/"
        headers = header_map(request.get_headers().copy_all())
        headers.setdefault("host", request.get_authority() or "")  # HTTP/2 has no such header
        reader, trailers = wasi_http_types.Request.consume_body(request, _no_error())
        received = SpinBody(reader, trailers)
        response = await GATEWAY.handle(Request(name, target, headers, received))
        if isinstance(response.body, bytes) and not received.is_under_way(headers):
            received.close()  # early, for the host has then less to do when the answer has been sent
        # Spin sends the head of an answer and its body in two writes, and without TCP_NODELAY the second
        # waits 40 ms for the client to acknowledge the first, unless the body is there when the head goes
        # out. A store call that blocks the thread (SQLite) makes it late; one real suspension mends that.
        # It can go when Spin sets TCP_NODELAY.
        await suspend()
        writer, body = wit_world.byte_stream()
        componentize_py_async_support.spawn(_send(writer, response, received, headers, name == "HEAD"))
        fields = Fields.from_list([(name, value.encode()) for name, value in response.headers])
        answer = wasi_http_types.Response.new(fields, body, _no_trailers())[0]
        answer.set_status_code(response.status)
        return answer


async def _send(
    writer: ByteStreamWriter, response: Response, received: SpinBody, headers: Mapping[str, str], head: bool
) -> None:
    """Sends the body of an answer, which may be made of that of the request as it comes; then reads on what
    is left of the body of the request, which has these headers."""
    with received.reader:
        with writer:
            if isinstance(response.body, bytes):
                if not head:
                    await writer.write_all(response.body)
            else:
                await _stream(writer, response.body, head)
        if received.is_under_way(headers):
            await LINGERING.read_on(received.reader, response.status)


async def _stream(writer: ByteStreamWriter, body: Chunks, head: bool) -> None:
    async with aclosing(body):
        if head:
            return
        yielder = Yielder()
        async for chunk in body:
            await writer.write_all(chunk)
            await yielder.after(len(chunk))
            if writer.reader_dropped:  # The client is gone.
                return


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
