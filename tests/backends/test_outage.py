"""An engine that goes down and comes back, and an engine that several Spins share."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.backends.behind_spin import spin_over
from tests.backends.contract import Gateway, Refused, numbered
from tests.backends.engines import redis, why_not
from tests.servers import why_not as why_no_host

BOUND = 15
"""Seconds in which a gateway whose store is down must answer."""

RECONNECT = 150
"""Seconds within which Spin reconnects to a Redis that is back: after the first retry it waits one to two
minutes before each further one (redis-rs 0.32)."""


@pytest.fixture(autouse=True)
def _needs() -> None:
    missing = why_no_host("spin") or why_not("Redis")
    if missing:
        pytest.skip(f"Redis: {missing}")


def test_a_store_that_goes_away_is_told_and_served_again_when_it_is_back(tmp_path: Path) -> None:
    pairs = list(numbered(1_000).items())
    keys = [key for key, _ in pairs]
    with ExitStack() as stack:
        with redis(tmp_path) as engine:
            server = spin_over(engine, tmp_path, stack)
            gateway = Gateway(server.url)
            gateway.call("set_many", pairs)
            assert gateway.call("get_many", keys) == pairs
        for operation, items in (("set_many", pairs), ("delete_many", keys), ("get_many", keys)):
            start = time.monotonic()
            with pytest.raises(Refused) as down:
                gateway.call(operation, items)
            took = time.monotonic() - start
            problem = down.value.problem
            assert (problem["status"], problem["type"]) == (502, "/problems/store-failed")
            assert took < BOUND
            if operation != "get_many":
                assert problem["applied"] == 0
                named = [each["key"] for each in problem["failed"]] + problem["not_attempted"]
                assert sorted(named) == sorted(keys)
        with redis(tmp_path, engine.port):
            end = time.monotonic() + RECONNECT
            while True:  # Spin reconnects by itself
                try:
                    gateway.call("set_many", pairs)
                except Refused:
                    assert time.monotonic() < end, "not served again"
                    time.sleep(0.2)
                else:
                    break
            assert gateway.call("get_many", keys) == pairs


def test_many_clients_at_once_get_answers(tmp_path: Path) -> None:
    """All clients at once read single keys concurrently and make calls that block the instance.

    Spin's Redis client accepts 50 commands at a time, in order of arrival. If a blocking call stopped a
    command that waits there, no other command could pass it.
    """
    turns, clients = 30, 16

    def client(url: str, number: int) -> int:
        gateway = Gateway(url)
        pairs = [(f"{number}:{index}", b"%d" % index) for index in range(150)]
        for _ in range(turns):
            gateway.call("set_many", pairs)
            assert gateway.call("get_many", [key for key, _ in pairs]) == pairs
            assert gateway.call("get_many", [pairs[0][0]]) == pairs[:1]
            gateway.call("delete_many", [key for key, _ in pairs])
        return turns

    with ExitStack() as stack:
        engine = stack.enter_context(redis(tmp_path))
        url = spin_over(engine, tmp_path, stack).url
        with ThreadPoolExecutor(clients) as pool:
            done = [pool.submit(client, url, number) for number in range(clients)]
            assert sum(each.result(timeout=120) for each in done) == turns * clients


def test_two_spins_over_one_engine_read_each_others_writes(tmp_path: Path) -> None:
    with ExitStack() as stack:
        engine = stack.enter_context(redis(tmp_path))
        first, second = (
            Gateway(spin_over(engine, tmp_path / name, stack).url) for name in ("first", "second")
        )
        for turn in range(20):
            for writer, reader in ((first, second), (second, first)):
                pairs = [(f"key {i}", b"%d of turn %d" % (i, turn)) for i in range(50)]
                writer.call("set_many", pairs)
                assert reader.call("get_many", [key for key, _ in pairs]) == pairs
                reader.call("delete_many", [key for key, _ in pairs])
                assert all(value is None for _, value in writer.call("get_many", [key for key, _ in pairs]))
