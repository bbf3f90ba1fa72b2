"""Virtual time, which advances only when all coroutines wait. No test sleeps on it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from kv_batch.bucket import Clock

Result = TypeVar("Result")


class VirtualTime:
    """The time of one coroutine. A wait advances the time and returns at once.

    Attributes:
        seconds: The time since the start.
        pauses: The length of each wait, in seconds.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []
        self.clock = Clock(lambda: self.seconds, self.wait)

    async def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop with virtual time for many coroutines."""

    _seconds = 0.0

    def time(self) -> float:
        return self._seconds

    def stand_still(self, seconds: float) -> None:
        """Advances the time without running anything."""
        self._seconds += seconds

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]
            timers = [each.when() for each in self._scheduled if not each.cancelled()]  # type: ignore[attr-defined]
            if not timers:
                raise RuntimeError("deadlock: every coroutine waits")
            self._seconds = max(self._seconds, min(timers))
        super()._run_once()  # type: ignore[misc]


LOOP_CLOCK = Clock(lambda: asyncio.get_running_loop().time(), asyncio.sleep)
"""The clock of the running loop."""


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine on a `VirtualLoop`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
