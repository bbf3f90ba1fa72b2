"""Stores behind the WIT modules, as Spin implements them on SQLite, Redis and DynamoDB, in virtual time.

Each store answers after its round trip, unless one of its faults delays or changes the answer (`Fault`). A
call that no caller may make (docs/decisions/0009-blocking-calls.md, docs/backends.md) is recorded as a
hazard, and each hazard fails the test. An engine keeps the whole history of each key, so that a model can
tell which values a caller may have seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from random import Random
from types import SimpleNamespace
from typing import Any, Final, Literal, Self, TypeAlias

from kv_batch.asynchronous import Asynchronous
from kv_batch.bucket import Bucket
from kv_batch.reachability import BLOCKING_PROBE_TTL, PROBE_TTL
from kv_batch.wit import Wit, open_bucket
from tests.simulated.loop import Loop
from tests.wit_types import Err, key_value, wasi_keyvalue_store

Kind = Literal["SQLite", "Redis", "DynamoDB"]
Value: TypeAlias = bytes | None
Change: TypeAlias = tuple[str, Value]

FOREVER: Final = float("inf")

HANGS = 60.0
"""Seconds that Spin's Redis client holds a call whose connection was lost."""

GIVES_UP = 8.0
"""Seconds after which the AWS SDK gives up a call."""

LOCK_WAIT = 5.0
"""Seconds that SQLite waits for a lock that another process holds."""

ANY_NUMBER = 1 << 30

BLOCKING_PROBE_GRACE: Final = BLOCKING_PROBE_TTL + 0.05
"""Seconds for which a store may already be lost when a blocking call is made."""

LOADING: Final = "An error was signalled by the server - BusyLoadingError: Redis is loading the dataset"

NOTHING_DONE: Final = ("database is locked", "too many requests", LOADING)
"""The errors of calls that changed nothing."""

OPERATION: ContextVar[int] = ContextVar("OPERATION", default=-1)
"""The number of the operation that makes a call."""


@dataclass(frozen=True)
class Fault:
    """A fault of a store during some time.

        kind      the effect on calls
        stall     no answer arrives: answers that are due meanwhile arrive at the end
        lost      Redis: calls in flight hang for HANGS, and calls that start meanwhile until the store is
                  back; DynamoDB: each call fails after a while
        late      each answer takes up to `extra` seconds longer
        busy      SQLite: locked by another process; other engines: "too many requests" and similar errors
        failing   some calls fail, and may have been applied in part
        once      the connection is lost, but some calls are answered

    Attributes:
        start, end: The time of the fault in seconds; an end of FOREVER is never.
        extra: Seconds for `late`; the share of the calls for `failing` and `once`.
    """

    kind: Literal["stall", "lost", "late", "busy", "failing", "once"]
    start: float
    end: float
    extra: float = 0.5


@dataclass(frozen=True)
class Nature:
    """The properties of a store.

    Attributes:
        kind: The engine.
        rt: The round trip time in seconds.
        jitter: The share of the round trip time by which a round trip may be longer.
        faults: Its faults.
        most_read, most_written: The maximum number of keys in one call.
        cap: The maximum size of one answer of get-many, in bytes.
        longest: The maximum size of a value, in bytes.
        lists: The maximum number of keys that list-keys returns; more keys are only available as a stream.
        refuses: A character that no key may have.
        repeats: Whether a list or an answer may have a key twice.
        most_bytes: The maximum size of the values of one write, in bytes.
        slow: Keys that start with this are answered one after the other; empty for none.
        each_slow: The seconds between two such answers.
    """

    kind: Kind
    rt: float = 0.0
    jitter: float = 0.0
    faults: tuple[Fault, ...] = ()
    most_read: int = ANY_NUMBER
    most_written: int = ANY_NUMBER
    cap: int = ANY_NUMBER
    longest: int = ANY_NUMBER
    lists: int = ANY_NUMBER
    refuses: str = ""
    repeats: bool = False
    most_bytes: int = ANY_NUMBER
    slow: str = ""
    each_slow: float = 0.4

    @property
    def longest_round_trip(self) -> float:
        return self.rt * (1 + self.jitter)

    def takes(self, key: str, value: Value) -> bool:
        return not (self.refuses and self.refuses in key) and (value is None or len(value) <= self.longest)

    def is_too_large(self, changes: Sequence[Change]) -> bool:
        return sum(len(value or b"") for _, value in changes) > self.most_bytes


