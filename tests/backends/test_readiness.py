"""`GET /readyz` by many callers at once, over a distant Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from tests.backends.behind_spin import spin_over
from tests.backends.engines import redis
from tests.backends.network import Link, network, why_not_away

ROUND_TRIP = 0.2
"""The round trip time to Redis, in seconds."""


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Link, str]]:
    if missing := why_not_away("Redis"):
        pytest.skip(f"Redis: {missing}")
    data = tmp_path_factory.mktemp("ready")
    with ExitStack() as stack:
        link, engine = stack.enter_context(network(stack.enter_context(redis(data)), data, ROUND_TRIP))
        yield link, spin_over(engine, data, stack).url


def at_once(count: int, url: str) -> tuple[list[httpx.Response], float]:
    """The answers to so many requests at once, and the seconds until the last."""
    with httpx.Client(timeout=30, limits=httpx.Limits(max_connections=count)) as client:
        start = time.perf_counter()
        with ThreadPoolExecutor(count) as pool:
            answers = list(pool.map(lambda _: client.get(url), range(count)))
        return answers, time.perf_counter() - start


def test_all_callers_at_once_are_answered_and_take_no_place_of_others(far: tuple[Link, str]) -> None:
    _, url = far
    for _ in range(2):
        answers, seconds = at_once(40, f"{url}/readyz")
        assert {(each.status_code, each.text) for each in answers} == {
            (200, '{"stores": {"default": "ok"}}\n')
        }
        assert seconds < 6
    answers, seconds = at_once(16, f"{url}/v1/default?key=a")
    assert {each.status_code for each in answers} == {200}
    assert seconds < 1


def test_a_silent_store_is_told_to_all_callers_in_time(far: tuple[Link, str]) -> None:
    link, url = far
    with link.stalled():
        time.sleep(1.1)  # until it is asked again
        answers, seconds = at_once(40, f"{url}/readyz")
        assert seconds < 6
        time.sleep(1.1)
        answers, seconds = at_once(40, f"{url}/readyz")
        assert {each.status_code for each in answers} == {503}
        assert seconds < 6
    time.sleep(1.1)
    answers, _ = at_once(40, f"{url}/readyz")
    time.sleep(1.1)
    answers, _ = at_once(40, f"{url}/readyz")
    assert {each.status_code for each in answers} == {200}
