"""The contract, the gate and the adapter in virtual time: generated schedules, and what they have shown.

`SEED=n pytest tests/unit/test_simulated.py` plays the schedule of one seed; SCHEDULES=n plays so many.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Coroutine
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from random import Random
from typing import Any, TypeVar

import pytest

from kv_batch import reachability, waiting, writing
from kv_batch.batch import delete_many, get_many, list_keys, set_many
from kv_batch.bucket import Bucket, Clock, Limit
from kv_batch.errors import BatchFailed, StoreError, StoreFailed, StoreUnreachable
from kv_batch.reachability import PROBE_TIMEOUT, ROUND_TIMEOUT, Reachability
from tests.simulated.engines import Fault, Nature, World, side_by_side
from tests.simulated.loop import Deadlock, Loop
from tests.simulated.schedules import Play, play, play_all, schedule

SCHEDULES = int(os.environ.get("SCHEDULES", "20000"))
PROCESSES = 2
CHUNK = 250

MS = 0.001

Result = TypeVar("Result")


def test_whatever_happens_to_the_stores_each_request_ends_in_time_with_the_truth() -> None:
    if seed := os.environ.get("SEED"):
        play(int(seed))
        return
    chunks = [(first, min(CHUNK, SCHEDULES - first)) for first in range(0, SCHEDULES, CHUNK)]
    played = 0
    failures: list[str] = []
    # Not forked: what else the test run has started may hold locks.
    with ProcessPoolExecutor(PROCESSES, multiprocessing.get_context("spawn")) as pool:
        for count, failed in pool.map(play_all, *zip(*chunks, strict=True)):
            played += count
            failures += failed
            if failures:
                pool.shutdown(cancel_futures=True)
                break
    assert not failures, "\n\n".join(failures)
    assert played == SCHEDULES


# What the schedules can find


def _without_the_end_of_its_own_rounds(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reachability, "ROUND_TIMEOUT", 0.0)


def _without_a_doubt(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(writing.Write, "_mark_unknown", lambda *_: None)


def _without_patience_for_a_blocked_instance(patch: pytest.MonkeyPatch) -> None:
    """The last look, after the deadline, is left out."""
    looked = waiting._looked

    async def once(clock: Any, condition: Any, deadline: Any, wait: Any, *pace: Any) -> bool:
        async def until_the_deadline(seconds: float) -> None:
            if deadline() <= clock.now():
                raise TimeoutError
            await wait(seconds)

        try:
            return await looked(clock, condition, deadline, until_the_deadline, *pace)
        except TimeoutError:
            return False

    patch.setattr(waiting, "_looked", once)


def _with_a_limit_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Limit, "size", lambda self, now: self.most)
    patch.setattr(Limit, "refused", lambda self, size, half, now: setattr(self, "most", 25))


def _with_rounds_waited_for(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reachability, "DRAIN_TIMEOUT", 300.0)


def _without_the_end_of_rounds(patch: pytest.MonkeyPatch) -> None:
    until = waiting.until

    async def at_once(clock: Clock, condition: Callable[[], bool], deadline: Callable[[], float]) -> bool:
        names = condition.__code__.co_names
        return "rounds" in names or await until(clock, condition, deadline)

    patch.setattr(reachability, "until", at_once)


def _with_a_probe_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(reachability, "PROBE_TIMEOUT", 1_000.0)


def _without_a_probe(patch: pytest.MonkeyPatch) -> None:
    answers = Reachability._answers
    patch.setattr(Reachability, "_answers", lambda self, _, deadline: answers(self, 1_000.0, deadline))


def _with_streams_beside_other_calls(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Reachability, "stream", Reachability.round)


DEFECTS: list[tuple[Callable[[pytest.MonkeyPatch], None], int, str]] = [
    (_without_the_end_of_its_own_rounds, 0, "failed, and nothing stood in its way"),
    (_without_a_doubt, 0, "not attempted, it says, and they were"),
    (_without_patience_for_a_blocked_instance, 0, "failed, and nothing stood in its way"),
    (_with_a_limit_for_ever, 0, "calls of"),
    (_with_rounds_waited_for, 7_000, "and may take"),
    (_with_a_probe_for_ever, 0, "and may take"),
    (_without_a_probe, 0, "blocks the instance on a store that is lost"),
    (_without_the_end_of_rounds, 0, "calls in flight"),
    (_with_streams_beside_other_calls, 0, "which holds the lock"),
]
"""A defect, the first seed at which it is looked for, and what shows it."""


@pytest.mark.parametrize(
    ("defect", "first", "found"), DEFECTS, ids=[defect.__name__[1:] for defect, *_ in DEFECTS]
)
def test_a_defect_is_found(
    defect: Callable[[pytest.MonkeyPatch], None], first: int, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    defect(monkeypatch)
    messages: list[str] = []
    for seed in range(first, first + 2_000):
        try:
            play(seed)
        except AssertionError as error:
            messages.append(str(error).partition("\n")[0])
            if found in messages[-1]:
                return
    pytest.fail(f"not found, but: {messages[:3]}")


@pytest.mark.parametrize("seed", range(200))
def test_a_seed_replays(seed: int) -> None:
    """All calls of the stores, and all answers, are the same again."""

    def history() -> list[object]:
        played = Play(schedule(seed))
        with suppress(AssertionError):
            played.run()
        return [
            [(said.number, said.start, said.end, said.answer, said.keys) for said in played.said],
            [engine.calls for engine in played.world.engines.values()],
            [engine.history for engine in played.world.engines.values()],
        ]

    assert history() == history()


def test_a_seed_makes_the_same_schedule_again() -> None:
    assert schedule(7) == schedule(7)
    assert repr(schedule(7)) != repr(schedule(8))


def test_a_wait_without_an_end_is_found() -> None:
    loop = Loop(Random(0))

    async def never() -> None:
        await loop.create_future()

    with pytest.raises(Deadlock):
        loop.run(never())


def test_a_blocking_call_moves_the_time_while_no_task_runs() -> None:
    loop = Loop(Random(0))
    fired: list[float] = []

    async def timer() -> None:
        await loop.wait(1.0)
        fired.append(loop.now)

    async def main() -> None:
        loop.spawn(timer())
        await loop.wait(0.5)
        loop.stand_still(10.0, "A")
        await loop.wait(0.0)
        await loop.wait(0.0)

    loop.run(main())
    assert fired == [10.0]


# Scenarios


def keys(count: int) -> list[str]:
    return [f"k{number}" for number in range(count)]


async def timed(world: World, work: Coroutine[Any, Any, Result]) -> tuple[float, Result]:
    start = world.loop.now
    result = await work
    return world.loop.now - start, result


async def ended(
    world: World, work: Coroutine[Any, Any, Any]
) -> tuple[float, StoreError | BatchFailed | None]:
    """After how many seconds, and with which failure."""
    start = world.loop.now
    failure: StoreError | BatchFailed | None = None
    try:
        await work
    except (StoreError, BatchFailed) as error:
        failure = error
    return world.loop.now - start, failure


@pytest.mark.parametrize("readers", [1, 4, 16])
def test_readers_of_one_store_do_not_keep_another_from_its_list(readers: int) -> None:
    rt = 6 * MS
    world = World({"A": Nature("Redis", rt, 0.5), "B": Nature("Redis", rt)}, Random(readers))
    world.engines["B"].put(dict.fromkeys(keys(100), b"1"))

    async def main() -> None:
        a, b = await world.open("A"), await world.open("B")
        await get_many(a, keys(2))
        done = False

        async def read() -> None:
            while not done:
                await get_many(a, keys(3))

        for _ in range(readers):
            world.loop.spawn(read())
        await world.loop.wait(0.3)
        for _ in range(3):
            seconds, listed = await timed(world, list_keys(b))
            assert len(listed) == 100
            assert seconds < 6 * 1.5 * rt
            await world.loop.wait(0.3)
        done = True

    world.run(main())


@pytest.mark.parametrize("rt", [0, 2 * MS, 20 * MS, 100 * MS, 200 * MS, 400 * MS])
def test_a_request_takes_few_round_trips_at_any_distance(rt: float) -> None:
    world = World({"A": Nature("Redis", rt)})
    names = keys(1_000)
    world.engines["A"].put(dict.fromkeys(names, b"1"))

    async def main() -> None:
        bucket = await world.open("A")

        async def within(most: float, work: Coroutine[Any, Any, Any]) -> None:
            seconds, _ = await timed(world, work)
            assert seconds <= most

        start = world.loop.now
        await get_many(bucket, names[:1])
        assert world.loop.now - start <= 5 * rt + 100 * MS
        for pause, trips in ((0.5, 1), (1.5, 2), (0.0, 1)):
            await world.loop.wait(pause)
            await within(trips * rt + 20 * MS, get_many(bucket, names[:1]))
        for pause in (0.0, 0.5, 5.0):
            await world.loop.wait(pause)
            await within(10 * rt + 100 * MS, list_keys(bucket))
            await world.loop.wait(pause)
            await within(12 * rt + 400 * MS, get_many(bucket, names))
            await world.loop.wait(pause)
            await within(3 * rt + 20 * MS, set_many(bucket, [("a", b"1"), ("b", b"2")]))

    world.run(main())


@pytest.mark.parametrize("rt", [2 * MS, 100 * MS, 400 * MS])
def test_the_first_request_of_an_instance_takes_few_round_trips(rt: float) -> None:
    operations: list[tuple[Callable[[Bucket], Coroutine[Any, Any, Any]], float]] = [
        (lambda bucket: get_many(bucket, ["k0"]), 5 * rt + 100 * MS),
        (list_keys, 10 * rt + 100 * MS),
        (lambda bucket: get_many(bucket, keys(1_000)), 12 * rt + 400 * MS),
        (lambda bucket: set_many(bucket, [("a", b"1"), ("b", b"2")]), 7 * rt + 100 * MS),
    ]
    for operation, most in operations:
        world = World({"A": Nature("Redis", rt)})
        world.engines["A"].put(dict.fromkeys(keys(1_000), b"1"))

        async def main(world: World, operation: Callable[[Bucket], Coroutine[Any, Any, Any]]) -> None:
            await operation(await world.open("A"))

        world.run(main(world, operation))
        # The loop is drained: what is left of a tick comes on top.
        assert world.loop.now <= most + 250 * MS


@pytest.mark.parametrize(("lasts", "ends"), [(10.0, True), (50.0, False)])
def test_a_stall_in_mid_listing_ends_in_an_answer_and_the_other_stores_go_on(
    lasts: float, ends: bool
) -> None:
    stall = Fault("stall", 0.5, 0.5 + lasts)
    world = World({"A": Nature("Redis", 20 * MS, faults=(stall,), lists=5), "B": Nature("Redis", 20 * MS)})
    world.engines["A"].put(dict.fromkeys(keys(300), b"1"))

    async def main() -> None:
        a, b = await world.open("A"), await world.open("B")
        listing: list[tuple[float, StoreError | BatchFailed | None]] = []

        async def listed() -> None:
            listing.append(await ended(world, list_keys(a)))

        world.loop.spawn(listed())
        while not listing:
            seconds, _ = await timed(world, get_many(b, ["a"]))
            assert seconds < 100 * MS
            seconds, _ = await timed(world, set_many(b, [("a", b"1"), ("b", b"1")]))
            assert seconds < 100 * MS
            await world.loop.wait(0.1)
        seconds, failure = listing[0]
        if ends:
            assert failure is None
            assert seconds < lasts + 2
        else:
            assert isinstance(failure, StoreFailed)
            assert "has listed no key for 30 seconds" in failure.reason
            assert seconds < ROUND_TIMEOUT + 2
        await world.loop.wait(lasts)
        assert len(await list_keys(a)) == 300

    world.run(main())


def test_a_database_that_is_locked_at_the_first_call_reads_and_writes_in_batches_later() -> None:
    world = World({"A": Nature("SQLite", faults=(Fault("busy", 0.0, 5.5),))})
    names = keys(1_000)

    async def main() -> None:
        bucket = await world.open("A")  # locked, and so to be waited for: no failure yet
        await set_many(bucket, [(key, b"1") for key in names])
        await get_many(bucket, names)
        await delete_many(bucket, names)

    world.run(main())
    calls = [(name, count) for _, name, count, _ in world.engines["A"].calls if count > 2]
    assert calls == [("set_many", 1_000), ("get_many", 1_000), ("delete_many", 1_000)]


def test_on_a_lost_redis_each_request_ends_in_time_with_the_truth_and_works_when_it_is_back() -> None:
    lost = Fault("lost", 2.0, 100.0)
    world = World({"A": Nature("Redis", 20 * MS, faults=(lost,)), "B": Nature("Redis", 20 * MS)})
    world.engines["A"].put(dict.fromkeys(keys(5), b"1"))

    async def main() -> None:
        a, b = await world.open("A"), await world.open("B")
        assert await get_many(a, keys(2)) == [("k0", b"1"), ("k1", b"1")]
        await get_many(b, keys(2))
        await world.loop.wait(1.9 - world.loop.now)
        await get_many(a, keys(2))
        await world.loop.wait(1.99 - world.loop.now)
        # In flight when it is lost.
        read, write = await side_by_side(
            ended(world, get_many(a, ["k0"])), ended(world, set_many(a, [("k1", b"2")]))
        )
        assert isinstance(read[1], StoreFailed)
        assert read[0] < ROUND_TIMEOUT + 1
        assert isinstance(write[1], BatchFailed)
        assert [key for key, _ in write[1].failed] == ["k1"]
        assert write[0] < ROUND_TIMEOUT + PROBE_TIMEOUT + 1
        # Begun while it is.
        read, write, listing, others = await side_by_side(
            ended(world, get_many(a, ["k0", "k1", "k2"])),
            ended(world, set_many(a, [("k1", b"2"), ("k2", b"2")])),
            ended(world, list_keys(a)),
            ended(world, set_many(b, [(key, b"2") for key in keys(300)])),
        )
        assert isinstance(read[1], StoreUnreachable)
        assert isinstance(write[1], BatchFailed)
        assert write[1].not_attempted == ["k1", "k2"]
        assert isinstance(listing[1], StoreUnreachable)
        assert max(read[0], write[0], listing[0]) < PROBE_TIMEOUT + 0.1
        assert others[1] is None
        assert others[0] < 0.2
        await world.loop.wait(100.0 - world.loop.now + 2)
        await set_many(a, [("k1", b"3"), ("k2", b"3")])
        assert await get_many(a, keys(3)) == [("k0", b"1"), ("k1", b"3"), ("k2", b"3")]
        assert await list_keys(a) == keys(5)

    world.run(main())


# What the schedules have found


def test_a_store_is_not_called_silent_for_the_time_in_which_another_stopped_the_instance() -> None:
    """Its answer has come, and nobody could notice."""
    locked = Fault("busy", 1.0, 20.0)
    world = World({"A": Nature("SQLite", faults=(locked,)), "B": Nature("Redis", 20 * MS)})

    async def main() -> None:
        a, b = await world.open("A"), await world.open("B")
        await get_many(a, keys(3))
        await world.loop.wait(3 - world.loop.now)
        answer, locked = await side_by_side(
            ended(world, get_many(b, ["a"])), ended(world, get_many(a, keys(3)))
        )
        assert locked[1] is not None
        assert answer[1] is None

    world.run(main())


def test_a_round_is_not_given_up_for_the_time_in_which_another_store_stopped_the_instance() -> None:
    stall = Fault("stall", 9.5, 50.0)
    world = World({"A": Nature("Redis", 20 * MS, faults=(stall,)), "B": Nature("Redis", 2.0)})

    async def main() -> None:
        a, b = await world.open("A"), await world.open("B")
        await list_keys(a)
        await world.loop.wait(7 - world.loop.now)

        async def listing() -> tuple[float, StoreError | BatchFailed | None]:
            await world.loop.wait(9.47 - world.loop.now)
            return await ended(world, list_keys(a))

        # B is asked whether it is there, and then for its key. The list of A stalls meanwhile.
        answer, _ = await side_by_side(ended(world, b.get_each(["a"])), listing())
        assert answer[1] is None

    world.run(main())
    assert max(end - start for start, end, _ in world.loop.still) > ROUND_TIMEOUT


def test_a_key_of_a_call_that_was_throttled_is_not_called_untouched_when_the_store_then_fails() -> None:
    faults = (Fault("busy", 1.0, 3.0), Fault("failing", 1.3, 30.0, 1.0))
    world = World({"A": Nature("DynamoDB", 100 * MS, faults=faults)})

    async def main() -> None:
        bucket = await world.open("A")
        await get_many(bucket, keys(3))
        await world.loop.wait(0.85 - world.loop.now)
        await get_many(bucket, keys(3))
        _, failure = await ended(world, delete_many(bucket, keys(5)))
        assert isinstance(failure, BatchFailed)
        assert sorted(key for key, _ in failure.failed) == keys(5)

    world.run(main())


def test_a_key_is_not_attempted_where_the_store_could_not_be_opened() -> None:
    world = World({"A": Nature("Redis", 20 * MS, faults=(Fault("failing", 0.05, 1.0, 1.0),))})

    async def main() -> None:
        bucket = await world.open("A")
        await world.loop.wait(0.01)
        _, failure = await ended(world, set_many(bucket, [(key, b"1") for key in keys(200)]))
        assert isinstance(failure, BatchFailed)
        assert failure.not_attempted == keys(200)

    world.run(main())


def test_a_stream_of_keys_begins_when_no_other_call_of_its_store_is_under_way() -> None:
    """SQLite holds its lock until the stream has ended: a call that it meets stops the instance for good."""
    world = World({"A": Nature("SQLite", 0.1 * MS, lists=5)})
    world.engines["A"].put(dict.fromkeys(keys(50), b"1"))

    async def main() -> None:
        async def listing() -> list[str]:
            return await list_keys(await world.open("A"))

        async def reading() -> None:
            await get_many(await world.open("A"), ["k0"])

        await side_by_side(*(work() for _ in range(3) for work in (listing, reading)))

    world.run(main())
