"""The port to a store: what the contract (`kv_batch.batch`) needs of a bucket.

`kv_batch.wit.WitBucket` is the real one; the tests have small ones that misbehave as the backends do.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

MOST_KEYS = 25_600
"""The most keys that one host call is given: 25 x 2^10. Halved again and again it meets the limits of
DynamoDB exactly, 100 keys for a BatchGetItem and 25 for a BatchWriteItem."""

SMALLEST_LIMIT = 25
"""The smallest limit that any backend is known to have: DynamoDB's, for writes. None smaller is learned."""

PROBE_KEY = "kv-batch: are you there?"
"""A key that no store has: it is asked for to hear from a store at all, and deleted to see whether it takes
writes, which changes nothing."""

LIMIT_EXPIRES = 60.0
"""Seconds after which twice a learned limit is tried again. Where the limit holds, one call is refused."""

SINGLY_EXPIRES = 300.0
"""Seconds after which a store that read no batches is asked for one again."""


@dataclass(frozen=True)
class Clock:
    """The time of a host, in seconds.

    Attributes:
        now: Seconds since some start.
        wait: Waits for so many seconds. Where the host can, its other requests go on.
    """

    now: Callable[[], float]
    wait: Callable[[float], Awaitable[None]]


@dataclass
class Limit:
    """The most items that one call of a kind may hold, as the store has shown it.

        evidence                                      what follows
        one call refused, both its halves taken       the half is suspected: it may have been an accident
        the same again, no call above the half taken  the half is the limit
        a call above the suspected half taken         nothing is suspected any more
        the limit is LIMIT_EXPIRES old                calls of twice the limit are tried
        such a call taken                             twice is the limit, and expired: four times is tried
        such a call refused, both its halves taken    the limit is new again

    Attributes:
        most: The limit.
    """

    most: int = MOST_KEYS
    _suspected: int = 0  # 0: nothing is
    _expires: float = 0.0

    def size(self, now: float) -> int:
        """How many items the next call may hold."""
        if self.most < MOST_KEYS and now >= self._expires:
            return 2 * self.most
        return self.most

    def refused(self, size: int, half: int, now: float) -> None:
        """A call of `size` items was refused, and calls of `half` took all of them."""
        if half < SMALLEST_LIMIT:
            return
        if size > self.most:
            self._expires = now + LIMIT_EXPIRES
        elif self._suspected == half:
            self.most, self._suspected, self._expires = half, 0, now + LIMIT_EXPIRES
        else:
            self._suspected = half

    def taken(self, size: int) -> None:
        """A call of `size` items was taken."""
        if size > self._suspected:
            self._suspected = 0
        if size > self.most:
            self.most = min(2 * self.most, MOST_KEYS)


@dataclass
class BatchReads:
    """Whether a store answers get-many of two or more keys at all.

    Spin's Redis never does. It is known to be so once the store has refused a batch and then a batch of two
    keys which could be read one by one, in that order and none taken ever; or has said so in words.

    Attributes:
        work: True, False, or None where it is not known.
    """

    work: bool | None = None
    refusals: int = 0
    _expires: float = 0.0

    def known(self, now: float) -> bool | None:
        """`work`, unless it is so long ago that it should be tried again."""
        if self.work is False and now >= self._expires:
            self.work, self.refusals = None, 0
        return self.work

    def never(self, now: float) -> None:
        """The store reads no batches."""
        self.work, self._expires = False, now + SINGLY_EXPIRES


@dataclass
class Learned:
    """What a store has taught, kept for as long as its bucket is: the instance's life."""

    get_many: Limit = field(default_factory=Limit)
    set_many: Limit = field(default_factory=Limit)
    delete_many: Limit = field(default_factory=Limit)
    batch_reads: BatchReads = field(default_factory=BatchReads)


class Bucket(Protocol):
    """An open store, with the words of `wasi:keyvalue`. Every method may raise a `StoreError`."""

    @property
    def learned(self) -> Learned: ...

    @property
    def clock(self) -> Clock: ...

    async def get(self, key: str) -> bytes | None:
        """The value of one key; None for a key that is not there."""
        ...

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of the keys, in their order, read one by one: at once as far as the host can."""
        ...

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        """The raw batch read, with all that the backend does wrong.

        Raises:
            ResultTooLarge: fewer keys may be read; this says nothing about their number.
        """
        ...

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        """The raw batch write. No key twice.

        Raises:
            KeysFailed: the keys were written one by one, and it says which failed.
        """
        ...

    async def delete_many(self, keys: Sequence[str]) -> None:
        """The raw batch delete. No key twice. Raises as `set_many`."""
        ...

    async def list_keys(self) -> list[str]:
        """All keys, in any order. A key may come twice: the SCAN of Redis may repeat it."""
        ...


def smaller_size(size: int) -> int:
    """The next smaller size of call to try: down the steps 25600, 12800 … 100, 50, 25; below, half."""
    step = MOST_KEYS
    while step >= size and step > SMALLEST_LIMIT:
        step //= 2
    return step if step < size else size // 2
