"""What a schedule is made of: a backend, operations, and the faults that they meet."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias
from zlib import crc32

from hypothesis import strategies as st

ANY_NUMBER = 1 << 30

RESET = "connection reset"
BUSY = "too many requests"
THROTTLED = "ThrottlingException: slow down"
SILENT = "no answer"
GONE = "the host knows no such store"
DENIED = "the host denies access to the store"
STRANGER = "an answer for a key that nobody asked for"

Name = Literal["get_many", "set_many", "delete_many"]
Value: TypeAlias = bytes | None


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
