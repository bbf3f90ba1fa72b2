"""get_many, part by part: which keys the next host call reads, and what a refused call teaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kv_batch.bucket import Bucket, smaller_size
from kv_batch.errors import ResultTooLarge, StoreBusy, StoreError, StoreFailed
from kv_batch.retry import HOPELESS, SMALLER, Retry

MAX_CONCURRENT_READS = 256
"""The maximum number of keys that are read one by one at the same time."""

FIRST_KEYS = 100
"""Keys of the first part of a read whose parts have a target size: the size of the values is unknown yet."""

GROWTH = 4
"""The factor by which the number of keys may grow from one part of a read to the next."""


@dataclass
class Read:
    """One get_many, read in parts. The number of keys of the next call:

        event                                the next call
        the first one                        as many as the store takes, FIRST_KEYS if cut by bytes
        taken                                up to GROWTH times as many, the limit and `target_bytes` allowing
        refused, and no batch was ever read  2 keys; once these are there, half of what was refused
        refused                              half, and no more until what was refused is read
        two keys refused, and read singly    2 keys, until a batch is taken
        more bytes than the host hands over  half; this says nothing about the number of keys
        the store is busy                    after a pause as many, after the second a quarter

    Attributes:
        keys: The keys to read. A key that is repeated within one part is requested once.
        target_bytes: The approximate size of a part in bytes, estimated from the values before it. None for
            parts as large as the store accepts.
        start: The number of keys that have been read.
        part: The keys of the last part, with repeats.
        size: The size of the values of the last part in bytes, if there is a target.
    """

    keys: Sequence[str]
    target_bytes: int | None = None
    retry: Retry = field(default_factory=Retry)
    start: int = 0
    part: Sequence[str] = ()
    size: int = 0
    _count: int | None = None  # None: as many as the store takes
    _refused: int = 0  # the size of the last call that was refused; 0 when its keys have been read
    _refused_end: int = 0  # where its keys end

    @property
    def left(self) -> int:
        """The number of keys that remain to be read."""
        return len(self.keys) - self.start

    def go_on(self, keys: Sequence[str]) -> None:
        """Continues with other keys, in parts of the size found so far."""
        self.keys, self.start, self._refused = keys, 0, 0

    async def next(self, bucket: Bucket) -> dict[str, bytes | None]:
        """Reads the next part. Returns key to value, in the order of the keys.

        Raises:
            StoreError: as get_many. The same part may be requested again.
        """
        limit, reads, clock = bucket.learned.get_many, bucket.learned.batch_reads, bucket.clock
        while True:
            now = clock.now()
            most = MAX_CONCURRENT_READS if reads.known(now) is False else limit.size(now)
            count = self._count or (FIRST_KEYS if self.target_bytes else most)
            self.part = self.keys[self.start : self.start + min(count, most)]
            distinct = list(dict.fromkeys(self.part))
            try:
                answer, singly = await _read(bucket, distinct)
                break
            except StoreBusy as error:
                if await self.retry.pause(error, now, clock):
                    self._count = max(1, len(self.part) // SMALLER)
            except ResultTooLarge:
                if len(distinct) == 1:
                    raise
                self._count = max(1, len(self.part) // 2)
            except _BatchRefused:
                self._refused, self._refused_end = len(self.part), self.start + len(self.part)
                # Before halving all the way down where no batch can be read at all, ask for just two.
                self._count = 2 if reads.work is None else max(2, smaller_size(self._refused))
        self.retry.taken()
        self.start += len(self.part)
        self._learn(bucket, len(distinct), singly)
        if self.target_bytes is not None:
            self._cut_by_bytes(answer, self.target_bytes)
        return answer

    def _learn(self, bucket: Bucket, taken: int, singly: bool) -> None:
        """Draws from a part that was read what it says of the number of keys."""
        limit, count = bucket.learned.get_many, len(self.part)
        grown = GROWTH * count
        if singly:
            grown = count
        elif self._refused and bucket.learned.batch_reads.work:
            if count == 2 and smaller_size(self._refused) > 2:
                grown = smaller_size(self._refused)
            elif self.start < self._refused_end:
                grown = count
            else:
                limit.refused(self._refused, smaller_size(self._refused), bucket.clock.now())
                self._refused = 0
        elif taken > 1:
            limit.taken(taken)
        self._count = grown

    def _cut_by_bytes(self, answer: dict[str, bytes | None], target_bytes: int) -> None:
        values = answer.values()
        self.size = sum(map(len, filter(None, values) if None in values else values))  # type: ignore[arg-type]
        held = self.size + len("".join(answer))
        self._count = max(1, min(target_bytes * len(self.part) // (held or 1), self._count or 1))


class _BatchRefused(Exception):
    """A batch read failed, and a smaller one may not."""


async def _read(bucket: Bucket, part: list[str]) -> tuple[dict[str, bytes | None], bool]:
    """One part of a get_many, all its keys answered; and whether a batch of them was refused just now.

    Two keys that the batch read does not answer are read one by one; if that works, and no batch read
    ever did, none is tried on this store for some time.

    Raises:
        _BatchRefused: the batch read of more than two keys failed; fewer may work.
        ResultTooLarge: fewer may work, and that says nothing about their number.
        StoreError: a key could not be read by itself, or nothing can be read now.
    """
    reads, refused = bucket.learned.batch_reads, False
    if len(part) == 1:
        return {part[0]: await bucket.get(part[0])}, False
    if reads.work is not False:
        try:
            return await _read_batch(bucket, part), False
        except ResultTooLarge:
            if len(part) > 2:
                raise
        except _BatchRefused:
            if len(part) > 2:
                raise
            refused = True
    try:
        answer = dict(zip(part, await bucket.get_each(part), strict=True))
    except StoreError:
        reads.refusals = 0  # nothing can be read: that says nothing about batches
        raise
    if refused and reads.work is None and reads.refusals > 1:
        reads.never(bucket.clock.now())
    return answer, reads.work is not False


async def _read_batch(bucket: Bucket, part: list[str]) -> dict[str, bytes | None]:
    """The values of several keys, by one batch read.

    Raises:
        _BatchRefused: it failed, and this may be for the number of the keys.
        StoreError: it failed for another reason.
    """
    reads = bucket.learned.batch_reads
    answer: dict[str, bytes | None] = dict.fromkeys(part)
    try:
        answer.update(await bucket.get_many(part))
        if len(answer) != len(part):
            raise StoreFailed("the store answered get-many with a key that nobody asked for")
    except (*HOPELESS, StoreBusy, ResultTooLarge):
        raise
    except StoreError as error:
        if reads.work is None:
            reads.refusals += 1
        raise _BatchRefused from error
    reads.work, reads.refusals = True, 0
    return answer
