"""Handles of the host with less Python around them than componentize-py's.

A request has thirteen handles: the request, its headers, the streams of both bodies, and so on. For each,
componentize-py 0.25.1 makes a `weakref.finalize`, and a task for each future whose value is known. Together
that is about as much Python as the gateway itself takes.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine, Iterable
from contextvars import copy_context
from typing import Any, Generic, NoReturn, TypeVar

import componentize_py_async_support as support
import componentize_py_runtime as runtime
from componentize_py_async_support import _ReturnCode
from componentize_py_async_support.futures import FutureReader, FutureWriter
from componentize_py_async_support.streams import ByteStreamReader, ByteStreamWriter
from componentize_py_types import Ok, Result

from guests.scheduling import new_future, task_state

_DROPPED = _ReturnCode.DROPPED

Value = TypeVar("Value")
Trailers = TypeVar("Trailers")
Error = TypeVar("Error")


class Finalizer:
    """Drops a handle together with the object that has it: a `weakref.finalize` without a registry.

    Nothing but that object refers to it, so it is deleted with the object.
    """

    __slots__ = ("_args", "_drop")

    def __init__(self, _owner: object, drop: Callable[..., object], /, *args: object) -> None:
        self._drop: Callable[..., object] | None = drop
        self._args = args

    def detach(self) -> tuple[None, Callable[..., object], tuple[object, ...], dict[str, object]] | None:
        """Drops nothing any more. Returns what would have been called, as `weakref.finalize` does."""
        drop = self._drop
        if drop is None:
            return None
        self._drop = None
        return None, drop, self._args, {}

    def __del__(self) -> None:
        if self._drop is not None:
            self._drop(*self._args)


weakref.finalize = Finalizer  # type: ignore[assignment, misc]
"""componentize-py takes it from there when it has imported the guest. Nothing else in the guest uses it."""


class Future(Generic[Value]):
    """A future for the host, without a task that waits until the host has read it.

    Attributes:
        reader: The end that the host gets.
    """

    def __init__(
        self, make: Callable[[Callable[[], Value]], tuple[FutureWriter[Value], FutureReader[Value]]]
    ) -> None:
        """A future that must be resolved.

        Args:
            make: The function of `wit_world` that makes futures of this type.
        """
        writer, self.reader = make(_no_default)
        self._type, self._handle = _taken(writer)
        self._state = task_state()

    def resolve(self, value: Value) -> None:
        """Writes the value. That ends at once if the host is waiting for it."""
        result = runtime.future_write(self._type, self._handle, value)
        if isinstance(result, Ok):
            runtime.future_drop_writable(self._type, self._handle)
        else:
            waitable, self._promise = result.value
            _expect(self._state, waitable, self)

    def set_result(self, event: int) -> None:
        """The host has read the value, or never will."""
        self._state.pending_count -= 1
        runtime.promise_get_result(event, self._promise)
        runtime.future_drop_writable(self._type, self._handle)


class Sending:
    """A whole body that is being sent to the host, and then its trailers: there are none."""

    def __init__(
        self, writer: ByteStreamWriter, data: bytes, trailers: Future[Result[Trailers | None, Error]]
    ) -> None:
        """Begins. The host must have the reader.

        Args:
            writer: The stream of the body.
            data: The body.
            trailers: The future of its trailers.
        """
        self._type, self._handle = _taken(writer)
        self._state = task_state()
        self._data = data
        self._trailers = trailers
        self._go_on()

    def _go_on(self) -> None:
        while self._data:
            result = runtime.stream_write(self._type, self._handle, self._data)
            if not isinstance(result, Ok):
                waitable, self._promise = result.value
                _expect(self._state, waitable, self)
                return
            self._sent(*result.value)
        runtime.stream_drop_writable(self._type, self._handle)
        self._trailers.resolve(Ok(None))  # not earlier: the host waits for them by now, so this ends at once

    def _sent(self, code: int, count: int) -> None:
        self._data = b"" if code == _DROPPED else self._data[count:]

    def set_result(self, event: int) -> None:
        """The host has read a part, or will read no more."""
        self._state.pending_count -= 1
        self._sent(*runtime.promise_get_result(event, self._promise))
        self._go_on()


def _taken(writer: FutureWriter[Any] | ByteStreamWriter) -> tuple[int, int]:
    """The type and the handle of a writer, which is not usable any more."""
    writer.finalizer.detach()
    assert writer.handle is not None  # noqa: S101 - it is new
    return writer.type_, writer.handle


def _expect(state: Any, waitable: int, receiver: Future[Any] | Sending) -> None:
    """Makes a task of the component model wait for an event, of which the receiver is told.

    componentize-py expects an asyncio future, of which it calls `set_result`. To wait for one needs a task.

    Args:
        state: The state of the task. Its `pending_count` must be one less once the event has come.
        waitable: What the event comes from.
        receiver: What is told.
    """
    state.futures[waitable] = receiver
    state.pending_count += 1
    runtime.waitable_join(waitable, state.waitable_set)


def _no_default() -> NoReturn:
    raise AssertionError


async def read(reader: ByteStreamReader, most: int) -> bytes:
    """As `ByteStreamReader.read`, which is three coroutines."""
    handle, reader.handle = reader.handle, None  # so that it is not dropped meanwhile
    assert handle is not None  # noqa: S101 - no other read is in progress
    result: Any = runtime.stream_read(reader.type_, handle, most)
    code, data = result.value if isinstance(result, Ok) else await support.await_result(result)
    reader.handle = handle
    if code == _DROPPED:
        reader.writer_dropped = True
    chunk: bytes = data
    return chunk


async def write_all(writer: ByteStreamWriter, data: bytes) -> None:
    """As `ByteStreamWriter.write_all`, which is four coroutines. Ends early if the host drops the reader."""
    handle, writer.handle = writer.handle, None
    assert handle is not None  # noqa: S101 - no other write is in progress
    while data and not writer.reader_dropped:
        result: Any = runtime.stream_write(writer.type_, handle, data)
        code, count = result.value if isinstance(result, Ok) else await support.await_result(result)
        if code == _DROPPED:
            writer.reader_dropped = True
        data = data[count:]
    writer.handle = handle


async def together(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs coroutines concurrently, as `asyncio.gather` does, but without a task for each.

    Args:
        coroutines: Each waits for nothing but calls of the host.
    """
    calls = _Calls()
    for coroutine in coroutines:
        calls.begin(coroutine)
    await calls.ended()


