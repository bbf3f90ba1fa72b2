"""get_many, part by part: which keys the next host call reads, and what a refused call teaches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from kv_batch.bucket import MOST_KEYS, Bucket, smaller_size
from kv_batch.errors import ResultTooLarge, StoreBusy, StoreError, StoreFailed
from kv_batch.retry import HOPELESS, SMALLER, Retry

MAX_CONCURRENT_READS = 512
"""The maximum number of keys that are read one by one at the same time."""

UNKNOWN_SIZES = 8
"""That number before the first such read of a store. Eight values of 10 MiB are 80 MiB."""

CONCURRENT_BYTES = 32 * 1024 * 1024
"""The approximate size in bytes of the values that are read one by one at the same time, if they are as large
as the largest that was read lately (`Learned.largest`)."""

FIRST_KEYS = 100
"""Keys of the first part of a read whose parts have a target size: the size of the values is unknown yet."""

GROWTH = 4
"""The factor by which the number of keys may grow from one part of a read to the next."""

State = Literal["growing", "pair", "smaller", "singly"]
Way = Literal["in a batch", "one by one", "one by one after a refusal"]


@dataclass(frozen=True)
class Part:
    """A part of a read.

    Attributes:
        keys: The keys of the part, with repeats.
        values: Key to value, each distinct key once, in the order of the keys.
        size: The size of the values in bytes if the read has a target size, else 0.
    """

    keys: Sequence[str]
    values: dict[str, bytes | None]
    size: int


@dataclass
class Read:
    """One get_many, read in parts. The state decides how many keys the next call requests:

        state    the next call requests             event                                     next state
        growing  FIRST_KEYS or the limit at first,  refused                                   smaller
                 then up to GROWTH times as many    refused, and no batch was ever read       pair
        pair     2 keys                             read in a batch                           smaller
                                                    refused, and the two read one by one      singly
        smaller  half of what was refused           refused                                   smaller
                                                    what was refused is all read              growing
        singly   keys one by one, concurrently      -                                         -
        any                                         known: the store reads no batches         singly

    In every state: two keys that were refused, or whose values have more bytes than the host returns, are
    read one by one. The learned limit and `target_bytes` bound the number of keys, and `Learned.largest` that
    of keys read one by one. A result with more bytes than the host returns halves it, and says nothing about
    the number of keys. A busy store leaves it as it is after the first pause, and divides it by SMALLER after
    each further one.

    Attributes:
        keys: The keys to read. A key that is repeated within one part is requested once.
        target_bytes: The approximate size of a part in bytes, estimated from the values before it. None for
            parts as large as the store accepts.
        retry: The retry policy of the request.
        count: The number of keys of the next part. It may be passed to the next read of the same request.
            None for as many as the store accepts.
        most_bytes: The approximate size in bytes of the values that are read one by one at the same time.
        start: The number of keys that have been read.
    """

    keys: Sequence[str]
    target_bytes: int | None = None
    retry: Retry = field(default_factory=Retry)
    count: int | None = None
    most_bytes: int = CONCURRENT_BYTES
    start: int = 0
    _state: State = "growing"
    _refused: int = 0  # the number of keys of the last refused call
    _refused_end: int = 0  # the index behind them
    _distinct: dict[str, None] | None = None  # the keys, if one part may be all of them

    @classmethod
    def once(cls, keys: Iterable[str], retry: Retry, most_bytes: int = CONCURRENT_BYTES) -> Read:
        """A read of each distinct key once, in parts as large as the store accepts."""
        distinct = dict.fromkeys(keys)
        whole = distinct if len(distinct) <= MOST_KEYS else None
        return cls(list(distinct), retry=retry, most_bytes=most_bytes, _distinct=whole)

    @property
    def left(self) -> int:
        """The number of keys that remain to be read."""
        return len(self.keys) - self.start

    async def next(self, bucket: Bucket) -> Part:
        """Reads the next part.

        Raises:
            StoreError: as get_many. The same part may be requested again.
        """
        while True:
            began = bucket.clock.now()
            keys = self._next_keys(bucket, began)
            # Most requests are one part. A copy of a dict is made much faster than a dict of a list.
            whole = len(keys) == len(self.keys) and self._distinct
            values: dict[str, bytes | None] = {**whole} if whole else dict.fromkeys(keys)
            distinct = keys if len(values) == len(keys) else list(values)
            try:
                way = await self._read(bucket, distinct, values)
                break
            except StoreBusy as error:
                if await self.retry.pause(error, began, bucket.clock):
                    self.count = max(1, len(keys) // SMALLER)
            except ResultTooLarge:
                if len(distinct) == 1:
                    raise
                self.count = max(1, len(keys) // 2)
            except _BatchRefused:
                self._shrink(len(keys), bucket)
        self.retry.taken()
        self.start += len(keys)
        self._advance(bucket, len(keys), len(distinct), way)
        size = 0
        if self.target_bytes is not None:
            present = values.values()
            size = sum(map(len, filter(None, present) if None in present else present))  # type: ignore[arg-type]
            held = size + len("".join(values))
            self.count = max(1, min(self.target_bytes * len(keys) // (held or 1), self.count or 1))
        return Part(keys, values, size)

    def _next_keys(self, bucket: Bucket, now: float) -> Sequence[str]:
        learned = bucket.learned
        if learned.batch_reads.known(now) is False:
            self._state = "singly"
        if self._state != "singly":
            most = learned.get_many.size(now)
        elif learned.largest is None:
            most = UNKNOWN_SIZES
        else:
            bound = min(self.most_bytes, CONCURRENT_BYTES)
            most = min(MAX_CONCURRENT_READS, max(1, bound // (learned.largest or 1)))
        count = self.count or (FIRST_KEYS if self.target_bytes else most)
        return self.keys[self.start : self.start + min(count, most)]

    def _shrink(self, size: int, bucket: Bucket) -> None:
        """The state after a refused call of `size` keys, more than two of them distinct."""
        self._refused, self._refused_end = size, self.start + size
        if bucket.learned.batch_reads.work:
            self._state, self.count = "smaller", max(2, smaller_size(size))
        elif bucket.learned.batch_reads.work is None:
            # Halving all the way down is useless if the store reads no batches. Two keys show that.
            self._state, self.count = "pair", 2

    def _advance(self, bucket: Bucket, size: int, distinct: int, way: Way) -> None:
        """The state after `size` keys were read."""
        limit = bucket.learned.get_many
        self.count = GROWTH * size
        if way == "one by one after a refusal" and self._state != "singly":
            self.count = size
        elif self._state == "growing" and way == "in a batch":
            limit.taken(distinct)
        elif self._state == "pair":
            self.count = 2
            if way == "in a batch":
                self._state, self.count = "smaller", max(2, smaller_size(self._refused))
        elif self._state == "smaller":
            if self.start < self._refused_end:
                self.count = size
            else:
                limit.refused(self._refused, smaller_size(self._refused), bucket.clock.now())
                self._state = "growing"

    async def _read(self, bucket: Bucket, keys: Sequence[str], values: dict[str, bytes | None]) -> Way:
        """Reads distinct keys in a batch, or one by one where no batch can be read.

        The values are written to `values`, which has all keys, and no others.

        Raises:
            _BatchRefused: the batch read of more than two keys failed, and this may be for their number.
            ResultTooLarge: fewer may work, and that says nothing about their number.
            StoreError: a key could not be read by itself, or nothing can be read now.
        """
        reads = bucket.learned.batch_reads
        way: Way = "one by one"
        refused = False
        if len(keys) > 1 and self._state != "singly":
            self.retry.calls += 1
            try:
                values.update(await bucket.get_many(keys))
                if len(values) != len(keys):
                    raise StoreFailed("the store answered get-many with a key that nobody asked for")
            except (*HOPELESS, StoreBusy):
                raise
            except ResultTooLarge:
                if len(keys) > 2:
                    raise
            except StoreError as error:
                if len(keys) > 2:
                    raise _BatchRefused from error
                refused = True
            else:
                reads.work = True
                return "in a batch"
            way = "one by one after a refusal"
        await self._read_each(bucket, keys, values)
        if refused and reads.work is None:
            self._state = "singly" if self._state == "pair" else "pair"
        return way

    async def _read_each(self, bucket: Bucket, keys: Sequence[str], values: dict[str, bytes | None]) -> None:
        self.retry.calls += len(keys)
        if len(keys) == 1:
            values[keys[0]] = await bucket.get(keys[0])
            return
        each = await bucket.get_each(keys)
        bucket.learned.read(max(map(len, filter(None, each)), default=0))
        values.clear()  # of what a refused batch may have left
        values.update(zip(keys, each, strict=True))


class _BatchRefused(Exception):
    """A batch read failed, and a smaller one may not."""
