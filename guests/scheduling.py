"""What componentize-py's asyncio support lacks: yielding to the host, and cheap concurrent host calls.

It changes names of `componentize_py_async_support` that are internal to componentize-py 0.25.1. That version
is pinned, and `tests/component` would fail at once if another did not have them.
"""

from __future__ import annotations

from collections.abc import Coroutine, Iterable
from contextvars import copy_context
from typing import Any

import componentize_py_async_support as support
import componentize_py_runtime as runtime

_YIELD = 1
_WAIT = 2
"""What a callback returns to the host: to be called again soon, or with the next event (Component Model,
Canonical ABI, `CallbackCode`)."""

_poll = support._poll


async def yield_to_host() -> None:
    """Suspends this task until the host has done everything else that can be done now.

    That is what is ready of other requests, and of the host's own tasks: tens of microseconds if nothing is.
    The shortest wait on a clock is a millisecond.
    """
    state: Any = support._future_state.get()
    if state.waitable_set is None:  # `_poll` expects one of every task that goes on
        state.waitable_set = runtime.waitable_set_new()
    again = support._loop.create_future()
    vars(state).setdefault("yielding", []).append(again)
    await again


def _poll_or_yield(state: Any) -> int:
    """Replaces `_poll`, which runs what is ready of a component-model task and returns what it waits for."""
    for again in vars(state).pop("yielding", ()):
        again.set_result(None)
    code = _poll(state)
    return _YIELD if code & 0xF == _WAIT and "yielding" in vars(state) else code


support._poll = _poll_or_yield  # type: ignore[assignment]


async def gather(coroutines: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Runs coroutines concurrently. Each may await calls of the host, and nothing else.

    `asyncio.gather` makes a task of each. In the guest a task costs more than a call: it is scheduled twice,
    by functions in Python. Here each coroutine is run directly, up to the host's promise, and on when the
    host has kept it.

    Raises:
        Exception: the first that left a coroutine. The others have ended too.
    """
    calls = _Calls()
    for coroutine in coroutines:
        calls.left += 1
        _Call(coroutine, calls).proceed()
    if calls.left:
        calls.ended = support._loop.create_future()
        await calls.ended
    if calls.error is not None:
        raise calls.error


class _Calls:
    """Calls in progress.

    Attributes:
        left: The number of calls that have not ended.
        ended: What is awaited until all have ended; None before that.
        error: The first exception that left a coroutine.
        context: Where the coroutines run.
        waiting: The futures that componentize-py has for the host's promises, by handle.
    """

    def __init__(self) -> None:
        self.left = 0
        self.ended: Any = None
        self.error: Exception | None = None
        self.context = copy_context()
        self.waiting: dict[int, Any] = support._future_state.get().futures


class _Call:
    """A call in progress, in the place of the future that componentize-py has for the host's promise."""

    __slots__ = ("_calls", "_coroutine", "_future")

    def __init__(self, coroutine: Coroutine[Any, Any, None], calls: _Calls) -> None:
        self._coroutine = coroutine
        self._calls = calls
        self._future: Any = None

    def set_result(self, event: int) -> None:
        """The host has kept its promise."""
        self._future.set_result(event)
        self._calls.context.run(self.proceed)

    def proceed(self) -> None:
        """Runs the coroutine up to its next promise, or to its end."""
        calls = self._calls
        try:
            self._future = self._coroutine.send(None)
        except StopIteration:
            pass
        except Exception as error:  # noqa: BLE001 - raised by `gather`; here it would be a trap
            calls.error = calls.error or error
        else:
            # The promise was the last to be entered, with the future that the coroutine awaits.
            calls.waiting[next(reversed(calls.waiting))] = self
            return
        calls.left -= 1
        if not calls.left and calls.ended is not None:
            calls.ended.set_result(None)
