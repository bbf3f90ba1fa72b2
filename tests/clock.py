"""Virtual time: seconds that pass when all wait, and not by themselves. No test sleeps on it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from kv_batch.bucket import Clock

Result = TypeVar("Result")


class VirtualTime:
    """The time of one coroutine: who waits has waited.

    Attributes:
        seconds: Since the start.
        pauses: How long was waited, each time.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.pauses: list[float] = []
        self.clock = Clock(lambda: self.seconds, self.wait)

    async def wait(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.seconds += seconds


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop on which the time of many coroutines is virtual."""

    _seconds = 0.0

    def time(self) -> float:
        return self._seconds

    def stand_still(self, seconds: float) -> None:
        """Time passes, and nobody does anything meanwhile."""
        self._seconds += seconds

    def _run_once(self) -> None:
        if not self._ready:  # type: ignore[attr-defined]
            timers = [each.when() for each in self._scheduled if not each.cancelled()]  # type: ignore[attr-defined]
            if not timers:
                raise RuntimeError("all wait for each other")
            self._seconds = max(self._seconds, min(timers))
        super()._run_once()  # type: ignore[misc]


LOOP_CLOCK = Clock(lambda: asyncio.get_running_loop().time(), asyncio.sleep)
"""That of the running loop."""


def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Runs a coroutine on a `VirtualLoop`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
