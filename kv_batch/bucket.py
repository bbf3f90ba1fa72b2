"""The port to a store: the methods that the contract (`kv_batch.batch`) calls on a bucket.

`kv_batch.wit.WitBucket` implements it over the WIT interfaces. The tests implement it with small stores that
misbehave as the backends do.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from random import SystemRandom
from typing import Protocol

MOST_KEYS = 25_600
"""The maximum number of keys of one host call: 25 x 2^10. Repeated halving meets the limits of DynamoDB
exactly: 100 keys for BatchGetItem and 25 for BatchWriteItem."""

SMALLEST_LIMIT = 25
"""The smallest limit of any known backend: DynamoDB's, for writes. No smaller limit is learned."""


@cache
def probe_key() -> str:
    """A key that no store holds: `exists` on it shows whether the store answers, and deleting it whether the
    store accepts writes.

    Its 128 random bits are drawn by the instance. A constant would be published with the component, and any
    client could store it.
    """
    return f"kv-batch-probe-{os.urandom(16).hex()}"


LIMIT_EXPIRES = 60.0
"""Seconds after which calls of twice a learned limit are tried. If the limit still holds, one call is
refused."""

SINGLY_EXPIRES = 300.0
"""Seconds after which a batch read is tried again on a store that refused them."""


@dataclass(frozen=True)
class Clock:
    """The time of a host, in seconds.

    Attributes:
        now: Seconds since some start.
        wait: Waits for a number of seconds. On an asynchronous host, other requests proceed meanwhile.
        random: Returns a random number from 0 to 1. The state of `random` is stored in the component, so each
            instance would get the same numbers from that.
    """

    now: Callable[[], float]
    wait: Callable[[float], Awaitable[None]]
    random: Callable[[], float] = SystemRandom().random


@dataclass
class Limit:
    """The maximum number of items of one kind of call, as learned from the store.

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
    """Whether a store answers get-many of two or more keys. Spin's Redis never does, and its error says so.

    `work` is True once a batch was read, False after such an error, and None if unknown.
    """

    work: bool | None = None
    _expires: float = 0.0

    def known(self, now: float) -> bool | None:
        """`work`; None once SINGLY_EXPIRES seconds have passed since the error."""
        if self.work is False and now >= self._expires:
            self.work = None
        return self.work

    def never(self, now: float) -> None:
        """The store reads no batches."""
        self.work, self._expires = False, now + SINGLY_EXPIRES


@dataclass
class Learned:
    """What has been learned of a store. It is kept as long as the bucket: for the life of the instance.

    Attributes:
        largest: The size in bytes of the largest value lately read where several keys were read one by one.
            Each such read without a larger one halves it: one large value is soon forgotten. None before any.
    """

    get_many: Limit = field(default_factory=Limit)
    set_many: Limit = field(default_factory=Limit)
    delete_many: Limit = field(default_factory=Limit)
    batch_reads: BatchReads = field(default_factory=BatchReads)
    largest: int | None = None

    def read(self, largest: int) -> None:
        """Keys were read one by one, and `largest` is the size of the largest of their values."""
        self.largest = max(largest, (self.largest or 0) // 2)


class Bucket(Protocol):
    """An open store, with the method names of `wasi:keyvalue`. Every method may raise a `StoreError`."""

    @property
    def learned(self) -> Learned: ...

    @property
    def clock(self) -> Clock: ...

    async def answers(self) -> None:
        """Ensures that the store answers a read, now or within the last second."""
        ...

    async def get(self, key: str) -> bytes | None:
        """The value of one key, or None if the store does not hold it."""
        ...

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of the keys, in their order, read one by one; concurrently if the host can."""
        ...

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        """The batch read of the host, with the defects of its backend.

        Raises:
            ResultTooLarge: the result has too many bytes. Fewer keys may be read; no limit of keys follows.
        """
        ...

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        """The batch write of the host. No key may be repeated.

        Raises:
            KeysFailed: the keys were written one by one, and some of them failed.
        """
        ...

    async def delete_many(self, keys: Sequence[str]) -> None:
        """The batch delete of the host. No key may be repeated. Raises as `set_many`."""
        ...

    async def list_keys(self) -> list[str]:
        """All keys, in any order. A key may be repeated, as by the SCAN of Redis."""
        ...


def smaller_size(size: int) -> int:
    """The next smaller size of a call: the next of 25600, 12800 … 100, 50, 25; below 25, half."""
    step = MOST_KEYS
    while step >= size and step > SMALLEST_LIMIT:
        step //= 2
    return step if step < size else size // 2