class _Calls:
    """Coroutines that wait for calls of the host."""

    def __init__(self) -> None:
        self._futures = task_state().futures
        self._context = copy_context()
        self._left = 0
        self._ended: Any = None  # the future of `ended`, once that waits

    def begin(self, coroutine: Coroutine[Any, Any, None]) -> None:
        self._left += 1
        self._go_on(coroutine)

    async def ended(self) -> None:
        if self._left:
            self._ended = new_future()
            await self._ended

    def go_on(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Goes on with a coroutine whose call has ended."""
        try:
            self._context.run(self._go_on, coroutine)
        except Exception as error:  # noqa: BLE001 - what left a callback would be a trap
            # Only the first error is raised. If `begin` has raised it, nothing waits.
            if self._ended is not None and not self._ended.done():
                self._ended.set_exception(error)
        else:
            if not self._left:
                self._ended.set_result(None)

    def _go_on(self, coroutine: Coroutine[Any, Any, None]) -> None:
        try:
            future = coroutine.send(None)
        except StopIteration:
            self._left -= 1
            return
        # `await_result` has just put this future there, for the call that the coroutine waits for.
        waitable, waiting = self._futures.popitem() if self._futures else (0, None)
        if waiting is not future:
            if waiting is not None:
                self._futures[waitable] = waiting
            coroutine.close()
            raise RuntimeError(f"{coroutine} waits for something that is no call of the host")
        self._futures[waitable] = _Waiting(self, coroutine, future)


class _Waiting:
    """A coroutine that waits for one call. It takes the place of an asyncio future."""

    __slots__ = ("_calls", "_coroutine", "_future")

    def __init__(self, calls: _Calls, coroutine: Coroutine[Any, Any, None], future: Any) -> None:
        self._calls = calls
        self._coroutine = coroutine
        self._future = future

    def set_result(self, event: int) -> None:
        """The call has ended."""
        self._future.set_result(event)  # it has no callbacks: nothing else waits for it
        self._calls.go_on(self._coroutine)
