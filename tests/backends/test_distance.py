"""The contract and its durations on distant engines: up to 200 ms of round trip time."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.backends.behind_spin import spin_over
from tests.backends.contract import CASES, RIGHT, Case, Gateway, outcome
from tests.backends.engines import ENGINES, redis
from tests.backends.network import Link, network, why_not_away
from tests.backends.timing import REQUESTS, Request, Spins, spins_over
from tests.conftest import FIGURES

ALL = os.environ.get("DISTANCES") == "all"

DISTANCES = [0, 2, 20, 100] if ALL else [2, 20, 100]
"""Round trip times in milliseconds at which the contract is tested. test_contract.py tests it at 0."""

TIMED = [0, 2, 20, 100, 200] if ALL else [200]
"""Round trip times at which durations are measured. At 200 an extra round trip shows on any busy machine."""

TRIES = 5 if ALL else 3


def busy(request: Request) -> float:
    """The maximum time of a request without its round trips, in seconds, on a busy machine."""
    return 0.1 + 3 * request.besides


@dataclass(frozen=True)
class Far:
    """A distant engine, and kv-batch over it."""

    link: Link
    gateway: Gateway


@pytest.fixture(scope="module", params=["Redis", "DynamoDB (moto)"])
def far(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Far]:
    name = str(request.param)
    if missing := why_not_away(name):
        pytest.skip(f"{name}: {missing}")
    data = tmp_path_factory.mktemp("far")
    with ExitStack() as stack:
        engine = stack.enter_context(ENGINES[name](data))
        link, engine = stack.enter_context(network(engine, data))
        yield Far(link, Gateway(spin_over(engine, data, stack).url))


@pytest.mark.parametrize("milliseconds", DISTANCES)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_contract_is_kept(far: Far, case: Case, milliseconds: int) -> None:
    far.link.distance(milliseconds / 1_000)
    assert outcome(case, far.gateway, far.gateway) == RIGHT


@pytest.fixture(scope="module")
def timed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Link, Spins]]:
    if missing := why_not_away("Redis"):
        pytest.skip(f"Redis: {missing}")
    data = tmp_path_factory.mktemp("timed")
    with ExitStack() as stack:
        engine = stack.enter_context(redis(data))
        link, engine = stack.enter_context(network(engine, data))
        spins = stack.enter_context(spins_over(engine, data))
        spins.fill()
        yield link, spins


@pytest.mark.parametrize("milliseconds", TIMED)
def test_a_request_takes_few_round_trips(
    timed: tuple[Link, Spins], milliseconds: int, request: pytest.FixtureRequest
) -> None:
    link, spins = timed
    link.distance(milliseconds / 1_000)
    spins.warm()
    late = []
    figures = []
    for each in REQUESTS:
        took = statistics.median(spins.seconds(each) for _ in range(TRIES))
        figures.append(f"{each.name} {took * 1_000:.0f}")
        if took > each.round_trips * milliseconds / 1_000 + busy(each):
            late.append(figures[-1])
    request.config.stash[FIGURES].append(
        f"Redis, {milliseconds} ms of round trip, medians of {TRIES} in ms: {', '.join(figures)}"
    )
    assert not late
