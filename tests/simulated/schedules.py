"""Schedules that are generated from a seed, and a model of the results that the contract allows.

    seed ──► Schedule ──► World: the contract, the gate and the adapter ──► Said, by each operation
                            │                                                   │
                            └── the contents of the stores over time ───────► checks

A schedule has some stores with their faults, and requests, each a series of operations on one store. The
checks (`Play`, `untrue`) do not know how the contract works: they compare the reported results with the calls
and the contents of the stores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Literal

from gateway.record import Record
from gateway.stores import Store
from kv_batch.batch import RETRY_SECONDS, Retry, delete_many, get_many, list_keys, set_many
from kv_batch.bucket import LIMIT_EXPIRES, SINGLY_EXPIRES, Bucket, Clock, Learned
from kv_batch.errors import BatchFailed, NoSuchStore, StoreError, StoreNotGranted
from kv_batch.reachability import DRAIN_TIMEOUT, PROBE_TIMEOUT, QUEUE_TIMEOUT, ROUND_TIMEOUT
from kv_batch.retry import MAX_BACKOFF
from kv_batch.waiting import MAX_POLL_INTERVAL, MAX_TICK
from kv_batch.wit import WitBucket
from tests.simulated.engines import (
    ANY_NUMBER,
    FOREVER,
    HANGS,
    LOCK_WAIT,
    OPERATION,
    Engine,
    Fault,
    Kind,
    Nature,
    Value,
    World,
    side_by_side,
)

Name = Literal["get_many", "set_many", "delete_many", "list_keys"]

BEFORE: Final = {f"k{number}": b"before" for number in range(12)}
"""The contents of each store at the start of a schedule."""


@dataclass(frozen=True)
class Operation:
    """One call of the contract.

    Attributes:
        name: The function.
        keys: Its keys, with repeats.
        size: The minimum size of each written value, in bytes.
    """

    name: Name
    keys: tuple[str, ...] = ()
    size: int = 0


@dataclass(frozen=True)
class Request:
    """Operations on one store, in sequence until one fails. `start` is in seconds."""

    store: str
    start: float
    operations: tuple[Operation, ...]


@dataclass(frozen=True)
class Schedule:
    """Stores, and the requests to them.

    Attributes:
        natures: The properties of the stores, by label.
        settles: Whether more operations follow long after the others, when no fault has an effect any more.
    """

    seed: int
    natures: dict[str, Nature]
    requests: tuple[Request, ...]
    settles: bool = False

    @property
    def lost_for_ever(self) -> bool:
        return any(fault.end == FOREVER for nature in self.natures.values() for fault in nature.faults)


# Schedules from a seed


def schedule(seed: int) -> Schedule:
    """The schedule of a seed."""
    random = Random(seed)
    pick = random.random
    span = random.choice((0.0, 0.3, 3.0, 20.0))
    faulty = pick() < 0.75
    natures = {label: _nature(random, span, faulty) for label in "ABC"[: random.choice((1, 2, 2, 3))]}
    labels = list(natures)
    at_once = round(pick() * span, 3) if pick() < 0.2 else None
    requests = tuple(
        Request(
            random.choice(labels),
            round(pick() * span, 3) if at_once is None else at_once,
            tuple(_operation(random) for _ in range(1 if pick() < 0.85 else 4)),
        )
        for _ in range(random.choice((2, 2, 2, 3, 3, 4, 5, 8, 12)))
    )
    return Schedule(seed, natures, requests, settles=pick() < 0.03)


def _nature(random: Random, span: float, faulty: bool) -> Nature:
    pick = random.random
    kind: Kind = random.choice(("Redis", "Redis", "DynamoDB", "SQLite"))
    rt = 0.0001 if kind == "SQLite" else random.choice((0.0005, 0.002, 0.02, 0.1, 0.2, 0.4))
    most_read, most_written = (
        random.choice(((100, 25), (50, 25))) if kind == "DynamoDB" else (ANY_NUMBER,) * 2
    )
    faults = (_fault(random, kind, span) for _ in range(random.choice((0, 1, 1, 1, 2)) if faulty else 0))
    return Nature(
        kind,
        rt,
        random.choice((0.0, 0.1, 1.0)),
        tuple(sorted(faults, key=lambda fault: fault.start)),
        most_read,
        most_written,
        cap=random.choice((40, 400)) if kind != "Redis" and pick() < 0.15 else ANY_NUMBER,
        longest=100 if pick() < 0.2 else ANY_NUMBER,
        lists=5 if pick() < 0.1 else ANY_NUMBER,
        refuses="/" if pick() < 0.3 else "",
        repeats=pick() < 0.2,
    )


_KINDS: Final = {
    "Redis": ("stall", "lost", "lost", "late", "busy", "failing", "once"),
    "DynamoDB": ("stall", "lost", "late", "busy", "failing"),
    "SQLite": ("busy", "busy", "failing", "late"),
}


def _fault(random: Random, kind: Kind, span: float) -> Fault:
    what: Any = random.choice(_KINDS[kind])
    start = round(random.random() * (span + 1) - 0.2, 3)
    lasts = random.choice((0.05, 0.2, 0.2, 0.5, 0.5, 1.0, 1.0, 2.0, 4.0, 7.0))
    if what == "lost":
        lasts = random.choice((0.2, 2.0, 3.0, 5.0))
    if random.random() < 0.08:
        lasts = random.choice((12.0, 35.0))
    if what in ("lost", "once") and random.random() < 0.03:
        lasts = FOREVER
    return Fault(what, start, start + lasts, random.choice((0.1, 0.5, 1.0)))


def _operation(random: Random) -> Operation:
    pick = random.random
    name: Name = random.choice(("get_many", "get_many", "set_many", "set_many", "delete_many", "list_keys"))
    if name == "list_keys":
        return Operation(name)
    keys = [f"k{int(pick() * 12)}" for _ in range(random.choice((1, 1, 2, 3, 5)))]
    if pick() < 0.02:
        first = int(pick() * 100)
        keys += [f"b{number}" for number in range(first, first + random.choice((26, 60, 130, 210)))]
    if pick() < 0.15:
        middle = int(pick() * len(keys))
        keys[middle:middle] = [f"/{number}" for number in range(random.choice((1, 1, 2, 3)))]
    return Operation(name, tuple(keys), random.choice((0, 0, 0, 30, 101)) if name == "set_many" else 0)


# Playing a schedule


@dataclass
class Said:
    """The reported result of an operation.

    Attributes:
        number: Of the operation.
        start, end: When it began and ended.
        wanted: What a write is to leave behind, of each key.
        rounds: How many calls of its bucket it made. Keys that are read concurrently are one round.
    """

    number: int
    store: str
    operation: Operation
    start: float
    end: float = -1.0
    wanted: dict[str, Value] = field(default_factory=dict)
    rounds: int = 0
    answer: list[tuple[str, Value]] | None = None
    keys: list[str] | None = None
    failure: BatchFailed | StoreError | None = None

    @property
    def seconds(self) -> float:
        return self.end - self.start


class CountedRounds:
    """A bucket whose calls are counted."""

    def __init__(self, bucket: Bucket, said: Said) -> None:
        self._bucket = bucket
        self._said = said

    @property
    def learned(self) -> Learned:
        return self._bucket.learned

    @property
    def clock(self) -> Clock:
        return self._bucket.clock

    async def answers(self) -> None:
        await self._bucket.answers()

    async def get(self, key: str) -> bytes | None:
        self._said.rounds += 1
        return await self._bucket.get(key)

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        self._said.rounds += 1
        return await self._bucket.get_each(keys)

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        self._said.rounds += 1
        return await self._bucket.get_many(keys)

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        self._said.rounds += 1
        await self._bucket.set_many(pairs)

    async def delete_many(self, keys: Sequence[str]) -> None:
        self._said.rounds += 1
        await self._bucket.delete_many(keys)

    async def list_keys(self) -> list[str]:
        self._said.rounds += 1
        return await self._bucket.list_keys()


class Play:
    """One run of a schedule, in a world of its own."""

    def __init__(self, schedule: Schedule) -> None:
        self.schedule = schedule
        self.world = World(schedule.natures, Random(schedule.seed))
        self.said: list[Said] = []
        for engine in self.world.engines.values():
            engine.put(BEFORE)

    def run(self) -> None:
        """Plays the schedule to its end, and checks each operation when it ends.

        Raises:
            AssertionError: a check failed.
        """
        loop, schedule = self.world.loop, self.schedule
        loop.run(side_by_side(*map(self._request, schedule.requests)))
        loop.drain()
        broken = [*self._broken()]
        assert not broken, "\n".join(broken)
        if schedule.settles and not schedule.lost_for_ever:
            loop.run(self._settle())
            loop.drain()
            broken = [*self._broken()]
            assert not broken, "\n".join(broken)

    async def _request(self, request: Request) -> None:
        retry = Retry()
        await self.world.loop.wait(request.start)
        for operation in request.operations:
            if (await self.do(request.store, operation, retry)).failure is not None:
                return

    async def do(self, store: str, operation: Operation, retry: Retry | None = None) -> Said:
        """Runs one operation. Returns its checked result."""
        said = Said(len(self.said), store, operation, self.world.loop.now)
        self.said.append(said)
        OPERATION.set(said.number)
        if operation.name == "set_many":
            said.wanted = {key: f"{said.number}".zfill(operation.size).encode() for key in operation.keys}
        elif operation.name == "delete_many":
            said.wanted = dict.fromkeys(operation.keys)
        keys = operation.keys

        async def perform(bucket: Bucket) -> None:
            bucket = CountedRounds(bucket, said)
            match operation.name:
                case "get_many":
                    said.answer = await get_many(bucket, keys, retry=retry)
                case "list_keys":
                    said.keys = await list_keys(bucket, retry=retry)
                case "set_many":
                    pairs = [(key, said.wanted[key] or b"") for key in keys]
                    await set_many(bucket, pairs, retry=retry)
                case "delete_many":
                    await delete_many(bucket, keys, retry=retry)

        try:
            await Store(store, self.world, self.world.buckets, Record("GET", {})).do(perform)
        except (BatchFailed, StoreError) as failure:
            said.failure = failure
        said.end = self.world.loop.now
        said_wrong = [*untrue(said, self.world.engines[store])]
        assert not said_wrong, f"{said}: {'; '.join(said_wrong)}"
        return said

    def _broken(self) -> Iterator[str]:
        """The violations that are found when all requests have ended."""
        world = self.world
        yield from world.hazards()
        yield from world.loop.errors
        for task in world.loop.tasks:
            if task.done() and task.exception() is not None:
                yield f"a task failed: {task.exception()!r}"
        for said in self.said:
            most = self.longest(said)
            if said.seconds > most:
                yield f"took {said.seconds:.3f} s, and may take {most:.3f}: {said}"
            if said.failure is not None and not self._may_fail(said):
                yield f"failed, and nothing stood in its way: {said}"
        if not self.schedule.lost_for_ever:
            if world.loop.pending:
                yield f"tasks are left: {[task.get_coro() for task in world.loop.pending]}"
            for label, bucket in world.buckets.items():
                store = bucket._async if isinstance(bucket, WitBucket) else None
                if store is not None and (store.reachable.rounds or store.reachable.is_closed):
                    yield f"{label} is not free"

    def _may_fail(self, said: Said) -> bool:
        engine = self.world.engines[said.store]
        if engine.disturbed(said.start, said.end) or self._stood_still(said) > QUEUE_TIMEOUT / 2:
            return True
        nature = engine.nature
        if said.operation.name == "get_many":
            return nature.cap < 150
        if said.operation.name == "list_keys":
            return nature.lists < ANY_NUMBER  # the stream of another request lasts
        return not all(nature.takes(key, value) for key, value in said.wanted.items())

    # The maximum duration of an operation

    def _stood_still(self, said: Said) -> float:
        return sum(
            min(end, said.end) - max(start, said.start)
            for start, end, _ in self.world.loop.still
            if end > said.start and start < said.end
        )

    def longest(self, said: Said) -> float:
        """The maximum duration of an operation in seconds: the sum of these times.

        - The time that its store needs for it and for the concurrent operations on this store, since it may
          wait for all of them (`need`).
        - The time for which the instance was blocked, since no operation can proceed then.
        - While the keys of the store are read as a stream: the time for which it is retried.
        - The duration of the faults of its own store, up to the timeouts of all waits (`patience`). If the
          store was silent before the operation and after it, no more than two probes, and what one blocking
          call keeps it waiting. The same for a read that met no fault, only what faults before it have left.
        """
        engine = self.world.engines[said.store]
        same = [
            other
            for other in self.said
            if other.store == said.store and other.start <= said.end and said.start <= other.end
        ]
        retried = RETRY_SECONDS + MAX_BACKOFF + DRAIN_TIMEOUT if engine.nature.lists < ANY_NUMBER else 0.0
        waits = patience(engine.disturbed(said.start, said.end))
        read = said.operation.name == "get_many"
        if engine.is_silent(said.start, said.end) or (read and not engine.meets(said.start, said.end)):
            waits = min(waits, 2 * (PROBE_TIMEOUT + said.rounds * (DRAIN_TIMEOUT + MAX_TICK)))
        return sum(need(other, engine) for other in same) + self._stood_still(said) + retried + waits

    # Long after the requests have ended

    async def _settle(self) -> None:
        loop = self.world.loop
        await loop.wait(SINGLY_EXPIRES + LIMIT_EXPIRES)
        for label, engine in self.world.engines.items():
            nature = engine.nature
            keys = tuple(f"s{number}" for number in range(20 if nature.kind == "Redis" else 120))
            if nature.cap < ANY_NUMBER:
                continue
            for name in ("get_many", "set_many", "delete_many"):
                for _ in range(4):
                    said = await self.do(label, Operation(name, keys))
                    assert said.failure is None, said
                most = nature.most_read if name == "get_many" else nature.most_written
                calls = -(-len(keys) // most)
                assert said.rounds == calls, f"{said.rounds} calls of {label}, and not {calls}: {said}"


def need(said: Said, engine: Engine) -> float:
    """The maximum time in seconds that a healthy store needs for the calls of an operation.

    - Each call of a bucket takes three round trips: a probe, another probe before a blocking call, and the
      call.
    - A store that was not used before takes five more: two opens (one for each kind of call), a probe, and a
      batch read of two keys after another probe.
    - A stream takes one round trip per ten keys.
    - Each of eight waits may end MAX_POLL_INTERVAL too late, or a sixteenth of the time.
    """
    calls = max(said.rounds, 1)
    trips = 3 * calls + 5
    if said.operation.name == "list_keys" and engine.nature.lists < ANY_NUMBER:
        trips += len(engine.history) // 10 + 3
    return trips * engine.nature.longest_round_trip * 17 / 16 + 8 * calls * MAX_POLL_INTERVAL


def patience(faults: Sequence[Fault]) -> float:
    """The maximum time in seconds that the faults of its store may cost an operation.

    It is the duration of the faults, and HANGS for the calls that they affect. But all waits have timeouts: a
    round, the queue before or after it, the probes, and each time that the store is busy.
    """
    if not faults:
        return 0.0
    gives_up = QUEUE_TIMEOUT + ROUND_TIMEOUT + 2 * PROBE_TIMEOUT
    busy = sum(fault.kind == "busy" for fault in faults) * (RETRY_SECONDS + 2 * MAX_BACKOFF + LOCK_WAIT)
    return min(sum(fault.end - fault.start for fault in faults) + HANGS, gives_up + busy)


def untrue(said: Said, engine: Engine) -> Iterator[str]:
    """The false statements in the result of an operation."""
    if said.answer is not None:
        if [key for key, _ in said.answer] != list(said.operation.keys):
            yield "not the keys that were asked for, in their order"
        for key, value in said.answer:
            if value not in engine.possible(key, said.start, said.end):
                yield f"{key} never was {value!r} in that time"
    elif said.keys is not None:
        yield from _untrue_keys(said, engine, said.keys)
    elif said.failure is None:
        yield from _lists(said, engine, list(said.wanted), [], [])
    elif isinstance(said.failure, BatchFailed):
        failure = said.failure
        yield from _lists(
            said, engine, failure.applied, [key for key, _ in failure.failed], failure.not_attempted
        )
        if not failure.by_themselves <= {key for key, _ in failure.failed}:
            yield "failed by themselves, and not failed"
    elif said.wanted and isinstance(said.failure, NoSuchStore | StoreNotGranted):
        yield from _lists(said, engine, [], [], list(said.wanted))


def _untrue_keys(said: Said, engine: Engine, keys: list[str]) -> Iterator[str]:
    if keys != sorted(set(keys)):
        yield "the keys are not sorted, or not each once"
    listed = set(keys)
    for key in engine.history:
        values = engine.possible(key, said.start, said.end)
        if key in listed and not any(value is not None for value in values):
            yield f"{key} is listed, and was not there"
        if key not in listed and None not in values:
            yield f"{key} is not listed, and was there"
    if listed - engine.history.keys():
        yield "keys that never were"


def _lists(
    said: Said, engine: Engine, applied: list[str], failed: list[str], not_attempted: list[str]
) -> Iterator[str]:
    if sorted([*applied, *failed, *not_attempted]) != sorted(said.wanted):
        yield "not each key in one list"
    if wrong := set(applied) - engine.applied.get(said.number, set()):
        yield f"applied, it says, and they are not: {sorted(wrong)[:4]}"
    if wrong := set(not_attempted) & engine.touched.get(said.number, set()):
        yield f"not attempted, it says, and they were: {sorted(wrong)[:4]}"
    if wrong := {key for key in failed if key not in engine.asked.get(said.number, set())}:
        yield f"failed, it says, and no call held them: {sorted(wrong)[:4]}"


def play(seed: int) -> None:
    """Plays the schedule of a seed.

    Raises:
        AssertionError: a check failed. The message has the seed and the schedule.
    """
    made = schedule(seed)
    try:
        Play(made).run()
    except Exception as error:
        stores = "\n  ".join(f"{label}: {nature}" for label, nature in made.natures.items())
        requests = "\n  ".join(map(str, made.requests))
        raise AssertionError(
            f"seed {seed}: {type(error).__name__}: {error}\n  {stores}\n  {requests}\nReplay it: SEED={seed}"
        ) from error


def play_all(first: int, count: int) -> tuple[int, list[str]]:
    """Plays the schedules of `count` seeds. Returns that count and the first three failures."""
    failures: list[str] = []
    for seed in range(first, first + count):
        try:
            play(seed)
        except AssertionError as error:
            failures.append(str(error))
            if len(failures) == 3:
                break
    return count, failures
