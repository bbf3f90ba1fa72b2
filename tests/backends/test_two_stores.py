"""Two clients on two stores of one Spin, one of them distant: neither waits for the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import httpx
import pytest

from kv_batch.reachability import PROBE_TIMEOUT, PROBE_TTL
from tests.backends.behind_spin import spin_over
from tests.backends.engines import ENGINES
from tests.backends.network import Link, network, why_not_away
from tests.backends.test_deploy import manifest_with
from tests.conftest import FIGURES

ROUND_TRIP = 0.2
"""The round trip time to the distant store, in seconds."""

SECONDS = 2.0
"""The duration of each load, in seconds."""

KEYS = [f"key {i}" for i in range(1_000)]


@dataclass(frozen=True)
class Load:
    """The request that one client repeats, and the duration of each in seconds."""

    store: str
    path: str
    body: object
    took: list[float] = field(default_factory=list)

    def run(self, url: str) -> None:
        """Repeats the request for SECONDS."""
        with httpx.Client(base_url=f"{url}/v1/{self.store}", timeout=60) as client:
            end = time.perf_counter() + SECONDS
            while (start := time.perf_counter()) < end:
                client.post(self.path, json=self.body).raise_for_status()
                self.took.append(time.perf_counter() - start)

    def part(self, of_hundred: int) -> float:
        """A percentile of the durations, in seconds."""
        return sorted(self.took)[min(len(self.took) * of_hundred // 100, len(self.took) - 1)]

    def __str__(self) -> str:
        return f"p50 {self.part(50) * 1_000:.0f} ms, p99 {self.part(99) * 1_000:.0f} ms"


def pairs(count: int) -> dict[str, object]:
    return {"pairs": [{"key": key, "value": "x"} for key in KEYS[:count]]}


def near() -> Load:
    return Load("default", "/get-many", {"keys": KEYS[:1]})


FAR = {
    "get-many of 1 key": ("/get-many", {"keys": KEYS[:1]}),
    "set-many of 2 pairs": ("/set-many", pairs(2)),
    "get-many of 100 keys": ("/get-many", {"keys": KEYS[:100]}),
    "set-many of 1,000 pairs": ("/set-many", pairs(1_000)),
}

TRIES = 3
"""Two clients may meet in one instance and stay in step: each answer to the one that blocks is followed by
the next request of both, and all requests of the other wait. That is rare, and does not happen each time."""

SILENCE = 12.0
"""Seconds for which the distant store is silent."""

STOPPED = {
    "Redis": {"set-many of 1,000 pairs"},
    "DynamoDB (moto)": {"set-many of 2 pairs", "get-many of 100 keys", "set-many of 1,000 pairs"},
}
"""Requests whose calls block the instance, since the host has no other calls for them. Another request in the
same instance waits until the store has answered. Later requests do not wait: Spin starts them in another
instance."""


@dataclass(frozen=True)
class Both:
    """A Spin with SQLite as `default` and a distant engine as `cache`."""

    name: str
    link: Link
    url: str


@pytest.fixture(scope="module", params=["Redis", "DynamoDB (moto)"])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Both]:
    name = str(request.param)
    if missing := why_not_away(name):
        pytest.skip(f"{name}: {missing}")
    data = tmp_path_factory.mktemp("both")
    with ExitStack() as stack:
        engine = stack.enter_context(ENGINES[name](data))
        link, engine = stack.enter_context(network(engine, data))
        config = engine.runtime_config.replace("key_value_store.default", "key_value_store.cache")
        manifest = manifest_with('["default", "cache"]', data)
        url = spin_over(replace(engine, runtime_config=config), data, stack, manifest=manifest).url
        for store in ("default", "cache"):
            httpx.post(f"{url}/v1/{store}/set-many", json=pairs(1_000), timeout=60).raise_for_status()
        link.distance(ROUND_TRIP)
        yield Both(name, link, url)


@pytest.mark.parametrize("asked", FAR)
def test_neither_waits_for_the_other(both: Both, asked: str, request: pytest.FixtureRequest) -> None:
    near_alone, far_alone = near(), Load("cache", *FAR[asked])
    for load in (near_alone, far_alone):
        load.run(both.url)
    stopped = asked in STOPPED[both.name]
    for _ in range(TRIES if stopped else 1):
        near_beside, far_beside = near(), Load("cache", *FAR[asked])
        threads = [threading.Thread(target=load.run, args=(both.url,)) for load in (near_beside, far_beside)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if near_beside.part(50) < near_alone.part(50) + ROUND_TRIP / 4:
            break
    request.config.stash[FIGURES].append(
        f"SQLite beside {both.name} at {ROUND_TRIP * 1_000:.0f} ms, {asked}: "
        f"SQLite alone {near_alone}, beside {near_beside}; the other alone {far_alone}, beside {far_beside}"
    )
    assert near_beside.part(50) < near_alone.part(50) + ROUND_TRIP / 4
    if not stopped:
        assert near_beside.part(99) < near_alone.part(99) + ROUND_TRIP / 2
    assert far_beside.part(50) < 2 * far_alone.part(50) + ROUND_TRIP / 2


def test_a_silent_store_keeps_no_reader_of_the_other_waiting(both: Both) -> None:
    """Reads of single keys wait for it without stopping the instance, and end in time."""
    took: list[float] = []
    end = time.perf_counter() + PROBE_TTL + SILENCE

    def read_far() -> None:
        with httpx.Client(timeout=60) as client:
            while (start := time.perf_counter()) < end:
                client.get(f"{both.url}/v1/cache?key={KEYS[0]}")
                took.append(time.perf_counter() - start)

    near_by = Load("default", "/get-many", {"keys": KEYS[:1]})
    threads = [threading.Thread(target=read_far) for _ in range(4)]
    with both.link.stalled():
        time.sleep(PROBE_TTL + 0.1)  # a call now is made after a probe
        for thread in threads:
            thread.start()
        while time.perf_counter() < end:
            near_by.run(both.url)
    for thread in threads:
        thread.join()
    assert max(near_by.took) < 0.3
    assert max(took) < ROUND_TRIP + PROBE_TIMEOUT + 1
