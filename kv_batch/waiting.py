"""Waiting: for the calls of other requests of the instance, and for tasks of one's own.

One request cannot wake another under componentize-py, so a request that waits for another one polls
(`until`). A request is woken at once by a task that it has spawned itself (`Task`). No other module waits for
anything but a host call or a clock.

Both count real time, also the time for which a blocking call stopped the instance. What happened in that time
has not been noticed yet, so both look once more after the deadline before they give up.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeAlias

from kv_batch.bucket import Clock

Spawn: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
"""Runs a coroutine concurrently with the request, and beyond its end."""

MAX_POLL_INTERVAL = 0.01
"""The longest interval between two polls, in seconds."""

MAX_TICK = 0.25
"""The longest interval between two looks at the deadline of a task, in seconds."""


async def until(clock: Clock, condition: Callable[[], bool], deadline: Callable[[], float]) -> bool:
    """Polls until a condition holds, at intervals of a sixteenth of the time waited so far. Returns whether
    it did before the deadline, a time of the clock, which may move."""
    return await _looked(clock, condition, deadline, clock.wait, 0.001, 16, MAX_POLL_INTERVAL)


async def gathered(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs coroutines concurrently, to their end."""
    await asyncio.gather(*coroutines)


class Task:
    """A task that a request has spawned, and may leave behind.

    Attributes:
        progressed_at: When the task began, or last made progress.
        error: The exception with which it ended.
    """

    def __init__(self, clock: Clock, spawn: Spawn, work: Callable[[Task], Awaitable[None]]) -> None:
        """Begins the task.

        Args:
            clock: The clock of the host.
            spawn: Runs a coroutine concurrently with the request.
            work: Is passed the task, and does what is to be done.
        """
        self.progressed_at = clock.now()
        self.error: Exception | None = None
        self._done = False
        self._clock = clock
        self._spawn = spawn
        self._future: asyncio.Future[None] | None = None
        spawn(self._run(work))

    async def ended(self, seconds: float) -> bool:
        """Waits for the end of the task. Returns False if it makes no progress for so many seconds.

        Raises:
            Exception: that of the task.
        """

        def deadline() -> float:
            return self.progressed_at + seconds

        # Timers cannot be cancelled under componentize-py, so each is short.
        if not await _looked(self._clock, lambda: self._done, deadline, self._sleep, 0.002, 2, MAX_TICK):
            return False
        if self.error is not None:
            raise self.error
        return True

    async def _run(self, work: Callable[[Task], Awaitable[None]]) -> None:
        self.progressed_at = self._clock.now()  # a blocking call may have come before
        try:
            await work(self)
        except Exception as error:  # noqa: BLE001 - raised in `ended`: what left a spawned task would be a trap
            self.error = error
        self._done = True
        self._wake()

    async def _sleep(self, seconds: float) -> None:
        """Waits for so many seconds, or for the end of the task."""
        self._future = asyncio.get_running_loop().create_future()
        self._spawn(self._tick(seconds))
        await self._future

    async def _tick(self, seconds: float) -> None:
        await self._clock.wait(seconds)
        self._wake()

    def _wake(self) -> None:
        if self._future is not None and not self._future.done():
            self._future.set_result(None)


async def _looked(
    clock: Clock,
    condition: Callable[[], bool],
    deadline: Callable[[], float],
    wait: Callable[[float], Awaitable[None]],
    least: float,
    share: int,
    most: float,
) -> bool:
    """Looks until a condition holds, or the same deadline has passed twice.

    Args:
        clock: The clock of the host.
        condition: The condition.
        deadline: Returns the deadline, which may move.
        wait: Waits between two looks, for at most so many seconds.
        least, most: The bounds of the interval between two looks, in seconds.
        share: The part of the time waited so far that is the interval in between.
    """
    start = clock.now()
    passed: float | None = None  # the deadline that had passed at the last look
    while not condition():
        now, end = clock.now(), deadline()
        left = end - now
        if left <= 0 and passed == end:
            return False
        passed = end if left <= 0 else None
        await wait(max(least, min((now - start) / share, most, left)))
    return True