class Engine:
    """One store.

    Attributes:
        data: The contents.
        history: The values of each key so far, with the time of each.
        applied, touched, asked: By the number of the operation, the keys whose change was made, may have been
            made, or was requested.
        failures: The number of failed calls, by operation.
        hazards: The calls that no caller may make.
        calls: (operation, name, number of keys, time) of each call.
        most_in_flight: The maximum number of asynchronous calls at the same time.
    """

    def __init__(self, label: str, nature: Nature, loop: Loop, random: Random) -> None:
        self.label = label
        self.nature = nature
        self.data: dict[str, bytes] = {}
        self.history: dict[str, list[tuple[float, Value]]] = {}
        self.applied: dict[int, set[str]] = {}
        self.touched: dict[int, set[str]] = {}
        self.asked: dict[int, set[str]] = {}
        self.failures: dict[int, int] = {}
        self.hazards: list[str] = []
        self.calls: list[tuple[int, str, int, float]] = []
        self._loop = loop
        self._random = random
        self.most_in_flight = 0
        self._in_flight = 0
        self._streaming = 0
        self._slow_until = 0.0

    def put(self, data: Mapping[str, bytes]) -> None:
        """Stores pairs before the start."""
        self.data.update(data)
        self.history.update((key, [(self._loop.now, value)]) for key, value in data.items())

    # The time of an answer, and its error

    def _plan(self, now: float) -> tuple[float, str | None]:
        """The time of the answer to a call that is made now, and its error, if any."""
        nature, random = self.nature, self._random
        end = now + nature.rt * (1 + nature.jitter * random.random())
        error: str | None = None
        for fault in nature.faults:
            if now >= fault.end or end < fault.start:
                continue
            match fault.kind:
                case "stall":
                    end = max(end, fault.end + random.random() * 0.01)
                case "late":
                    end += fault.extra * random.random()
                case "failing" if random.random() < fault.extra:
                    error = random.choice(("disk I/O error", "connection reset by peer"))
                case "busy" if now >= fault.start:
                    end, error = self._busy(now, end, fault)
                case "lost":
                    end, error = self._lost(now, end, fault)
                case "once" if random.random() >= fault.extra:
                    end, error = self._lost(now, end, fault)
                case _:
                    pass
        return end, error

    def _busy(self, now: float, end: float, fault: Fault) -> tuple[float, str | None]:
        if self.nature.kind == "SQLite":
            locked = fault.end - now > LOCK_WAIT
            return (now + LOCK_WAIT, "database is locked") if locked else (max(end, fault.end), None)
        if self.nature.kind == "DynamoDB":
            return end, "ProvisionedThroughputExceededException"
        return end, self._random.choice(("too many requests", LOADING))

    def _lost(self, now: float, end: float, fault: Fault) -> tuple[float, str | None]:
        random = self._random
        if self.nature.kind == "DynamoDB":
            return max(now, fault.start) + GIVES_UP * random.random(), "dispatch failure: timeout"
        error = random.choice((None, "connection reset by peer"))
        if now < fault.start:
            return max(end, fault.start + HANGS), error
        return max(end, fault.end + random.random()), error

    # Calls

    def blocking(self, name: str, keys: Sequence[str] = (), changes: Sequence[Change] = ()) -> None:
        """Makes a call that blocks the instance.

        Raises:
            Err: the error of the host.
        """
        loop, now = self._loop, self._loop.now
        if self.nature.kind == "Redis" and self._in_flight:
            self._hazard(f"{name} blocks the instance with {self._in_flight} calls in flight")
        if self.nature.kind != "SQLite":
            self._on_a_lost_store(name, now)
        self._on_a_locked_file(name)
        end, error = self._plan(now)
        self._attempt(changes, error)
        if end == FOREVER:
            end, error = now + 2 * HANGS, "connection reset by peer"
        loop.stand_still(end, self.label)
        self._answer(wasi_keyvalue_store, name, keys, changes, error)

    def _on_a_locked_file(self, name: str) -> None:
        if self.nature.kind == "SQLite" and self._streaming:
            self._hazard(f"{name} while the keys are read as a stream, which holds the lock")

    def _on_a_lost_store(self, name: str, now: float) -> None:
        for fault in self.nature.faults:
            if fault.kind == "lost" and fault.start <= now < fault.end:
                still = sum(
                    min(end, now) - max(start, fault.start)
                    for start, end, _ in self._loop.still
                    if end > fault.start and start < now
                )
                gone = now - fault.start - still
                if gone > BLOCKING_PROBE_GRACE + 2 * self.nature.longest_round_trip:
                    self._hazard(f"{name} blocks the instance on a store that is lost for {gone:.1f} s")

    async def asynchronous(self, name: str, keys: Sequence[str] = (), changes: Sequence[Change] = ()) -> None:
        """Makes a call while the other tasks proceed.

        Raises:
            Err: the error of the host.
        """
        loop, now = self._loop, self._loop.now
        end, error = self._plan(now)
        self._attempt(changes, error)
        if self.nature.slow and keys and keys[0].startswith(self.nature.slow):
            end = self._slow_until = max(end, self._slow_until + self.nature.each_slow)
        if self.nature.kind == "SQLite":  # Spin blocks the thread for this
            self._on_a_locked_file(name)
            loop.stand_still(end, self.label)
        self._in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self._in_flight)
        self._streaming += name == "get_keys"  # until its reader is closed
        early = bool(changes) and error is None and self._random.random() < 0.5
        if early and self._refused(name, keys, changes) is None:
            self._apply(changes, len(changes))
        if self.nature.kind != "SQLite":
            await loop.until(end)
        self._in_flight -= 1
        try:
            self._answer(key_value, name, keys, () if early else changes, error, changes)
        except Err:
            self._streaming -= name == "get_keys"
            raise

    def _attempt(self, changes: Sequence[Change], error: str | None) -> None:
        if changes:
            keys = [key for key, _ in changes]
            self.asked.setdefault(OPERATION.get(), set()).update(keys)
            if error not in NOTHING_DONE:
                self.touched.setdefault(OPERATION.get(), set()).update(keys)

    def _answer(
        self,
        module: Any,
        name: str,
        keys: Sequence[str],
        changes: Sequence[Change],
        error: str | None,
        asked: Sequence[Change] = (),
    ) -> None:
        """Applies a call.

        Raises:
            Err: the call met a fault, or the engine refuses it.
        """
        operation = OPERATION.get()
        self.calls.append((operation, name, len(keys), self._loop.now))
        refused = self._refused(name, keys, changes or asked)
        if error is None and refused is None:
            self._apply(changes, len(changes))
            return
        self.failures[operation] = self.failures.get(operation, 0) + 1
        if refused is None and error not in NOTHING_DONE:
            self._apply(changes, self._random.choice((0, len(changes) // 2, len(changes))))
        raise Err(module.Error_Other(refused or error))

    def _apply(self, changes: Sequence[Change], count: int) -> None:
        now = self._loop.now
        applied = self.applied.setdefault(OPERATION.get(), set())
        for key, value in changes[:count]:
            applied.add(key)
            self.history.setdefault(key, [(-1.0, None)]).append((now, value))
            if value is None:
                self.data.pop(key, None)
            else:
                self.data[key] = value

    def _refused(self, name: str, keys: Sequence[str], changes: Sequence[Change]) -> str | None:
        """Why the engine refuses a call; None if it accepts it."""
        nature = self.nature
        if name.endswith("_many"):
            if not keys:
                self._hazard(f"{name} of no keys")
            if len(set(keys)) < len(keys):
                self._hazard(f"{name} of a key twice")
            if name == "get_many":
                if nature.kind == "Redis":
                    if len(keys) == 1:
                        self._hazard("get_many of one key, which panics")
                    return "wrong number of arguments for 'keys' command"
                if nature.cap < sum(len(self.data.get(key, b"")) for key in keys):
                    return f"query result exceeds limit of {nature.cap} bytes"
            if len(keys) > (nature.most_read if name == "get_many" else nature.most_written):
                return "Too many items requested"
        if not all(nature.takes(key, value) for key, value in changes) or nature.is_too_large(changes):
            return "a key or a value is refused"
        return None

    def _hazard(self, what: str) -> None:
        self.hazards.append(f"{self.label} at {self._loop.now:.3f} s: {what}")

    # The values that a caller may have seen

    def possible(self, key: str, start: float, end: float) -> list[Value]:
        """The values that a key had between two times."""
        changes = self.history.get(key, [])
        before: Value = None
        during: list[Value] = []
        for time, value in changes:
            if time < start:
                before = value
            elif time <= end:
                during.append(value)
        return [before, *during]

    def disturbed(self, start: float, end: float) -> list[Fault]:
        """The faults that may affect calls between two times.

        A fault also affects calls that were made before: they may hang, and answers are not noticed while the
        instance is blocked.
        """
        start -= HANGS + sum(end - start for start, end, _ in self._loop.still)
        return [fault for fault in self.nature.faults if fault.start <= end and start <= fault.end]

    def meets(self, start: float, end: float) -> bool:
        """Whether a fault has an effect on calls that are made between two times."""
        return any(fault.start <= end and start <= fault.end for fault in self.nature.faults)

    def is_silent(self, start: float, end: float) -> bool:
        """Whether the store answered nothing between two times, nor in the PROBE_TTL before them."""
        since = start - PROBE_TTL - self.nature.longest_round_trip
        stood = sum(
            min(end, start) - max(began, since)
            for began, end, _ in self._loop.still
            if end > since > began or since <= began < start
        )
        return any(
            fault.kind in ("stall", "lost") and fault.start < since - stood and end < fault.end
            for fault in self.nature.faults
            if self.nature.kind == "Redis" or fault.kind == "stall"
        )

    # The result as the host returns it

    def told(self, pairs: list[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        self._random.shuffle(pairs)
        return [*pairs, *pairs[:2]] if self.nature.repeats else pairs


class Reader:
    """An open stream of keys."""

    def __init__(self, engine: Engine, keys: list[str], loop: Loop) -> None:
        self.writer_dropped = False
        self._engine = engine
        self._keys = keys
        self._loop = loop

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine._streaming -= 1
        self._engine._in_flight -= 1

    async def read(self, most: int) -> list[str]:
        end, _ = self._engine._plan(self._loop.now)
        await self._loop.until(end)
        page, self._keys = self._keys[:10], self._keys[10:]
        self.writer_dropped = not page
        return page


class AsyncStore:
    """The store of `spin:key-value/key-value@3.0.0`."""

    def __init__(self, engine: Engine, loop: Loop) -> None:
        self._engine = engine
        self._loop = loop

    async def exists(self, key: str) -> bool:
        await self._engine.asynchronous("exists", [key])
        return key in self._engine.data

    async def get(self, key: str) -> bytes | None:
        await self._engine.asynchronous("get", [key])
        return self._engine.data.get(key)

    async def set(self, key: str, value: bytes) -> None:
        await self._engine.asynchronous("set", [key], [(key, value)])

    async def delete(self, key: str) -> None:
        await self._engine.asynchronous("delete", [key], [(key, None)])

    async def get_keys(self) -> tuple[Reader, Any]:
        engine = self._engine
        await engine.asynchronous("get_keys")
        engine._in_flight += 1
        keys = list(engine.data)
        if engine.nature.repeats:
            keys += keys[:2]

        async def ended() -> None:
            return None

        return Reader(engine, keys, self._loop), SimpleNamespace(read=ended)


class HostBucket:
    """The bucket of `wasi:keyvalue/store`. Its batch functions are those of `wasi:keyvalue/batch`."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def get(self, key: str) -> bytes | None:
        self.engine.blocking("get", [key])
        return self.engine.data.get(key)

    def list_keys(self, cursor: str | None) -> Any:
        engine = self.engine
        engine.blocking("list_keys")
        if len(engine.data) > engine.nature.lists:
            raise Err(wasi_keyvalue_store.Error_Other("query result exceeds limit of 1 bytes"))
        keys = list(engine.data)
        return wasi_keyvalue_store.KeyResponse(keys + keys[:2] if engine.nature.repeats else keys, None)

    def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes]]:
        self.engine.blocking("get_many", keys)
        data = self.engine.data
        return self.engine.told([(key, data[key]) for key in keys if key in data])

    def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        self.engine.blocking("set_many", [key for key, _ in pairs], pairs)

    def delete_many(self, keys: Sequence[str]) -> None:
        self.engine.blocking("delete_many", keys, [(key, None) for key in keys])


@dataclass
class World:
    """An instance with some stores.

    Attributes:
        natures: The properties of the stores, by label.
        random: The source of all randomness.
        engines: The stores, by label.
    """

    natures: Mapping[str, Nature]
    random: Random = field(default_factory=lambda: Random(0))
    loop: Loop = field(init=False)

    def __post_init__(self) -> None:
        loop = self.loop = Loop(self.random)
        engines = self.engines = {
            label: Engine(label, nature, loop, self.random) for label, nature in self.natures.items()
        }

        def open_blocking(label: str) -> HostBucket:
            engine = engines[label]
            if engine.nature.kind == "Redis":
                engine.blocking("open")
            return HostBucket(engine)

        async def open_asynchronous(label: str) -> AsyncStore:
            engine = engines[label]
            if engine.nature.kind == "Redis":
                await engine.asynchronous("open")
            return AsyncStore(engine, loop)

        batch = SimpleNamespace(
            get_many=HostBucket.get_many, set_many=HostBucket.set_many, delete_many=HostBucket.delete_many
        )
        self.wit = Wit(
            SimpleNamespace(open=open_blocking),
            batch,
            Err,
            Asynchronous(
                SimpleNamespace(Store=SimpleNamespace(open=open_asynchronous)), loop.clock, loop.spawn
            ),
        )
        self.buckets: dict[str, Bucket] = {}

    def config(self, name: str) -> str | None:
        return None

    async def open(self, label: str) -> Bucket:
        return await open_bucket(self.wit, label)

    def hazards(self) -> list[str]:
        """The hazards of all stores."""
        return [hazard for engine in self.engines.values() for hazard in engine.hazards]

    def run(self, main: Coroutine[Any, Any, Any]) -> Any:
        """Runs a scenario, drains the loop, and checks that there was no hazard."""
        result = self.loop.run(main)
        self.loop.drain()
        assert not self.hazards(), self.hazards()
        return result


async def side_by_side(*coroutines: Coroutine[Any, Any, Any]) -> list[Any]:
    """Runs coroutines concurrently. Returns their results, or raises the first error after all have ended."""
    outcomes = await asyncio.gather(*coroutines, return_exceptions=True)
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
    return outcomes


Build = Callable[[], World]
