"""Schedules: a backend, operations, and the faults that they meet."""

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
    """How a backend implements the raw interface (docs/backends.md).

    Attributes:
        most_read, most_written: The maximum number of keys in one call.
        cap: The maximum size of the answer of one get-many, in bytes.
        refused: The characters that no key may have.
        empty_key: Whether the empty key is allowed.
        key_by_key: Whether a write is applied up to the first refused key; otherwise it is all or nothing.
        reads_in_batches: Whether get-many of several keys works at all.
        says: The error of such a get-many if it does not.
    """

    most_read: int = ANY_NUMBER
    most_written: int = ANY_NUMBER
    cap: int = ANY_NUMBER
    refused: str = ""
    empty_key: bool = True
    key_by_key: bool = False
    reads_in_batches: bool = True
    says: str = "wrong number of arguments for 'keys' command"

    def takes(self, key: str) -> bool:
        return not set(key) & set(self.refused) and (self.empty_key or key != "")

    def most(self, name: str) -> int:
        """The maximum number of keys in one call with this name."""
        if name != "get_many":
            return self.most_written
        return self.most_read if self.reads_in_batches else 1


BACKENDS: Final[dict[str, Backend]] = {
    "SQLite": Backend(),
    "Redis": Backend(reads_in_batches=False),
    "Redis, in other words": Backend(reads_in_batches=False, says="ERR unknown"),
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
"""The ways in which a backend returns the requested pairs. They get None as the value of a missing key."""

PARTS: Final[dict[str, Callable[[int, int, str], bool]]] = {
    "nothing": lambda index, count, key: False,
    "all": lambda index, count, key: True,
    "all but the last": lambda index, count, key: index < count - 1,
    "the first half": lambda index, count, key: 2 * index < count,
    "every other": lambda index, count, key: index % 2 == 1,
    "some": lambda index, count, key: crc32(f"{key} {count}".encode()) % 3 == 0,
}
"""Which keys of a call were applied before it failed, by index, number of keys, and key."""


@dataclass(frozen=True)
class Fault:
    """Calls that fail.

    Attributes:
        operation, call: The first call that may fail: the number of its operation and its own, both from 0.
        calls: How many calls fail; None for all from then on.
        keys: Only calls with one of these keys fail; empty for any call.
        says: The error of the host. STRANGER stands for a get-many with wrong values and a key that was not
            requested. A call that fails with SILENT was not made, because the store does not answer, and one
            with BUSY was not made, because the host accepts no more calls. A call with THROTTLED was made.
        done: A key of PARTS: the keys that were written nevertheless. None if the call was not made.
    """

    operation: int = 0
    call: int = 0
    calls: int | None = 1
    keys: tuple[str, ...] = ()
    says: str = RESET
    done: str = "nothing"

    @property
    def down(self) -> bool:
        """Whether no call works any more."""
        return self.calls is None and not self.keys and self.says != STRANGER


@dataclass(frozen=True)
class Operation:
    """One call of the contract.

    Attributes:
        name: The function.
        keys: Its keys, with repeats.
        bulk: The number of further keys: k0, k1, … If there are any, the first of `keys` is repeated at the
            end.
        at: The number of further keys that come before `keys`.
        size: The size of each written value, in bytes.
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
        """The pairs of a set_many. All values differ, unless their size truncates them."""
        return [
            (key, f"{number}.{i:03}".ljust(self.size, ".")[: self.size].encode())
            for i, key in enumerate(self.asked)
        ]


@dataclass(frozen=True)
class Schedule:
    """A backend (a key of BACKENDS), its way to answer (a key of ANSWERS), operations, and faults."""

    backend: str
    answers: str
    operations: tuple[Operation, ...]
    faults: tuple[Fault, ...] = ()


BEFORE: Final = dict.fromkeys(("a", "*", "b/", *(f"k{i}" for i in range(60))), b"before")
"""The contents of a store at the start of a schedule."""

ALPHABET = ("a", "b", "c", "d", "k0", "k24", "*", "[a]", "é", "", "b/", "x?", "#")


def schedules(faults: Sequence[str], most_operations: int = 8) -> st.SearchStrategy[Schedule]:
    """A strategy for schedules whose faults are of `faults`."""
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
