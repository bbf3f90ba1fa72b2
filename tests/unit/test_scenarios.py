"""Scenarios in virtual time, and for each the defects that it must show.

What a schedule of `tests.simulated.schedules` cannot have: other sizes of values and of calls, answers that
come one by one, imports that stop the instance again and again, many callers of `/readyz`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import ready
from kv_batch import reachability, reading, waiting, wit, writing
from kv_batch.asynchronous import AsyncStore
from kv_batch.batch import Retry, delete_many, get_many, list_keys, set_many
from kv_batch.bucket import Learned, probe_key
from kv_batch.errors import BatchFailed, StoreBusy, StoreError, StoreUnreachable
from kv_batch.reachability import DRAIN_TIMEOUT, PROBE_TIMEOUT
from tests.simulated.engines import FOREVER, Fault, Nature, World, side_by_side

MS = 0.001

Scenario = Callable[[], None]
Defect = Callable[[pytest.MonkeyPatch], None]


async def timed(world: World, work: Coroutine[Any, Any, Any]) -> tuple[float, Exception | None]:
    """The seconds that it took, and its failure."""
    start, failure = world.loop.now, None
    try:
        await work
    except (StoreError, BatchFailed) as error:
        failure = error
    return world.loop.now - start, failure


def an_import_does_not_stretch_the_timeouts_of_others() -> None:
    """Its flushes stop the instance for 300 ms, again and again."""
    silent = Fault("stall", 1.0, 200.0)
    world = World({"A": Nature("SQLite", 300 * MS), "B": Nature("Redis", 20 * MS, faults=(silent,))})

    async def main() -> None:
        a, b = await world.open("A"), await world.open("B")
        done = False

        async def flush() -> None:
            while not done:
                await set_many(a, [("k", b"1")])
                await world.loop.wait(MS)

        world.loop.spawn(flush())
        await world.loop.wait(3.0)
        for _ in range(2):
            seconds, failure = await timed(world, get_many(b, ["k"]))
            assert isinstance(failure, StoreUnreachable)
            assert seconds < PROBE_TIMEOUT + 3 * 0.3
        done = True

    world.run(main())


def a_long_read_keeps_nobody_waiting() -> None:
    """200 answers that come one by one, over 80 seconds."""
    world = World({"A": Nature("Redis", 20 * MS, slow="s")})
    slow = [f"s{number}" for number in range(200)]
    world.engines["A"].put(dict.fromkeys(slow, b"1"))

    async def main() -> None:
        bucket = await world.open("A")
        bucket.learned.batch_reads.never(0.0)
        bucket.learned.read(1)  # all are read at once
        done: list[tuple[float, Exception | None]] = []
        large: list[tuple[float, Exception | None]] = []

        async def read() -> None:
            done.append(await timed(world, get_many(bucket, slow)))

        async def others() -> None:
            while not done:
                large.append(await timed(world, list_keys(bucket)))
                large.append(await timed(world, set_many(bucket, [(f"w{n}", b"1") for n in range(300)])))

        world.loop.spawn(read())
        world.loop.spawn(others())
        while not done:
            seconds, failure = await timed(world, get_many(bucket, ["k"]))
            assert failure is None
            assert seconds < 2 * DRAIN_TIMEOUT + 0.2
            await world.loop.wait(0.1)
        assert done[0][1] is None
        assert 75 < done[0][0] < 90
        for seconds, failure in large:
            cause = failure.cause if isinstance(failure, BatchFailed) else failure
            assert cause is None or isinstance(cause, StoreBusy)
            assert seconds < 25

    world.run(main())


def reads_that_fail_slowly_do_not_stop_the_instance() -> None:
    world = World(
        {
            "A": Nature("DynamoDB", 20 * MS, faults=(Fault("lost", 1.0, 60.0),)),
            "B": Nature("SQLite", 0.1 * MS),
        }
    )

    async def main() -> None:
        a, b = await world.open("A"), await world.open("B")
        await get_many(a, ["a", "b"])
        await world.loop.wait(1.0 - world.loop.now)

        async def read() -> None:
            while world.loop.now < 30:
                await timed(world, get_many(a, ["k"], retry=Retry(0)))

        for _ in range(4):
            world.loop.spawn(read())
        while world.loop.now < 30:
            _, failure = await timed(world, get_many(b, ["k"]))
            assert failure is None
            await world.loop.wait(0.05)

    world.run(main())
    assert max(end - start for start, end, _ in world.loop.still) < 0.1


def single_keys_with_large_values_are_read_by_their_sizes() -> None:
    world = World({"A": Nature("Redis", 20 * MS)})
    size = reading.CONCURRENT_BYTES // 4
    names = [f"k{number}" for number in range(100)]
    world.engines["A"].put(dict.fromkeys(names, bytes(size)))

    async def main() -> None:
        bucket = await world.open("A")
        bucket.learned.batch_reads.never(0.0)
        for most in 8, 4:  # nothing is known of the sizes; something is
            world.engines["A"].most_in_flight = 0
            assert len(await get_many(bucket, names)) == 100
            assert world.engines["A"].most_in_flight <= most

    world.run(main())


def a_limit_of_bytes_is_no_limit_of_keys() -> None:
    world = World({"A": Nature("DynamoDB", 20 * MS, most_bytes=4_000_000)})

    async def main() -> None:
        bucket = await world.open("A")
        await get_many(bucket, ["a", "b"])
        for _ in range(3):
            await set_many(bucket, [(f"k{number}", bytes(37_500)) for number in range(200)])
        world.engines["A"].calls.clear()
        await set_many(bucket, [(f"k{number}", b"1") for number in range(20_000)])
        assert [name for _, name, *_ in world.engines["A"].calls if name == "set_many"] == ["set_many"]

    world.run(main())


def a_hiccup_turns_no_batch_reads_off() -> None:
    world = World({"A": Nature("DynamoDB", 20 * MS, faults=(Fault("failing", 1.0, 1.5, 1.0),))})
    names = [f"k{number}" for number in range(100)]

    async def main() -> None:
        bucket = await world.open("A")
        await world.loop.wait(0.9)
        await bucket.get("a")
        while world.loop.now < 2.0:
            await timed(world, get_many(bucket, names, retry=Retry(0)))
        world.engines["A"].calls.clear()
        await get_many(bucket, names)
        assert [call[1] for call in world.engines["A"].calls] == ["get_many"]

    world.run(main())


def a_dead_store_refuses_no_key_by_itself() -> None:
    world = World({"A": Nature("Redis", 20 * MS, faults=(Fault("failing", 0.99, FOREVER, 1.0),))})

    async def main() -> None:
        bucket = await world.open("A")
        await world.loop.wait(0.9)
        await bucket.get("a")
        await world.loop.wait(0.999 - world.loop.now)
        _, failure = await timed(world, set_many(bucket, [("k", b"1")]))
        assert isinstance(failure, BatchFailed)
        assert failure.by_themselves == frozenset()

    world.run(main())


def the_test_of_a_store_changes_no_pair() -> None:
    world = World({"A": Nature("Redis", 20 * MS, refuses="/")})
    pairs = {"k0": b"1", "kv-batch: are you there?": b"2"}
    world.engines["A"].put(pairs)

    async def main() -> None:
        bucket = await world.open("A")
        _, failure = await timed(world, set_many(bucket, [("/", b"1")]))
        assert isinstance(failure, BatchFailed)
        assert failure.by_themselves == {"/"}
        await delete_many(bucket, ["other"])
        assert world.engines["A"].data == pairs
        assert re.fullmatch("[a-z0-9-]{32,}", probe_key())

    world.run(main())


def all_callers_of_readyz_are_answered_in_time() -> None:
    silent = Fault("stall", 5.0, 60.0)
    world = World({"A": Nature("Redis", 200 * MS, faults=(silent,))})

    async def main() -> None:
        readiness = ready.Readiness()

        async def probe(label: str) -> None:
            await (await world.open(label)).answers()

        async def ask(expected: str) -> None:
            seconds, _ = await timed(world, answered(expected))
            assert seconds < PROBE_TIMEOUT + 0.5

        async def answered(expected: str) -> None:
            assert await readiness.state("A", probe) in expected.split()

        for start, expected in (0.0, "ok"), (4.0, "ok"), (7.0, "ok store-failed"), (14.0, "store-failed"):
            await world.loop.wait(start - world.loop.now)
            await side_by_side(*(ask(expected) for _ in range(40)))
        assert len([name for _, name, *_ in world.engines["A"].calls if name == "exists"]) <= 3

    world.run(main())


def _poll_of_20_ms_at_most(patch: pytest.MonkeyPatch) -> None:
    async def looked(
        clock: Any, condition: Any, deadline: Any, wait: Any, least: float, share: int, most: float
    ) -> bool:
        seconds, waited = deadline() - clock.now(), 0.0
        while not condition():
            if waited >= seconds:
                return False
            look, start = min(max(least, waited / share), most), clock.now()
            await wait(look)
            waited += min(clock.now() - start, look + 0.01)
        return True

    patch.setattr(waiting, "_looked", looked)


def _rounds_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reachability, "DRAIN_TIMEOUT", 300.0)


def _rounds_called_unreachable(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reachability, "StoreBusy", StoreUnreachable)


def _every_store_a_file(patch: pytest.MonkeyPatch) -> None:
    probe = AsyncStore._probe

    async def file(self: AsyncStore, task: Any) -> bool:
        await probe(self, task)
        return True

    patch.setattr(AsyncStore, "_probe", file)


def _sizes_forgotten(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Learned, "read", lambda self, largest: setattr(self, "largest", 0))


def _many_at_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reading, "UNKNOWN_SIZES", 512)


def _bytes_that_teach(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writing, "TEACHING_BYTES", 1 << 60)


def _errors_that_teach(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(wit, "NO_BATCH_READS", re.compile(""))


def _no_test_of_the_store(patch: pytest.MonkeyPatch) -> None:
    async def probe(self: writing.Write[Any]) -> bool:
        self._suspects.clear()
        return True

    patch.setattr(writing.Write, "_probe", probe)


def _probe_key_of_a_client(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writing, "probe_key", lambda: "kv-batch: are you there?")


def _probe_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reachability, "PROBE_TIMEOUT", 1_000.0)


def _probes_without_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ready, "PROBE_INTERVAL", 0.0)
    patch.setattr(ready, "LONGEST_PROBE", 0.0)
    patch.setattr(reachability, "PROBE_TTL", -1.0)


SCENARIOS: dict[Scenario, tuple[Defect, ...]] = {
    an_import_does_not_stretch_the_timeouts_of_others: (_poll_of_20_ms_at_most,),
    a_long_read_keeps_nobody_waiting: (_rounds_waited_for, _rounds_called_unreachable),
    reads_that_fail_slowly_do_not_stop_the_instance: (_every_store_a_file,),
    single_keys_with_large_values_are_read_by_their_sizes: (_sizes_forgotten, _many_at_first),
    a_limit_of_bytes_is_no_limit_of_keys: (_bytes_that_teach,),
    a_hiccup_turns_no_batch_reads_off: (_errors_that_teach,),
    a_dead_store_refuses_no_key_by_itself: (_no_test_of_the_store,),
    the_test_of_a_store_changes_no_pair: (_probe_key_of_a_client,),
    all_callers_of_readyz_are_answered_in_time: (_probe_for_ever, _probes_without_end),
}


@pytest.fixture(autouse=True)
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readiness takes the time of the loop."""
    worlds: list[World] = []
    init = World.__post_init__

    def remember(world: World) -> None:
        init(world)
        worlds.append(world)

    monkeypatch.setattr(World, "__post_init__", remember)
    monkeypatch.setattr(ready, "time", SimpleNamespace(monotonic=lambda: worlds[-1].loop.now))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.__name__)
def test_a_scenario_ends_well(scenario: Scenario) -> None:
    scenario()


@pytest.mark.parametrize(
    ("scenario", "defect"),
    [(scenario, defect) for scenario, defects in SCENARIOS.items() for defect in defects],
    ids=lambda each: each.__name__.strip("_"),
)
def test_a_defect_is_seen(scenario: Scenario, defect: Defect, monkeypatch: pytest.MonkeyPatch) -> None:
    defect(monkeypatch)
    with pytest.raises(AssertionError):
        scenario()
