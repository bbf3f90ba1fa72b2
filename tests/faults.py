"""Fault injection, and the model that says what the contract may answer to it.

    Schedule ──► FaultyStore ◄── the contract, or the whole component ──► Outcome
                      │                                                      │
                      └── its calls and what it really holds ──► Model ◄─────┘

A `Schedule` is plain data: a backend, operations, and the faults that they meet. It prints as Python, and
played again it does the same. `FaultyStore` is the host side of the raw interface, an
`embedded.store.Bucket`; `FaultyBucket` makes it a `kv_batch.bucket.Bucket`. `Model` knows nothing of how the
contract works: it holds what was said (each key's possible values) against what the store was asked and
what it holds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from zlib import crc32

from hypothesis import strategies as st

from embedded.store import StoreError
from kv_batch.bucket import LIMIT_EXPIRES, PROBE_KEY, SMALLEST_LIMIT, Clock, Learned, Limit
from kv_batch.errors import StoreUnreachable
from kv_batch.translation import store_error
from tests.clock import VirtualTime
from tests.wit_types import wasi_keyvalue_store

ANY_NUMBER = 1 << 30

MOST_WHILE_DOWN = 25
"""Calls that one operation may make to a store that is down: a path of halves, and its leaves."""

MOST_RETRIES = 15
"""Calls in a row that a busy store may get, whose pauses add up to the RETRY_SECONDS of an operation."""

RESET = "connection reset"
BUSY = "too many requests"
THROTTLED = "ThrottlingException: slow down"
SILENT = "no answer"
GONE = "the host knows no such store"
DENIED = "the host denies access to the store"
STRANGER = "an answer for a key that nobody asked for"

Name = Literal["get_many", "set_many", "delete_many"]
Value: TypeAlias = bytes | None


# What a schedule is made of


@dataclass(frozen=True)
class Backend:
    """What a backend makes of the raw interface (docs/backends.md).

    Attributes:
        most_read, most_written: Keys that one call may hold.
        cap: Bytes that the answer of one get-many may hold.
        refused: Characters that no key may hold.
        empty_key: Whether there may be one.
        key_by_key: Whether a write goes on to the first key that is refused; else it is all or nothing.
        reads_in_batches: Whether get-many of several keys works at all.
    """

    most_read: int = ANY_NUMBER
    most_written: int = ANY_NUMBER
    cap: int = ANY_NUMBER
    refused: str = ""
    empty_key: bool = True
    key_by_key: bool = False
    reads_in_batches: bool = True

    def takes(self, key: str) -> bool:
        return not set(key) & set(self.refused) and (self.empty_key or key != "")

    def most(self, name: str) -> int:
        """Keys that one call of that name may hold."""
        if name != "get_many":
            return self.most_written
        return self.most_read if self.reads_in_batches else 1


BACKENDS: Final[dict[str, Backend]] = {
    "SQLite": Backend(),
    "Redis": Backend(reads_in_batches=False),
    "DynamoDB": Backend(most_read=100, most_written=25, empty_key=False),
    "Cosmos": Backend(refused="/\\?#", key_by_key=True),
    "7 a call": Backend(most_read=7, most_written=7),
    "40 a call, key by key": Backend(most_read=40, most_written=40, key_by_key=True),
    "small cap": Backend(cap=1_000),
}

ANSWERS: Final[dict[str, Callable[[list[tuple[str, Value]]], list[tuple[str, Value]]]]] = {
    "as asked": lambda pairs: [pair for pair in pairs if pair[1] is not None],
    "in any order": lambda pairs: sorted(
        (pair for pair in pairs if pair[1] is not None), key=lambda pair: crc32(pair[0].encode())
    ),
    "missing as None": lambda pairs: pairs[::-1],
    "repeated": lambda pairs: [*pairs[1:], *pairs[:3]],
}
"""How a backend tells the pairs that were asked for, with None for a missing key."""

PARTS: Final[dict[str, Callable[[int, int, str], bool]]] = {
    "nothing": lambda index, count, key: False,
    "all": lambda index, count, key: True,
    "all but the last": lambda index, count, key: index < count - 1,
    "the first half": lambda index, count, key: 2 * index < count,
    "every other": lambda index, count, key: index % 2 == 1,
    "some": lambda index, count, key: crc32(f"{key} {count}".encode()) % 3 == 0,
}
"""Which keys of a call were done before it failed, by index, count of keys, and key."""


@dataclass(frozen=True)
class Fault:
    """Calls that fail.

    Attributes:
        operation, call: The first that may: a call of an operation, both from 0.
        calls: How many do; None: all from then on.
        keys: Only calls that hold one of these do; empty: all.
        says: What the host says. STRANGER is a get-many with false values and a key nobody asked for;
            SILENT is a call that was not made, for the store gives no sign of life, and BUSY one that was not
            made, for the host makes no more; THROTTLED is one that was.
        done: A key of PARTS: what was written nevertheless. Nothing, where the call was not made.
    """

    operation: int = 0
    call: int = 0
    calls: int | None = 1
    keys: tuple[str, ...] = ()
    says: str = RESET
    done: str = "nothing"

    @property
    def down(self) -> bool:
        """Whether nothing works any more."""
        return self.calls is None and not self.keys and self.says != STRANGER


@dataclass(frozen=True)
class Operation:
    """One call of the contract.

    Attributes:
        name: Which.
        keys: Its keys, repeats and all.
        bulk: How many more there are: k0, k1, … Where there are any, the first of `keys` comes once more
            at the end.
        at: How many of those come before `keys`.
        size: Bytes a value that is written.
    """

    name: Name
    keys: tuple[str, ...] = ()
    bulk: int = 0
    at: int = 0
    size: int = 6

    @property
    def asked(self) -> list[str]:
        if not self.bulk:
            return list(self.keys)
        bulk = [f"k{i}" for i in range(self.bulk)]
        return [*bulk[: self.at], *self.keys, *bulk[self.at :], *self.keys[:1]]

    def pairs(self, number: int) -> list[tuple[str, bytes]]:
        """What a set_many writes. No two values are alike, unless they are cut short by their size."""
        return [
            (key, f"{number}.{i:03}".ljust(self.size, ".")[: self.size].encode())
            for i, key in enumerate(self.asked)
        ]


@dataclass(frozen=True)
class Schedule:
    """A backend (of BACKENDS) that answers in its way (of ANSWERS), and what it has to bear."""

    backend: str
    answers: str
    operations: tuple[Operation, ...]
    faults: tuple[Fault, ...] = ()


BEFORE: Final = dict.fromkeys(("a", "*", "b/", *(f"k{i}" for i in range(60))), b"before")
"""What a store holds when a schedule begins."""

ALPHABET = ("a", "b", "c", "d", "k0", "k24", "*", "[a]", "é", "", "b/", "x?", "#")


def schedules(faults: Sequence[str], most_operations: int = 8) -> st.SearchStrategy[Schedule]:
    """Schedules whose faults say one of `faults`."""
    keys = st.lists(st.sampled_from(ALPHABET), max_size=5).map(tuple)
    operation = st.builds(
        Operation,
        name=st.sampled_from(("set_many", "get_many", "delete_many")),
        keys=keys,
        bulk=st.sampled_from((0, 0, 0, 0, 24, 25, 26, 99, 100, 101, 200, 400)),
        at=st.sampled_from((0, 13, 60)),
        size=st.sampled_from((6, 6, 0, 90, 600)),
    )
    fault = st.builds(
        Fault,
        operation=st.integers(0, 3),
        call=st.integers(0, 12),
        calls=st.sampled_from((1, 1, 2, 3, 5, 20, None)),
        keys=st.sampled_from(((), (), (), ("a",), ("k24",), ("k0", "k50"), ("a", "b", "c", "d"))),
        says=st.sampled_from(tuple(faults)),
        done=st.sampled_from(tuple(PARTS)),
    )
    return st.builds(
        Schedule,
        backend=st.sampled_from(tuple(BACKENDS)),
        answers=st.sampled_from(tuple(ANSWERS)),
        operations=st.lists(operation, min_size=1, max_size=most_operations).map(tuple),
        faults=st.lists(fault, max_size=3).map(tuple),
    )


# The store


class Refusal(StoreError):
    """What the host side says: as an error of the embedded host, and as one of the bindings (`value`; None
    where the call was not made)."""

    def __init__(self, says: str) -> None:
        super().__init__(says)
        self.value: object = {
            GONE: wasi_keyvalue_store.Error_NoSuchStore(),
            DENIED: wasi_keyvalue_store.Error_AccessDenied(),
            SILENT: None,
        }.get(says, wasi_keyvalue_store.Error_Other(says))


@dataclass
class Call:
    """A call that the store got.

    Attributes:
        name: Of the raw interface.
        keys: What it held.
        error: What the store said, where it refused or failed.
        fault: The fault that it met.
        down: Whether the store was down.
    """

    name: str
    keys: list[str]
    error: str | None = None
    fault: Fault | None = None
    down: bool = False

    @property
    def worked(self) -> bool:
        """Whether it did what was asked."""
        return self.error is None and self.fault is None

    @property
    def busy(self) -> bool:
        """Whether the store takes no calls now, and may later."""
        return self.error in (BUSY, THROTTLED)

    @property
    def probes(self) -> bool:
        """Whether it asks, by a key that is not there, whether the store takes writes."""
        return self.name == "delete_many" and self.keys == [PROBE_KEY]

    @property
    def hopeless(self) -> bool:
        """Whether no smaller call could do better."""
        return self.busy or self.error in (GONE, DENIED, SILENT)

    @property
    def made(self) -> bool:
        """Whether the store heard of it."""
        return self.error not in (BUSY, SILENT, GONE, DENIED)


class FaultyStore:
    """A store that does as its schedule says: an `embedded.store.Bucket`.

    It raises nothing but `Refusal`: what no caller may do is found in `calls`, by the model.

    Attributes:
        data: What it holds.
        calls: What it got in the operation under way.
    """

    def __init__(self, schedule: Schedule) -> None:
        self.backend = BACKENDS[schedule.backend]
        self.data: dict[str, bytes] = dict(BEFORE)
        self.calls: list[Call] = []
        self._told = ANSWERS[schedule.answers]
        self._faults = schedule.faults
        self._met = [0] * len(schedule.faults)
        self._operation = -1

    def begin(self) -> None:
        """The next operation begins."""
        self.calls = []
        self._operation += 1

    def forget(self) -> None:
        """Its schedule is over: whoever keeps the store keeps nothing with it."""
        self.data, self.calls = {}, []

    def get(self, key: str) -> bytes | None:
        self._call("get", [key])
        return self.data.get(key)

    def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes]]:
        call = self._call("get_many", keys)
        if call.fault is not None:
            return [*((key, b"false") for key in keys), ("nobody asked for this", b"false")]
        pairs: list[tuple[str, Value]] = [(key, self.data.get(key)) for key in keys]
        return self._told(pairs)  # type: ignore[return-value] # a host that gives None is one of the faults

    def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        self._call("set_many", [key for key, _ in pairs], pairs)

    def delete_many(self, keys: Sequence[str]) -> None:
        self._call("delete_many", keys, [(key, None) for key in keys])

    def set(self, key: str, value: bytes) -> None:
        self._call("set", [key], [(key, value)])

    def delete(self, key: str) -> None:
        self._call("delete", [key], [(key, None)])

    def exists(self, key: str) -> bool:
        return self.get(key) is not None

    def list_keys(self, cursor: str | None) -> list[str]:
        self._call("list_keys", [])
        return list(self.data)

    def _call(self, name: str, keys: Sequence[str], changes: Sequence[tuple[str, Value]] = ()) -> Call:
        call = Call(name, list(keys))
        call.fault, call.down = self._fault(call)
        refused = self._refused(call)
        self.calls.append(call)
        if call.fault is not None and call.fault.says != STRANGER:
            says = call.fault.says
            call.error = f"{says} at call {len(self.calls)}" if says == RESET else says
            if refused is None and says not in (BUSY, GONE, DENIED, SILENT):
                done = PARTS[call.fault.done]
                self._apply([each for i, each in enumerate(changes) if done(i, len(keys), each[0])])
        elif refused is not None:
            call.error, count = refused
            self._apply(changes[:count])
        else:
            self._apply(changes)
        if call.error is not None:
            raise Refusal(call.error)
        return call

    def _apply(self, changes: Sequence[tuple[str, Value]]) -> None:
        for key, value in changes:
            if value is None:
                self.data.pop(key, None)
            else:
                self.data[key] = value

    def _fault(self, call: Call) -> tuple[Fault | None, bool]:
        """The fault that this call meets, and whether the store is down."""
        now = (self._operation, len(self.calls))
        for index, fault in enumerate(self._faults):
            if (
                now >= (fault.operation, fault.call)
                and (fault.calls is None or self._met[index] < fault.calls)
                and (not fault.keys or not set(fault.keys).isdisjoint(call.keys))
                and (fault.says != STRANGER or call.name == "get_many")
            ):
                self._met[index] += 1
                return fault, fault.down
        return None, False

    def _refused(self, call: Call) -> tuple[str, int] | None:
        """Why the backend does not take the call, and how many of its keys it does before it says so."""
        backend, keys, several = self.backend, call.keys, call.name.endswith("_many")
        if call.name == "get_many":
            if not backend.reads_in_batches:
                return "wrong number of arguments for 'keys' command", 0
            if backend.cap < ANY_NUMBER:
                size = sum(len(key) + len(self.data.get(key, b"")) for key in keys)
                if size > backend.cap:
                    return f"query result exceeds limit of {backend.cap} bytes", 0
        if several and len(keys) > backend.most(call.name):
            return "too many items", 0
        if (backend.refused or not backend.empty_key) and not all(map(backend.takes, keys)):
            index = next(index for index, key in enumerate(keys) if not backend.takes(key))
            return f"the key {keys[index]!r} is refused", index if backend.key_by_key else 0
        return None


class FaultyBucket:
    """The store as a `kv_batch.bucket.Bucket`, with the errors that the real adapter makes of a host's."""

    def __init__(self, store: FaultyStore) -> None:
        self.time = VirtualTime()
        self._store = store
        self._learned = Learned()

    @property
    def learned(self) -> Learned:
        return self._learned

    @property
    def clock(self) -> Clock:
        return self.time.clock

    async def get(self, key: str) -> bytes | None:
        with _translated(key):
            return self._store.get(key)

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        return [await self.get(key) for key in keys]

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        with _translated():
            return [*self._store.get_many(keys)]

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        with _translated():
            self._store.set_many(pairs)

    async def delete_many(self, keys: Sequence[str]) -> None:
        with _translated():
            self._store.delete_many(keys)

    async def list_keys(self) -> list[str]:
        with _translated():
            return self._store.list_keys(None)


