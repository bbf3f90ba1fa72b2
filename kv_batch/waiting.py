"""Waiting: for the calls of other requests of the instance, and for tasks of one's own.

One request cannot wake another under componentize-py, so a request that waits for another one polls. A
request is woken at once by a task that it has spawned itself (`Waker`).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from kv_batch.bucket import Clock
from kv_batch.errors import StoreBusy

Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine concurrently with the request, and beyond its end."""

QUEUE_TIMEOUT = 30.0
"""Seconds that a request waits for the calls of other requests before it fails with StoreBusy."""

MIN_POLL_INTERVAL = 0.001
MAX_POLL_INTERVAL = 0.01
"""Bounds of the interval between two polls, in seconds: a sixteenth of the time waited so far."""


def _waited(passed: float, asked: float) -> float:
    """The seconds that count against a timeout after a wait of `asked` seconds took `passed`.

    Time for which a blocking call stopped the instance does not count: an answer that arrived then has not
    been noticed yet.
    """
    return min(passed, asked + MAX_POLL_INTERVAL)


class Waiter:
    """Waits for conditions by polling, on the clock of a host."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until a condition holds. Returns whether it did within so many seconds."""
        waited = 0.0
        while not condition():
            if waited >= seconds:
                return False
            look, start = min(max(MIN_POLL_INTERVAL, waited / 16), MAX_POLL_INTERVAL), self.clock.now()
            await self.clock.wait(look)
            waited += _waited(self.clock.now() - start, look)
        return True


class Door:
    """A fair gate: rounds of asynchronous calls pass unless a blocking call holds it closed.

    It closes for one call at a time, in order of arrival, and not before every round that waited for it has
    passed. So neither side starves.

    Attributes:
        is_closed: Whether a blocking call holds it closed.
    """

    def __init__(self, waiting: Waiter) -> None:
        self._waiting = waiting
        self.is_closed = False
        self._passing = 0
        self._queue: deque[object] = deque()

    async def through(self) -> None:
        """Waits until the door is open.

        Raises:
            StoreBusy: it was closed for QUEUE_TIMEOUT.
        """
        if not self.is_closed:
            return
        self._passing += 1
        try:
            if not await self._waiting.until(lambda: not self.is_closed, QUEUE_TIMEOUT):
                raise _busy()
        finally:
            self._passing -= 1

    @asynccontextmanager
    async def closed(self) -> AsyncIterator[None]:
        """Closes the door for the duration of the context.

        Raises:
            StoreBusy: other requests held it for QUEUE_TIMEOUT.
        """
        place = object()
        self._queue.append(place)
        try:
            if not await self._waiting.until(
                lambda: self._queue[0] is place and not self.is_closed and not self._passing, QUEUE_TIMEOUT
            ):
                raise _busy()
            self.is_closed = True
        finally:
            self._queue.remove(place)
        try:
            yield
        finally:
            self.is_closed = False


class Waker:
    """Wakes a request from a task that the same request has spawned.

    Attributes:
        error: The exception of the task, raised again in the request.
    """

    def __init__(self, clock: Clock, spawn: Spawn) -> None:
        """A waker for one task.

        Args:
            clock: The clock of the host.
            spawn: Runs a coroutine concurrently with the request.
        """
        self.error: Exception | None = None
        self._clock = clock
        self._spawn = spawn
        self._done = False
        self._future: Any = None

    def wake(self) -> None:
        """Records that the task is done, and wakes the request."""
        self._done = True
        self._ring()

    async def woken(self, progress: Callable[[], int], seconds: float) -> bool:
        """Waits for the task. Returns False if it makes no progress for so many seconds.

        The request is woken at once. Timers cannot be cancelled under componentize-py, so each is short: half
        of the time taken so far, between 2 and 250 ms.
        """
        clock = self._clock
        taken = quiet = 0.0
        seen = progress()
        while not self._done:
            if (reached := progress()) != seen:
                seen, quiet = reached, 0.0
            if quiet >= seconds:
                return False
            tick, start = max(0.002, min(taken / 2, 0.25, seconds - quiet)), clock.now()
            self._future = asyncio.get_running_loop().create_future()
            self._spawn(self._tick(tick))
            await self._future
            passed = _waited(clock.now() - start, tick)
            taken, quiet = taken + passed, quiet + passed
        if self.error is not None:
            raise self.error
        return True

    async def _tick(self, seconds: float) -> None:
        await self._clock.wait(seconds)
        self._ring()

    def _ring(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


def _busy() -> StoreBusy:
    return StoreBusy(f"calls of other requests took more than {QUEUE_TIMEOUT:.0f} seconds")
