"""The Spin component: its only file that touches the interfaces of the host.

It exports `wasi:http/handler` (WASI 0.3: async, with bodies streamed in both directions) and passes each
request to the gateway, whose buckets are those of `wasi:keyvalue`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Mapping
from contextlib import aclosing
from typing import Any

import guests.first  # noqa: F401 - first, see there

# isort: split
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
from wit_world.imports.wasi_http_types import ErrorCode, Fields

from gateway import linger
from gateway.gateway import Gateway
from gateway.http import BodyCutShort, Chunks, Response, declared_length
from guests import snapshot
from guests.handles import Future, Sending, read, together, write_all
from guests.scheduling import yield_to_host
from guests.wasi import WitHost, headers_of, request_of
from kv_batch.asynchronous import Asynchronous
from kv_batch.bucket import Clock
from kv_batch.wit import Wit

READ_BYTES = 256 * 1024
"""The maximum size of one read of a request's body, in bytes."""

UNKNOWN_LENGTH = 1 << 63
"""The length of a body whose client does not tell it, in bytes: more than any body has."""

LINGER_BYTES = 64 * 1024
"""The maximum size of one read of a body that is discarded, in bytes. Many such reads may wait at once."""

LINGER_TICK = 0.5
"""Seconds between two checks whether such a read waits for a silent client."""

TURN_BYTES = 2 * 1024 * 1024
"""Bytes of a body after which the other requests of the instance get a turn (`Yielder`)."""


YIELDS = 2
"""How often a task yields to the host before its answer (`HttpHandler.handle`).

After one, the host still sends every fifth answer in two writes (docs/decisions/0015-yields.md)."""


async def wait(seconds: float) -> None:
    """Waits, while the other requests of the instance proceed."""
    await monotonic_clock.wait_for(int(seconds * 1e9))


def suspend() -> Awaitable[None]:
    """Suspends this task, so that the host and the other requests of the instance can do other work."""
    return yield_to_host(YIELDS)


async def tick() -> None:
    """Suspends this task for about a millisecond: `suspend` for hosts that resume a yielding task at once."""
    await monotonic_clock.wait_for(1)


WIT = Wit(
    wasi_keyvalue_store,
    batch,
    Err,
    Asynchronous(key_value, Clock(time.monotonic, wait), componentize_py_async_support.spawn, together),
)


class Yielder:
    """Yields to the other requests of the instance while one request reads or sends a long body.

    If the client is fast and the store blocks (SQLite), nothing else suspends the request with the long body,
    and a small request would wait until a whole import has ended.
    """

    def __init__(self) -> None:
        self._left = TURN_BYTES

    def is_due(self, size: int) -> bool:
        """Whether to `suspend` now: TURN_BYTES have been transferred since the last time.

        Args:
            size: How many more bytes have been transferred.
        """
        self._left -= size
        if self._left > 0:
            return False
        self._left = TURN_BYTES
        return True


class SpinBody:
    """The body of one request.

    Args:
        reader: The body.
        trailers: Its trailers.
        headers: The headers of the request.
    """

    def __init__(
        self,
        reader: ByteStreamReader,
        trailers: FutureReader[Result[Fields | None, ErrorCode]],
        headers: Mapping[str, str],
    ) -> None:
        self.received = 0
        self.ended = False
        self.reader = reader
        self._trailers = trailers
        length = None if "transfer-encoding" in headers else declared_length(headers)
        self._left = UNKNOWN_LENGTH if length is None else length  # the bytes that are still to come
        self._begun = False
        self._yielder = Yielder()

    async def read(self) -> bytes:
        self._begun = True
        while self._left != 0 and not self.reader.writer_dropped:
            chunk = await read(self.reader, min(READ_BYTES, self._left))
            if chunk:
                size = len(chunk)
                self.received += size
                self._left -= size
                # To read the end of a body of known length costs two more calls of the host.
                self.ended = self._left == 0
                if self._yielder.is_due(size):
                    await suspend()
                return chunk
        if not self.ended:
            self.ended = True
            # The stream of an incomplete body simply ends. Only the trailers show that it is incomplete.
            if self._left != 0 and isinstance(await self._trailers.read(), Err):
                raise BodyCutShort
        return b""

    async def grew(self, size: int) -> None:
        if self._yielder.is_due(size):
            await suspend()

    def is_under_way(self, headers: Mapping[str, str]) -> bool:
        """Whether the client may still be sending the body of a request with these headers."""
        if self.ended or self.reader.writer_dropped:
            return False
        return linger.may_be_sending(headers, begun=self._begun, chunked="transfer-encoding" in headers)

    def close(self) -> None:
        """Reads no more of the body. If there is more, the host closes the connection."""
        with self.reader:
            pass


class Lingering:
    """The bodies of answered requests that are read on and discarded (`gateway.linger`).

    They do not count towards the requests that an instance may answer at the same time: Spin counts only the
    requests that have no answer yet.
    """

    strangers_at_once = linger.STRANGERS_AT_ONCE

    def __init__(self) -> None:
        self._strangers = 0
        self._left = 0

    async def read_on(self, reader: ByteStreamReader, authorized: bool) -> None:
        """Reads on to the end of a body, or to the limits for its caller."""
        stranger = not authorized
        if stranger and (self._strangers >= self.strangers_at_once or self._left >= linger.STRANGERS_LEFT):
            return
        self._strangers += stranger
        rest = Rest(reader, linger.limits(authorized))
        componentize_py_async_support.spawn(rest.watch())
        ended = await rest.read()
        self._strangers -= stranger
        self._left += stranger and not ended


