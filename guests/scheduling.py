"""What componentize-py's asyncio support lacks: yielding to the host.

It changes names of `componentize_py_async_support` that are internal to componentize-py 0.25.1. That version
is pinned, and `tests/component` would fail at once if another did not have them.
"""

from __future__ import annotations

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
