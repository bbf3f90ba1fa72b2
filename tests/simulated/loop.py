"""An event loop with virtual time that behaves as one Spin instance.

When no task is ready, the time advances to the next timer: nothing ever sleeps. Timers fire one by one, and
the tasks run before the next timer fires, in the order in which a host delivers its events. A *blocking* host
call (`stand_still`) advances the time while no task runs; timers that were due meanwhile fire afterwards. If
no task is ready and there is no timer, nothing can ever happen again: `Deadlock`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from heapq import heappop, heappush
from random import Random
from typing import Any, TypeVar

from kv_batch.bucket import Clock

MOST_STEPS = 1_000_000
"""Steps of tasks after which a run is considered endless."""

Result = TypeVar("Result")


class Deadlock(AssertionError):
    """A task waits, but nothing will ever wake it."""


class Loop:
    """One instance of a host, and its time. It has the parts of an event loop that tasks and futures need.

    Attributes:
        now: The time in seconds since the start.
        still: The times when the instance was blocked: start, end, and the store.
        tasks: All tasks so far.
        errors: The errors that were reported to the loop.
    """

    def __init__(self, random: Random) -> None:
        """A new instance.

        Args:
            random: The source of the pauses of the contract.
        """
        self.now = 0.0
        self.still: list[tuple[float, float, str]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.errors: list[str] = []
        self.clock = Clock(self.time, self.wait, random.random)
        self._ready: deque[tuple[Context, Callable[..., object], tuple[Any, ...]]] = deque()
        self._timers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._loop: Any = self  # it does not have all methods of the class of asyncio
        self._order = 0
        self._steps = 0

    # The methods that tasks and futures call on a loop

    def time(self) -> float:
        return self.now

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Context | None = None) -> None:
        self._ready.append((copy_context() if context is None else context, callback, args))

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self._loop)

    def create_task(
        self, coro: Any, *, name: Any = None, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self._loop, name=name, context=context)
        self.tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self.errors.append(str(context.get("exception") or context.get("message")))

    # The methods of a host

    def spawn(self, coroutine: Coroutine[Any, Any, None]) -> None:
        """Runs a coroutine concurrently with the caller."""
        self.create_task(coroutine)

    def wait(self, seconds: float) -> asyncio.Future[None]:
        """Waits, while the other tasks proceed."""
        return self.until(self.now + seconds)

    def until(self, when: float) -> asyncio.Future[None]:
        """A future that is done at that time; never if it is infinity."""
        future = asyncio.Future[None](loop=self._loop)
        self._order += 1
        heappush(self._timers, (when, self._order, future))
        return future

    def stand_still(self, until: float, store: str) -> None:
        """Simulates a blocking call: no task runs until it has its answer."""
        if until > self.now:
            self.still.append((self.now, until, store))
            self.now = until

    # Running

    def run(self, main: Coroutine[Any, Any, Result]) -> Result:
        """Runs until a coroutine has ended. Returns its result."""
        task = self.create_task(main)
        self._go(task.done)
        result: Result = task.result()
        return result

    def drain(self) -> None:
        """Runs until only tasks that never end are left."""
        self._go(lambda: not self._timers or self._timers[0][0] == float("inf"))

    @property
    def pending(self) -> list[asyncio.Task[Any]]:
        """The tasks that have not ended."""
        return [task for task in self.tasks if not task.done()]

    def _go(self, ended: Callable[[], bool]) -> None:
        ready, timers = self._ready, self._timers
        asyncio._set_running_loop(self._loop)
        try:
            while True:
                while ready:
                    self._steps += 1
                    context, callback, args = ready.popleft()
                    context.run(callback, *args)
                if ended():
                    return
                if not timers or timers[0][0] == float("inf"):
                    raise Deadlock(f"no task can go on at {self.now:.3f} s: {self._waiting()}")
                if self._steps > MOST_STEPS:
                    raise Deadlock(f"{self._steps} steps, and no end at {self.now:.3f} s: {self._waiting()}")
                when, _, future = heappop(timers)
                self.now = max(self.now, when)
                if not future.done():
                    future.set_result(None)
        finally:
            asyncio._set_running_loop(None)

    def _waiting(self) -> str:
        return ", ".join(f"{task.get_name()} in {task.get_coro()}" for task in self.pending[:4])