@contextmanager
def _translated(key: str | None = None) -> Iterator[None]:
    try:
        yield
    except Refusal as refusal:
        if refusal.value is None:
            raise StoreUnreachable(str(refusal)) from refusal
        raise store_error(refusal.value, key) from refusal


# The model


@dataclass(frozen=True)
class Outcome:
    """What was said of an operation, natively or over HTTP.

    Attributes:
        error: What the store said in the end; None where the operation succeeded.
        listed: Whether an error came with the three lists; without them nothing was done.
        by_themselves: Those of the failed keys whose reason is said to be their own; None where that is not
            said.
        answer: What get_many gave.
    """

    error: str | None = None
    listed: bool = False
    applied: Sequence[str] = ()
    failed: Sequence[tuple[str, str]] = ()
    not_attempted: Sequence[str] = ()
    by_themselves: frozenset[str] | None = None
    answer: Sequence[tuple[str, Value]] = ()


@dataclass
class Seen:
    """One operation, with all that there is to judge it by.

    Attributes:
        number: Of the operation, from 0.
        calls: What the store was asked for it.
        before, after: What the store held.
        learned: What was learned of the store before, and what is now; None where that cannot be seen.
        now: Seconds, when the operation was over.
    """

    backend: Backend
    operation: Operation
    number: int
    outcome: Outcome
    calls: list[Call]
    before: Mapping[str, bytes]
    after: Mapping[str, bytes]
    learned: tuple[Learned, Learned] | None = None
    now: float = 0.0

    def __post_init__(self) -> None:
        self.asked = self.operation.asked
        self.distinct = set(self.asked)
        self.reads = self.operation.name == "get_many"
        self.wanted: dict[str, Value] = dict.fromkeys(self.asked)
        if self.operation.name == "set_many":
            self.wanted.update(self.operation.pairs(self.number))
        self.failed_calls = [call for call in self.calls if not call.worked and not call.probes]
        self.busy = sum(call.busy for call in self.calls)
        self.failed_alone = {
            call.keys[0] for call in self.failed_calls if len(call.keys) == 1 and not call.hopeless
        }
        self.undisturbed = all(call.fault is None for call in self.calls) and all(
            map(self.backend.takes, self.distinct)
        )

    @property
    def most(self) -> int | None:
        """The most keys that a call may hold, as was learned before."""
        if self.learned is None:
            return None
        limit: Limit = getattr(self.learned[0], self.operation.name)
        return limit.size(self.now)

    @property
    def passing(self) -> int:
        """The calls that met a fault, and would have met none later; without those made again for it."""
        return sum(
            call.fault is not None and call.fault.calls is not None and not call.busy for call in self.calls
        )

    @property
    def limit(self) -> int:
        """The most keys that the backend takes in a call of this operation."""
        return self.backend.most(self.operation.name)


