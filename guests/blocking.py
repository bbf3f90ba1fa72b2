"""What the guests share whose every host call blocks: their coroutines never wait."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

Result = TypeVar("Result")


def run(coroutine: Coroutine[object, None, Result]) -> Result:
    """Runs a coroutine that never waits, and returns its result.

    Raises:
        RuntimeError: it waited. That is a defect: nothing could ever wake it.
    """
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    raise RuntimeError("a coroutine of a blocking guest tried to wait, and nothing can wake it")
