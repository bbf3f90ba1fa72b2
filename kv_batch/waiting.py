"""How the requests of an instance wait for each other and for what they have begun.

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
"""Runs a coroutine beside the request, and after it if need be."""

QUEUE_TIMEOUT = 30.0
"""Seconds that a request waits for the calls of others before it is told that the store is busy."""

MIN_POLL_INTERVAL = 0.001
MAX_POLL_INTERVAL = 0.01
"""Seconds between two looks at what a request waits for: a sixteenth of the time waited, within these."""


def _waited(passed: float, asked: float) -> float:
    """How many seconds of waiting count, when it was asked for so many and more have passed: not those for
    which the instance stood still, since an answer that came then is not noticed yet."""
    return min(passed, asked + MAX_POLL_INTERVAL)


class Waiter:
    """Waits for conditions, on the clock of a host."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Waits until the condition holds; says whether it did within so many seconds."""
        waited = 0.0
        while not condition():
            if waited >= seconds:
                return False
            look, start = min(max(MIN_POLL_INTERVAL, waited / 16), MAX_POLL_INTERVAL), self.clock.now()
            await self.clock.wait(look)
            waited += _waited(self.clock.now() - start, look)
        return True


class Door:
    """Lets rounds through unless a blocking call holds it closed.

    It closes for one call at a time, in the order in which they came, and never before those that waited for
    it while it was closed are through: neither side starves.

    Attributes:
        is_closed: Whether it is now.
    """

    def __init__(self, waiting: Waiter) -> None:
        self._waiting = waiting
        self.is_closed = False
        self._passing = 0
        self._queue: deque[object] = deque()

    async def through(self) -> None:
        """Returns once the door is open.

        Raises:
            StoreBusy: it was not for QUEUE_TIMEOUT.
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
        """Holds the door closed.

        Raises:
            StoreBusy: others kept it for QUEUE_TIMEOUT.
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
    """Wakes the request that it was made in, from a task that this request has spawned.

    Attributes:
        error: What the task met, to be raised in the request.
    """

    def __init__(self, clock: Clock, spawn: Spawn) -> None:
        """For one piece of work.

        Args:
            clock: The host's.
            spawn: Runs a coroutine beside the request.
        """
        self.error: Exception | None = None
        self._clock = clock
        self._spawn = spawn
        self._done = False
        self._future: Any = None

    def wake(self) -> None:
        """The work is done."""
        self._done = True
        self._ring()

    async def woken(self, progress: Callable[[], int], seconds: float) -> bool:
        """Returns True when the work is done, False when there is no progress for so many seconds.

        It is woken at once. The timers beside it cannot be taken back, so that each is short: half as long as
        the work has taken so far, and from 2 ms up.
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