def fit_for_the_host(seen: Seen) -> Iterator[str]:
    """What no backend may be sent."""
    names = {"get", "get_many"} if seen.reads else {seen.operation.name}
    for number, call in enumerate(each for each in seen.calls if seen.reads or not each.probes):
        at = f"call {number}, {call.name} of {len(call.keys)} keys,"
        if call.name not in names:
            yield f"{at} is none that {seen.operation.name} needs"
        if not call.keys:
            yield f"{at} holds no key"
        if len(set(call.keys)) < len(call.keys):
            yield f"{at} holds a key twice"
        if not seen.distinct.issuperset(call.keys):
            yield f"{at} holds a key that the batch does not"
        if call.name == "get_many" and len(call.keys) == 1:
            yield f"{at} reads one key as a batch, which kills the host on Redis"
        if seen.most is not None and call.name != "get" and len(call.keys) > seen.most:
            yield f"{at} is larger than the limit of {seen.most} that was learned"


def not_sent_again(seen: Seen) -> Iterator[str]:
    """A call that failed is made again in parts, unless the store was only busy."""
    refused: set[tuple[str, ...]] = set()
    for number, call in enumerate(seen.calls):
        if (call.name, *call.keys) in refused:
            yield f"call {number}, {call.name} of {len(call.keys)} keys, was sent again unchanged"
        if call.busy:
            refused.clear()  # the store may take now what it did not take then
        elif not call.worked:
            refused.add((call.name, *call.keys))


