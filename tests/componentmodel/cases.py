"""Single cases on the host of this directory. `tests/unit/test_fake_host.py` runs each as a test.

The first is about the entry. The others have a small handler in its place, and are about the scheduling below
it (`guests.scheduling`, `guests.handles`), or about what the host finds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.componentmodel.entry import INSTANCE, Run  # first: the bindings import the host

# isort: split
import wit_world
from componentize_py_async_support import spawn
from wit_world.imports import monotonic_clock
from wit_world.imports.wasi_http_types import Fields, Response

from guests.handles import Future, Sending, together
from guests.scheduling import yield_to_host
from tests.componentmodel.host import Trap
from tests.componentmodel.interfaces import Engine, Request

MS = 1_000_000


def every_place_comes_back_after_readyz_was_asked_16_times_at_once() -> None:
    """On a store that is 100 ms away, each request asks while the first one still does."""
    run = Run(0, default=Engine(delay=0.1))
    run.send(*(Request(0.0, "GET", "/readyz") for _ in range(INSTANCE.most_at_once)))
    run.send(*(Request(2.0, "GET", "/readyz") for _ in range(INSTANCE.most_at_once)))
    run.run()
    run.check()
    assert {request.status for request in run.requests} == {200}


def an_exception_in_the_first_step_is_that_of_its_own_request() -> None:
    async def handle() -> None:
        raise RuntimeError("in the first step")

    assert repr(_trap_of(handle)) == repr(RuntimeError("in the first step"))


def an_exception_in_a_later_step_is_that_of_its_own_request() -> None:
    async def handle() -> None:
        await monotonic_clock.wait_for(MS)
        raise RuntimeError("in a later step")

    assert repr(_trap_of(handle)) == repr(RuntimeError("in a later step"))


def an_exception_of_a_spawned_task_is_that_of_its_own_request() -> None:
    async def fail() -> None:
        raise RuntimeError("spawned")

    async def handle() -> None:
        spawn(fail())

    assert repr(_trap_of(handle)) == repr(RuntimeError("spawned"))


def calls_made_together_end_in_any_order() -> None:
    ended: list[int] = []

    async def wait(milliseconds: int) -> None:
        await monotonic_clock.wait_for(milliseconds * MS)
        await monotonic_clock.wait_for(MS)
        ended.append(milliseconds)

    async def handle() -> None:
        await together(map(wait, (30, 10, 20)))

    _run(handle)
    assert ended == [10, 20, 30]


def calls_made_together_are_those_of_the_host_and_no_others() -> None:
    """Whatever else one waits for, the calls of the others must not wake it in its place."""
    errors: list[str] = []
    ended: list[str] = []

    async def wait() -> None:
        await monotonic_clock.wait_for(10 * MS)
        ended.append("call")

    async def waits_at_once() -> None:
        await yield_to_host()
        ended.append("yield")

    async def waits_after_a_call() -> None:
        await monotonic_clock.wait_for(5 * MS)
        await yield_to_host()
        ended.append("yield")

    async def handle() -> None:
        for other in ((wait, waits_at_once), (waits_at_once,), (wait, waits_after_a_call)):
            try:
                await together(coroutine() for coroutine in other)
            except RuntimeError as error:
                errors.append(str(error))
        await monotonic_clock.wait_for(20 * MS)

    _run(handle)
    assert ended == ["call", "call"]
    assert [error.partition(" waits for ")[2] for error in errors] == [
        "something that is no call of the host"
    ] * 3


def errors_of_calls_made_together_are_raised_once_and_reach_no_other_request() -> None:
    async def fail(milliseconds: int) -> None:
        if milliseconds:
            await monotonic_clock.wait_for(milliseconds * MS)
        raise ValueError(milliseconds)

    async def handle() -> None:
        for all_of_them in ((5, 10), (5, 0)):
            try:
                await together(map(fail, all_of_them))
            except ValueError as error:
                raised.append(error.args[0])
        await monotonic_clock.wait_for(20 * MS)

    raised: list[int] = []
    _run(handle)
    assert raised == [5, 0]


# What the host finds


def a_request_that_waits_for_another_one_is_never_woken() -> None:
    waiting: list[asyncio.Future[None]] = []

    async def handle() -> None:
        if waiting:
            waiting.pop().set_result(None)
        else:
            waiting.append(asyncio.get_running_loop().create_future())
            await waiting[0]

    _broken(handle, "was never answered", requests=2)


def a_handle_that_is_kept_is_left() -> None:
    kept: list[Any] = []

    async def handle() -> None:
        kept.extend(wit_world.byte_stream())

    _broken(handle, "is left: the writable end of a stream")


def a_handle_that_is_dropped_twice_is_a_trap() -> None:
    async def handle() -> None:
        writer: Any = wit_world.byte_stream()[0]
        INSTANCE.stream_drop_writable(0, writer.handle)

    _broken(handle, "is None, and not a End")


def an_exception_that_nobody_has_seen_is_found() -> None:
    async def handle() -> None:
        future = asyncio.get_running_loop().create_future()
        future.set_exception(ValueError("unseen"))

    _broken(handle, "unseen")


class _Handler:
    """A handler that runs a coroutine, and then answers."""

    def __init__(self, work: Callable[[], Awaitable[None]]) -> None:
        self._work = work

    async def handle(self, _: Any) -> Response:
        await self._work()
        writer, body = wit_world.byte_stream()
        trailers = Future(wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future)
        response = Response.new(Fields.from_list([]), body, trailers.reader)[0]
        Sending(writer, b"done", trailers)
        return response


def _run(work: Callable[[], Awaitable[None]], requests: int = 1) -> None:
    """Runs a coroutine in each of some requests.

    Raises:
        Trap, AssertionError: as `Run.run` and `Run.check`.
    """
    run = Run(0, handler=_Handler(work))
    run.send(*(Request(0.001 * number, "GET", "/") for number in range(requests)))
    run.run()
    run.check()
    assert [request.answer for request in run.requests] == [b"done"] * requests


def _trap_of(work: Callable[[], Awaitable[None]]) -> BaseException | None:
    """The exception with which a request ends the instance."""
    try:
        _run(work)
    except Trap as trap:
        return trap.__cause__
    return None


def _broken(work: Callable[[], Awaitable[None]], message: str, requests: int = 1) -> None:
    try:
        _run(work, requests)
    except (AssertionError, Trap) as error:
        assert message in f"{error} {error.__cause__}", error  # noqa: PT017 - there is no pytest
    else:
        raise AssertionError("it was not found")
