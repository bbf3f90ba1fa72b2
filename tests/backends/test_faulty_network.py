"""A network that stalls, resets connections in the middle of an answer, or is slow.

In each case every request is answered within a bound, and every answer is true.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass

import pytest

from tests.backends.behind_spin import spin_over
from tests.backends.contract import Gateway, numbered
from tests.backends.engines import ENGINES
from tests.backends.network import Link, network, why_not_away
from tests.backends.witness import eventually, watching
from tests.conftest import FIGURES

WITNESSES = 6

STALL = 10.0
"""Seconds without any data."""

STALL_BOUND = 25.0
"""The maximum time of a request during a stall, in seconds: a call that blocks the instance ends with the
stall, and a call that waits for it may still make one call."""

BACK = 10.0
"""Seconds within which a store with a lost connection works again. Spin's Redis client reconnects after one
or two seconds."""

SLOW = 100
"""KB per second."""


@dataclass(frozen=True)
class Away:
    """An engine behind a link, with Spin over it."""

    name: str
    link: Link
    gateway: Gateway
    url: str


@pytest.fixture(scope="module", params=["Redis", "DynamoDB (moto)"])
def away(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Away]:
    name = str(request.param)
    if missing := why_not_away(name):
        pytest.skip(f"{name}: {missing}")
    data = tmp_path_factory.mktemp("away")
    with ExitStack() as stack:
        engine = stack.enter_context(ENGINES[name](data))
        link, far = stack.enter_context(network(engine, data, 0.002))
        url = spin_over(far, data, stack).url
        yield Away(name, link, Gateway(url), url)


def served_again(away: Away) -> float:
    pairs = list(numbered(200).items())
    took = eventually(lambda: away.gateway.call("set_many", pairs), BACK)
    took += eventually(lambda: away.gateway.call("get_many", [key for key, _ in pairs]), BACK)
    assert away.gateway.call("get_many", [key for key, _ in pairs]) == pairs
    return took


def through(away: Away, fault: AbstractContextManager[None], seconds: float, bound: float) -> str:
    # The keys of an earlier test may hold what it wrote.
    name = f"witness {time.monotonic_ns()}"
    with watching(away.url, WITNESSES, name) as witnesses:
        time.sleep(2)
        with fault:
            time.sleep(seconds)
        time.sleep(3)
    longest = max(each.longest for each in witnesses)
    answers = [sum(each.answers.get(status, 0) for each in witnesses) for status in (200, 502, 503)]
    assert longest < bound
    again = served_again(away)
    for witness in witnesses:
        witness.read([f"{witness.name} {i}" for i in range(150)])
    done, failed, busy = answers
    return (
        f"{done} done, {failed} failed, {busy} busy; longest {longest:.1f} s; served again in {again:.1f} s"
    )


def test_a_stall_is_told_and_gone_when_it_ends(away: Away, request: pytest.FixtureRequest) -> None:
    seen = through(away, away.link.stalled(), STALL, STALL_BOUND)
    request.config.stash[FIGURES].append(f"{away.name}, nothing comes for {STALL:.0f} s: {seen}")


@pytest.mark.parametrize("count", [1, 1_000])
def test_an_answer_that_is_cut_is_no_answer(away: Away, count: int, request: pytest.FixtureRequest) -> None:
    seen = through(away, away.link.cut_after(count), 0.5, STALL_BOUND)
    request.config.stash[FIGURES].append(f"{away.name}, cut after {count:,} bytes: {seen}")


def test_a_connection_that_is_reset_is_made_again(away: Away, request: pytest.FixtureRequest) -> None:
    seen = through(away, away.link.reset_after(0.2), 0.5, STALL_BOUND)
    request.config.stash[FIGURES].append(f"{away.name}, reset: {seen}")


def test_values_come_through_a_slow_link_and_small_ones_meanwhile(
    away: Away, request: pytest.FixtureRequest
) -> None:
    large = [(f"large {i}", bytes([65 + i]) * 300_000) for i in range(2)]
    with away.link.slow(SLOW):
        start = time.monotonic()
        with watching(away.url, 1) as (witness,):
            away.gateway.call("set_many", large)
            assert away.gateway.call("get_many", [key for key, _ in large]) == large
        took = time.monotonic() - start
    least = 2 * 600_000 / (SLOW * 1_000)
    assert least * 0.8 < took < 2 * least + 10
    request.config.stash[FIGURES].append(
        f"{away.name} at {SLOW} KB/s: 600 KB there and back in {took:.1f} s (at least {least:.0f}); "
        f"small ones meanwhile {witness.answers}, longest {witness.longest:.1f} s"
    )