def bounded(seen: Seen) -> Iterator[str]:
    """How many calls an operation may take of n keys.

    A store that is down gets MOST_WHILE_DOWN. A read takes a call a key at the most, one more for each
    two that must be told apart, and a path of halves. A write that nothing disturbs takes n / limit; each
    failed call of several keys brings two more (and the rest of a limit that it teaches); and of those
    there is one path of halves for each key that fails alone, one for a limit and two more calls that show
    it again, and two for a passing fault. After the 1st, 2nd, 4th … failure in a row of a key alone there are
    two more calls: they show whether the store takes writes. A busy store is asked MOST_RETRIES times in a
    row, and then in smaller calls, which grow again as they are taken.
    """
    count, calls = len(seen.distinct), len(seen.calls)
    path = count.bit_length() + 1
    down = sum(call.down for call in seen.calls)
    if down > MOST_WHILE_DOWN:
        yield f"{down} calls to a store that is down"
    in_a_row = 0
    for call in seen.calls:
        in_a_row = in_a_row + 1 if call.busy else 0
        if in_a_row > MOST_RETRIES:
            yield f"{in_a_row} calls in a row to a store that is busy"
            break
    if seen.reads:
        # Single keys are read side by side: where the store was busy for one, all of these are read again.
        read = [call.keys[0] for call in seen.calls if call.name == "get" and call.worked]
        again = len(read) - len(set(read)) if seen.busy else 0
        if calls - again > 1.5 * count + path + 2 + 3 * seen.busy:
            yield f"{calls} calls to read {count} keys"
        return
    several = sum(len(call.keys) > 1 and not call.busy for call in seen.failed_calls)
    tests = 2 * len(seen.failed_alone)
    whole = -(-count // (seen.most or SMALLEST_LIMIT))
    most = whole + 2 * several + 2 * (count // SMALLEST_LIMIT + 1) if several else whole
    most += tests + 3 * seen.busy
    if calls > most:
        yield f"{calls} calls to write {count} keys, of which {several} failed: {most} would do"
    most = (len(seen.failed_alone) + 1) * path + 2 + 2 * seen.passing + seen.busy
    if seen.limit >= SMALLEST_LIMIT and several > most:
        yield f"{several} failed calls of several keys, where {most} show what {count} keys are about"


def learned_well(seen: Seen) -> Iterator[str]:
    """What is learned is what was shown: a failure alone shows nothing."""
    if seen.learned is None:
        return
    limits: list[Limit] = [getattr(each, seen.operation.name) for each in seen.learned]
    before, after = (limit.most for limit in limits)
    expired = limits[0].size(seen.now) > before
    if after < SMALLEST_LIMIT or (after > before and not expired):
        yield f"learned a limit of {after} after one of {before}"
    refusals = sum(len(call.keys) > after and call.made for call in seen.failed_calls)
    if after < before and refusals < (2 if limits[0] == Limit(before) else 1):
        yield f"learned a limit of {after} from {refusals} refused calls"
    if not seen.reads and not seen.passing and seen.limit == ANY_NUMBER and after < before:
        yield f"learned a limit of {after} from keys that are refused by themselves"
    knew, knows = (each.batch_reads.work for each in seen.learned)
    worked = {call.name for call in seen.calls if call.worked}
    if knew is not knows is False and (knew or "get_many" in worked or "get" not in worked):
        yield "learned that batch reads never work, where one did, or no read does"
    refused = seen.learned[0].batch_reads.refusals + sum(len(call.keys) > 1 for call in seen.failed_calls)
    if knew is not knows is False and refused < 2:
        yield "learned that batch reads never work from one that failed"


def lists_are_the_batch(seen: Seen) -> Iterator[str]:
    """Every key of a batch that failed is in exactly one of the three lists: that of its last call."""
    outcome = seen.outcome
    if not outcome.listed:
        return
    said = {
        "applied": outcome.applied,
        "failed": [key for key, _ in outcome.failed],
        "not attempted": outcome.not_attempted,
    }
    lists = Counter(key for keys in said.values() for key in keys)
    if lists != Counter(seen.distinct):
        missing, more = Counter(seen.distinct) - lists, lists - Counter(seen.distinct)
        yield f"not in any list: {_few(missing)}; in the lists too often: {_few(more)}"
    last = {key: call for call in seen.calls if call.made and not call.probes for key in call.keys}
    for word, keys in said.items():
        wrong = {key: call for key in keys if _word(call := last.get(key)) != word}
        if wrong:
            yield f"said to be {word}, but {_word(next(iter(wrong.values())))}: {_few(wrong)}"
    alone: dict[str, set[str]] = {}
    together: dict[str, set[str]] = {}
    for call in filter(lambda call: call.made, seen.failed_calls):
        single = len(call.keys) == 1 and not call.busy
        for key in call.keys:
            (alone if single else together).setdefault(key, set()).add(call.error or "")
    invented = [
        key
        for key, reason in outcome.failed
        if reason not in alone.get(key, ())
        and (key in alone or reason not in map(SHARED.format, together.get(key, ())))
    ]
    if invented:
        yield f"failed with a reason that the store never gave for it: {_few(invented)}"
    proven = alone.keys() - set(outcome.applied) - _unproven(seen.calls)
    if outcome.by_themselves is not None and outcome.by_themselves != proven:
        yield f"said to have failed by themselves: {_few(outcome.by_themselves)}, and it was {_few(proven)}"


SHARED = "a call that held this key failed, and the key was not tried again: {}"
"""The reason of a key that did not fail by itself."""


def _unproven(calls: list[Call]) -> set[str]:
    """The keys that may have failed only for the sake of a store that was given up in the end."""
    unproven: set[str] = set()
    if calls[-1].hopeless or (calls[-1].probes and not calls[-1].worked):
        for call in calls:
            if call.worked:
                unproven.clear()
            elif len(call.keys) == 1:
                unproven.update(call.keys)
    return unproven


def _word(call: Call | None) -> str:
    if call is None:
        return "not attempted"
    return "applied" if call.worked else "failed"


def told_as_it_is(seen: Seen) -> Iterator[str]:
    """What was said of the keys is what the store holds."""
    outcome, before, after = seen.outcome, seen.before, seen.after
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    if not seen.distinct.issuperset(changed):
        yield f"changed, and not in the batch: {_few(changed - seen.distinct)}"
    if seen.reads:
        if changed:
            yield f"changed by a read: {_few(changed)}"
        if outcome.error is None:
            held = [(key, after.get(key)) for key in seen.asked]
            if list(outcome.answer) != held:
                wrong = [pair for pair, right in zip(outcome.answer, held, strict=False) if pair != right]
                yield f"{len(outcome.answer)} pairs for {len(held)} keys; not as in the store: {_few(wrong)}"
        return
    if outcome.error is not None and not outcome.listed and changed:
        yield f"changed, where nothing was said to be: {_few(changed)}"
    applied = seen.distinct if outcome.error is None else outcome.applied
    if lost := [key for key in applied if after.get(key) != seen.wanted.get(key)]:
        yield f"said to be applied, and is not: {_few(lost)}"
    if touched := changed.intersection(outcome.not_attempted):
        yield f"changed, and said not to be attempted: {_few(touched)}"
    if torn := [
        key for key, _ in outcome.failed if after.get(key) not in (before.get(key), seen.wanted.get(key))
    ]:
        yield f"neither the old value nor the new: {_few(torn)}"


def with_good_reason(seen: Seen) -> Iterator[str]:
    """An operation fails when it must, and only then."""
    outcome = seen.outcome
    final = [
        call.error
        for call in seen.failed_calls
        if (call is seen.calls[-1] if call.busy else call.hopeless or len(call.keys) == 1)
    ]
    if outcome.error is None:
        if final:
            yield f"a success, though the store said {_few(final)} where no smaller call could help"
        return
    if seen.undisturbed:
        yield "failed, though nothing stood in its way but the ways of its backend"
        return
    last = seen.calls[-1]
    if not final or outcome.error != final[-1]:
        yield f"the error is {outcome.error!r}, and what the store said in the end {_few(final[-1:])}"
    if seen.reads and not last.hopeless and (last.worked or len(last.keys) > 1):
        yield "raised, though no key had failed by itself"
    if not seen.reads and not outcome.listed and last.error not in (GONE, DENIED):
        yield "a write that failed told no lists"


def gives_up_in_time(seen: Seen) -> Iterator[str]:
    """A write that failed tried every key, but for a store that is lost: not sooner, and not later.

    It is lost when two keys failed by themselves, one of which nothing was known of, and then the deletion of
    a key that is not there.
    """
    outcome = seen.outcome
    if seen.reads or not outcome.listed:
        return
    in_a_row, tested = 0, False
    for number, call in enumerate(seen.calls):
        if call.probes:
            tested = True
            if not call.worked and not call.busy and call is not seen.calls[-1]:
                yield f"went on after call {number} had shown that the store takes no writes"
        elif call.worked:
            in_a_row = 0
        elif len(call.keys) == 1 and not call.busy:
            in_a_row, tested = in_a_row + 1, False
            if in_a_row > 2 and not any(
                each.probes or each.worked or each.busy for each in seen.calls[:number]
            ):
                yield f"{in_a_row} keys failed in a row, and the store was not tested"
    left = seen.distinct - seen.failed_alone.union(outcome.applied)
    last = seen.calls[-1]
    if left and not last.hopeless and not (tested and not last.worked):
        yield f"gave up after {in_a_row} keys: {_few(left)}"


CHECKS: Final = (
    fit_for_the_host,
    not_sent_again,
    bounded,
    learned_well,
    lists_are_the_batch,
    told_as_it_is,
    with_good_reason,
    gives_up_in_time,
)
"""Each yields what was broken, in words."""


def _few(keys: object) -> str:
    """A few of many, to be read."""
    named = sorted(map(repr, keys))  # type: ignore[call-overload] # anything that can be gone through
    return ", ".join(named[:4]) + (f" and {len(named) - 4} more" if len(named) > 4 else "")


class Model:
    """What a caller knows of a store, who knows only what the contract said.

    Attributes:
        possible: The values that each key may have now. One that is not there may only be absent.
        taught: The operations that have shown the backend's limit, and must not exceed it again until it
            expires, and when they did.
        exceeded: The operations that have met it.
        disturbed: Whether there has been an operation that was.
    """

    def __init__(self) -> None:
        self.possible: dict[str, set[Value]] = {key: {value} for key, value in BEFORE.items()}
        self.taught: dict[Name, float] = {}
        self.exceeded: set[Name] = set()
        self.disturbed = False

    def check(self, seen: Seen) -> None:
        """Learns what the outcome says.

        Raises:
            AssertionError: it breaks the contract; in which ways, and what was done.
        """
        broken = [f"{check.__name__}: {what}" for check in CHECKS for what in check(seen)]
        self._learn(seen)
        broken += self._as_known(seen)
        broken += self._taught(seen)
        if broken:
            calls = [
                f"    {call.name} of {len(call.keys)}: {call.error or 'done'}"
                f"{'' if call.worked or call.error else ', with a stranger'}"
                for call in seen.calls[:40]
            ]
            text = "\n".join([*(f"  {each}" for each in broken), "  The calls:", *calls])
            raise AssertionError(f"operation {seen.number}, {seen.operation}:\n{text}")

    def _learn(self, seen: Seen) -> None:
        outcome, possible = seen.outcome, self.possible
        if seen.reads:
            possible.update((key, {value}) for key, value in outcome.answer)
            return
        done = seen.distinct if outcome.error is None else outcome.applied
        possible.update((key, {seen.wanted.get(key)}) for key in done)
        for key, _ in outcome.failed:
            possible[key] = possible.get(key, {None}) | {seen.wanted.get(key)}

    def _as_known(self, seen: Seen) -> Iterator[str]:
        """The store holds nothing that a caller could not expect, also from what was said long ago."""
        after, possible = seen.after, self.possible
        unknown = [
            key for key in after.keys() | possible.keys() if after.get(key) not in possible.get(key, {None})
        ]
        if unknown:
            yield f"the store holds what nobody said that it may: {_few(unknown)}"

    def _taught(self, seen: Seen) -> Iterator[str]:
        """One operation that nothing disturbs, and that meets the limit twice, shows what a backend takes."""
        name, count = seen.operation.name, len(seen.distinct)
        if seen.now - self.taught.get(name, float("-inf")) < LIMIT_EXPIRES:
            too_large = [len(call.keys) for call in seen.calls if len(call.keys) > seen.limit]
            if too_large:
                yield f"a call of {too_large[0]} keys: it had been shown that {seen.limit} are the most"
        learnable = seen.limit >= SMALLEST_LIMIT or (seen.reads and not seen.backend.reads_in_batches)
        if count >= 4 * seen.limit and learnable and seen.undisturbed:
            self.taught.setdefault(name, seen.now)
        if count > seen.limit:
            self.exceeded.add(name)
        self.disturbed = self.disturbed or not seen.undisturbed
        easy = seen.reads and count <= seen.limit and seen.backend.cap == ANY_NUMBER
        if easy and not self.disturbed and not self.exceeded and len(seen.calls) > 1:
            yield f"{len(seen.calls)} calls for {count} keys, where nothing ever stood in the way of one"
