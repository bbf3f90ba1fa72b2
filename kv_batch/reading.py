"""A get_many under way: which keys the next host call asks for, and what a refused call teaches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from kv_batch.bucket import Bucket, smaller_size
from kv_batch.errors import ResultTooLarge, StoreBusy, StoreError, StoreFailed
from kv_batch.retry import HOPELESS, SMALLER, Retry

MAX_CONCURRENT_READS = 256
"""Keys that are read singly between two looks at what they add up to."""

FIRST_KEYS = 100
"""Keys in the first part of a read that is cut by bytes: what the values are like is not known yet."""

GROWTH = 4
"""How many times as many keys as the last part of a read the next may have."""


@dataclass
class Read:
    """A get_many under way, a part at a time. How many keys the next call asks for:

        event                                the next call
        the first one                        as many as the store takes, FIRST_KEYS if cut by bytes
        taken                                up to GROWTH times as many, the limit and `target_bytes` allowing
        refused, and no batch was ever read  2 keys; once these are there, half of what was refused
        refused                              half, and no more until what was refused is read
        two keys refused, and read singly    2 keys, until a batch is taken
        more bytes than the host hands over  half; this says nothing about the number of keys
        the store is busy                    after a pause as many, after the second a quarter

    Attributes:
        keys: What is read. A key that comes again within one part is asked for once.
        target_bytes: Bytes that a part should roughly hold: it is cut by the size of the values that came
            before. None for parts as large as the store takes.
        start: How many of the keys have been read.
        part: The keys of the last part, repeats and all.
        size: Bytes of the values of the last part, where parts are cut by size.
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
        """How many keys are still to be read."""
        return len(self.keys) - self.start

    def go_on(self, keys: Sequence[str]) -> None:
        """Reads other keys, in parts of the size that this read has found."""
        self.keys, self.start, self._refused = keys, 0, 0

    async def next(self, bucket: Bucket) -> dict[str, bytes | None]:
        """The next part: key to value, in the order of the keys.

        Raises:
            StoreError: as get_many. The same part may be asked for again.
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