class Rest:
    """The rest of one body.

    A read cannot be cancelled: componentize-py 0.25.1 has no `stream.cancel-read`. So a read that waits for a
    silent client is left behind, with its stream: no task waits for it, and it ends with the instance. If a
    task waited for it, a silent client would keep the instance alive, with all its memory, beyond its last
    request. The three lines in `_leave` can go when reads can be cancelled.
    """

    def __init__(self, reader: ByteStreamReader, limits: linger.Limits) -> None:
        self._reader = reader
        self._limits = limits
        self._handle = reader.handle
        self._task: asyncio.Task[Any] | None = None
        self._heard = time.monotonic()
        self._end = self._heard + limits.seconds

    async def read(self) -> bool:
        """Reads until the body ends or a limit is reached. Returns False if the last read was left behind."""
        yielder = Yielder()
        left = self._limits.bytes
        self._task = asyncio.current_task()
        try:
            while not self._reader.writer_dropped and left > 0 and time.monotonic() < self._end:
                size = len(await read(self._reader, LINGER_BYTES))
                self._heard = time.monotonic()
                left -= size
                if yielder.is_due(size):
                    await suspend()
        except asyncio.CancelledError:  # by `watch`
            return False
        finally:
            self._task = None
        return True

    async def watch(self) -> None:
        """Leaves a read behind that waits for too long."""
        while self._task is not None:
            await wait(LINGER_TICK)
            now = time.monotonic()
            if now > min(self._end, self._heard + self._limits.silence):
                self._leave()

    def _leave(self) -> None:
        waiting = componentize_py_async_support._future_state.get().futures
        if self._task is None or self._handle not in waiting:
            return  # no read is waiting
        componentize_py_runtime.waitable_join(self._handle, 0)  # in no set: it wakes no task any more
        del waiting[self._handle]
        self._task.cancel()
        self._task = None


GATEWAY = Gateway(WitHost(WIT, wasi_config_store.get))

LINGERING = Lingering()


class HttpHandler(wit_world.exports.HttpHandler):
    """The export `wasi:http/handler`."""

    async def handle(self, request: wasi_http_types.Request) -> wasi_http_types.Response:
        # Everything else is read first, since `consume_body` takes the request.
        method, target = request.get_method(), request.get_path_with_query()
        headers = headers_of(request.get_headers().copy_all(), request.get_authority)
        handled = Future(wit_world.result_unit_wasi_http_types_error_code_future)
        received = SpinBody(*wasi_http_types.Request.consume_body(request, handled.reader), headers)
        handled.resolve(Ok(None))
        asked = request_of(method, target, headers, received)
        response = await GATEWAY.handle(asked)
        head = asked.method == "HEAD"
        whole = None
        if isinstance(response.body, bytes) and not received.is_under_way(headers):
            whole = b"" if head else response.body
            received.close()  # early: the host has less to do after the answer
        # Spin sends the head of an answer and its body in two writes. Without TCP_NODELAY the second write
        # waits 40 ms for the client to acknowledge the first, unless the body is there when the head is sent.
        # A store call that blocks the thread (SQLite) makes the body late; a real suspension avoids that.
        # This can go when Spin sets TCP_NODELAY.
        await suspend()
        writer, body = wit_world.byte_stream()
        trailers = Future(wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future)
        names, values = zip(*response.headers, strict=True)
        fields = Fields.from_list(list(zip(names, map(str.encode, values), strict=True)))
        answer = wasi_http_types.Response.new(fields, body, trailers.reader)[0]
        if response.status != 200:
            answer.set_status_code(response.status)
        if whole is None:
            componentize_py_async_support.spawn(_send(writer, trailers, response, received, headers, head))
        else:
            Sending(writer, whole, trailers)
        return answer


async def _send(
    writer: ByteStreamWriter,
    trailers: Future[Result[Fields | None, ErrorCode]],
    response: Response,
    received: SpinBody,
    headers: Mapping[str, str],
    head: bool,
) -> None:
    """Sends the body of an answer, then reads on the rest of the request's body.

    The body of the answer may be generated from the body of the request, as that arrives.

    Args:
        headers: The headers of the request.
        head: Whether the request is a HEAD request.
    """
    with received.reader:
        with writer:
            if isinstance(response.body, bytes):
                if not head:
                    await write_all(writer, response.body)
            else:
                await _stream(writer, response.body, head)
        trailers.resolve(Ok(None))  # not earlier: the host waits for it by now, so it need not be awaited
        if received.is_under_way(headers):
            await LINGERING.read_on(received.reader, response.authorized)


async def _stream(writer: ByteStreamWriter, body: Chunks, head: bool) -> None:
    async with aclosing(body):
        if head:
            return
        yielder = Yielder()
        async for chunk in body:
            await write_all(writer, chunk)
            if yielder.is_due(len(chunk)):
                await suspend()
            if writer.reader_dropped:  # the client is gone
                return


snapshot.settle()
