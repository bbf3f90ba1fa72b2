"""What componentize-py's asyncio support lacks: yielding to the host, and an event loop with little Python.

It changes names of `componentize_py_async_support` that are internal to componentize-py 0.25.1. That version
is pinned, and `tests/component` would fail at once if another did not have them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

import componentize_py_async_support as support
import componentize_py_runtime as runtime

_YIELD = 1
_WAIT = 2
"""What a callback returns to the host: to be called again soon, or with the next event (Component Model,
Canonical ABI, `CallbackCode`)."""

_poll = support._poll

task_state: Callable[[], Any] = support._future_state.get
"""Returns the state of the current task of the component model. There is none in a callback of the host."""

new_future: Callable[[], Any] = support._loop.create_future
"""Returns a future that the same task of the component model must resolve: no other one can wake it."""


async def yield_to_host(times: int = 1) -> None:
    """Suspends this task until the host has done everything else that can be done now, so many times.

    That is what is ready of other requests, and of the host's own tasks: tens of microseconds if nothing is.
    The shortest wait on a clock is a millisecond.
    """
    state = task_state()
    again = new_future()
    vars(state).setdefault("yielding", []).append((again, times))
    await again


def _poll_or_yield(state: Any) -> int:
    """Replaces `_poll`, which runs what is ready of a component-model task and returns what it waits for."""
    yielding = vars(state).pop("yielding", None)
    if yielding is None:
        if state.pending_count and not state.handles:  # an event that was no step of a task
            runtime.context_set(state)
            return _WAIT | state.waitable_set << 4  # type: ignore[no-any-return]
    else:
        left = [(again, times - 1) for again, times in yielding if times > 1]
        if left:
            state.yielding = left
        if len(left) == len(yielding) and not state.handles:
            runtime.context_set(state)
            return _YIELD
        for again, times in yielding:
            if times == 1:
                again.set_result(None)
    return _poll_once(state)


def _poll_once(state: Any) -> int:
    code = _poll(state)
    return _YIELD if code & 0xF == _WAIT and "yielding" in vars(state) else code


def _call_soon(_loop: Any, callback: Callable[..., object], *args: object, context: Context) -> None:
    """Replaces `call_soon` of the event loop, which makes an `asyncio.Handle` for each step of a task.

    Nothing here cancels a step, and to make and run a handle takes more Python than most steps.
    """
    context[support._future_state].handles.append((context.run, callback, args))  # type: ignore[arg-type]


def _run_ready(loop: Any, state: Any) -> None:
    """Replaces `poll` of the event loop: runs what is ready, and what becomes ready thereby."""
    while ready := state.handles:
        state.handles = []
        for run, callback, args in ready:
            run(callback, *args)
    # `_first_poll` has run the first step of a task before, so there may be an exception without a step here.
    if loop.exception is not None:
        raise loop.exception


def _first_poll(export_index: int, borrows: int, coroutine: Coroutine[Any, Any, Any]) -> int:
    """Replaces `first_poll`, which begins a component-model task: this one begins at once, in fewer steps."""
    context = Context()
    # Every request waits for something, and then its task needs a set of what it waits for.
    state: Any = support._FutureState(runtime.waitable_set_new(), {}, [], 1)
    context.run(support._future_state.set, state)
    returning = support._return_result(export_index, borrows, coroutine)
    asyncio.Task(returning, loop=support._loop, context=context, eager_start=True)  # type: ignore[call-arg]
    return _poll_once(state)


support.first_poll = _first_poll
support._poll = _poll_or_yield  # type: ignore[assignment]
support._Loop.call_soon = _call_soon  # type: ignore[assignment, method-assign]
support._Loop.poll = _run_ready  # type: ignore[assignment, method-assign]
