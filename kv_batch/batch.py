"""The contract: get_many, set_many and delete_many, the same on every backend.

The functions are those of the interface `wasi:keyvalue/batch@0.2.0-draft2`, with its signatures, and with
its guarantees: not atomic, no rollback, no order among the keys of one batch, and you read your writes.
What the backends make of that interface differs (docs/backends.md), so on top of it, everywhere:

- get_many answers for every key asked, in the order asked, repeats and all.
- The last value of a repeated key wins; the host is never sent a key twice in one call.
- A batch of any length is cut into calls that the backend takes.
- get_many works wherever `bucket.get` does.
- A write that fails says what became of each key (`BatchFailed`).
- A busy store is asked again, with growing pauses (`Retry`).

They are `async def`, which is the one difference from the interface: reading single keys side by side needs
a host function that is async (`spin:key-value@3.0.0`), and a coroutine is how Python waits for one.
"""

from __future__ import annotations

import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Generic, TypeVar

from kv_batch.bucket import MOST_KEYS, PROBE_KEY, SMALLEST_LIMIT, Bucket, Clock, Limit
from kv_batch.errors import (
    BatchFailed,
    KeysFailed,
    NoSuchStore,
    ResultTooLarge,
    StoreBusy,
    StoreError,
    StoreFailed,
    StoreNotGranted,
    StoreUnreachable,
)

MAX_CONCURRENT_READS = 256
"""Keys that are read singly between two looks at what they add up to."""

FIRST_KEYS = 100
"""Keys in the first part of a read that is cut by bytes: what the values are like is not known yet."""

GROWTH = 4
"""How many times as many keys as the last part of a read the next may have."""

MAX_CALL_BYTES = 8 * 1024 * 1024
"""Bytes of values after which a call is full. A call holds at least one pair, whatever its size."""

RETRY_SECONDS = 10.0
"""Seconds for which a busy store is asked again, unless told otherwise."""

FIRST_BACKOFF = 0.05
"""Seconds between a call that met a busy store and the next. Each further pause is twice as long."""

MAX_BACKOFF = 2.0
"""Seconds of the longest of these pauses."""

SMALLER = 4
"""How many times smaller a call is made again that has met a busy store twice. From MOST_KEYS to a single key
it takes less than RETRY_SECONDS: one that takes 50 keys a second refuses any call of more."""

ISOLATION_SECONDS = 60.0
"""Seconds for which a write looks for the keys that are refused while no call is taken. What it has not
tried then is not attempted: a store that refuses each key by itself is asked 20,000 times for 10,000 keys."""

_HOPELESS = (NoSuchStore, StoreNotGranted, StoreUnreachable)
"""Errors that a smaller batch would hit too."""


@dataclass
class Retry:
    """How a request bears a busy store: the same call again, with growing pauses, and smaller after two.

    Attributes:
        seconds: For how long, without any call taken. 0 for never.
        count: How many calls were made again.
    """

    seconds: float = RETRY_SECONDS
    count: int = 0
    _since: float | None = None  # when the first call began that met the busy store
    _pause: float = FIRST_BACKOFF

    def taken(self) -> None:
        """A call was taken: the store is no longer busy."""
        self._since, self._pause = None, FIRST_BACKOFF

    async def pause(self, error: StoreBusy, began: float, clock: Clock) -> bool:
        """Waits before a call is made again; says whether it should be a smaller one.

        Args:
            error: What the call met.
            began: When the call began.
            clock: That of the store's host.

        Raises:
            StoreBusy: it has been busy for too long.
        """
        if self._since is None:
            self._since = began
        # Clients that met the busy store together should not come back together.
        pause = self._pause * random.uniform(0.75, 1.25)  # noqa: S311 - nothing secret
        if clock.now() + pause > self._since + self.seconds:
            raise error
        again = self._pause > FIRST_BACKOFF
        self._pause = min(2 * self._pause, MAX_BACKOFF)
        self.count += 1
        await clock.wait(pause)
        return again


async def get_many(
    bucket: Bucket, keys: Sequence[str], *, retry: Retry | None = None
) -> list[tuple[str, bytes | None]]:
    """The values of `keys`: N strings in, N pairs out, in the same order; None for a key not in the store.

    May show an out-of-date value under concurrent writes. An answer over several host calls is no snapshot.

    Raises:
        StoreError: a key could not be read, not even by itself. Nothing is returned then.
    """
    values: dict[str, bytes | None] = {}
    async for part in read_parts(bucket, keys, retry=retry):
        values.update(part)
    return [(key, values[key]) for key in keys]


async def set_many(
    bucket: Bucket, key_values: Sequence[tuple[str, bytes]], *, retry: Retry | None = None
) -> None:
    """Creates or overwrites each pair. The last value of a repeated key wins. Idempotent.

    Raises:
        BatchFailed: a part was not done; it says which.
        StoreError: there is no such store, or it is not granted. Nothing was done.
    """
    key: Callable[[tuple[str, bytes]], str] = itemgetter(0)

    async def call(pairs: Sequence[tuple[str, bytes]]) -> None:
        # In the order of the keys: a store that keeps them in a tree, as SQLite does, finds its way sooner.
        await bucket.set_many(sorted(pairs, key=key))

    values = dict(key_values)
    pairs = key_values if len(values) == len(key_values) else list(values.items())
    write = _Write(bucket, call, key, bucket.learned.set_many, pairs, retry or Retry())
    await write.run(_by_bytes(pairs, values))


async def delete_many(bucket: Bucket, keys: Iterable[str], *, retry: Retry | None = None) -> None:
    """Deletes each key; one that is not there is skipped, as is a repeat. Idempotent.

    Raises:
        BatchFailed: a part was not done; it says which.
        StoreError: there is no such store, or it is not granted. Nothing was done.
    """
    distinct = list(dict.fromkeys(keys))
    write = _Write(bucket, bucket.delete_many, str, bucket.learned.delete_many, distinct, retry or Retry())
    await write.run([(0, len(distinct))])


async def list_keys(bucket: Bucket, prefix: str = "", *, retry: Retry | None = None) -> list[str]:
    """The keys that start with `prefix`, each once, sorted by code point.

    Raises:
        StoreError: they cannot be listed.
    """
    retry = retry or Retry()
    while True:
        began = bucket.clock.now()
        try:
            keys = await bucket.list_keys()
            break
        except StoreBusy as error:
            await retry.pause(error, began, bucket.clock)
    retry.taken()
    if prefix:
        keys = [key for key in keys if key.startswith(prefix)]
    keys.sort()
    # Sorted, those that come twice stand side by side; most stores have none.
    return keys if len(set(keys)) == len(keys) else list(dict.fromkeys(keys))


async def read_parts(
    bucket: Bucket, keys: Iterable[str], *, retry: Retry | None = None
) -> AsyncGenerator[dict[str, bytes | None], None]:
    """get_many a host call at a time, so that the values need not all be held at once.

    Yields dicts of key to value, which together hold each distinct key of `keys` once, in their order.

    Raises:
        StoreError: as get_many.
    """
    read = Read(list(dict.fromkeys(keys)), retry=retry or Retry())
    while read.left:
        yield await read.next(bucket)


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
                self._count = 2 if reads.work is None else max(2, _half(self._refused))
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
            if count == 2 and _half(self._refused) > 2:
                grown = _half(self._refused)
            elif self.start < self._refused_end:
                grown = count
            else:
                limit.refused(self._refused, _half(self._refused), bucket.clock.now())
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
    except (*_HOPELESS, StoreBusy, ResultTooLarge):
        raise
    except StoreError as error:
        if reads.work is None:
            reads.refusals += 1
        raise _BatchRefused from error
    reads.work, reads.refusals = True, 0
    return answer


def _half(size: int) -> int:
    """The next smaller size of call to try: down the steps 25600, 12800 … 100, 50, 25; below, half."""
    step = MOST_KEYS
    while step >= size and step > SMALLEST_LIMIT:
        step //= 2
    return step if step < size else size // 2


Range = tuple[int, int]
"""The items of a batch from one index up to, and without, another."""


def _by_bytes(pairs: Sequence[tuple[str, bytes]], values: dict[str, bytes]) -> Iterator[Range]:
    """The pairs, in runs of at most MAX_CALL_BYTES."""
    if sum(map(len, values.values())) <= MAX_CALL_BYTES:
        yield 0, len(pairs)
        return
    start = size = 0
    for index, (_, value) in enumerate(pairs):
        if size + len(value) > MAX_CALL_BYTES and index > start:
            yield start, index
            start, size = index, 0
        size += len(value)
    yield start, len(pairs)


Item = TypeVar("Item")


@dataclass
class _Refusal:
    """A call that was refused: of how many items, and how many of its halves have been taken whole."""

    size: int
    halves_taken: int = 0


@dataclass
class _Write(Generic[Item]):
    """One set_many or delete_many under way: what became of each key so far.

    A call that fails is made again in halves, down to single keys. After a key that failed by itself, and
    then after the 2nd, 4th, 8th … failure without a call taken, the store is tested (`_test`).

    Attributes:
        bucket: The store.
        call: The host call.
        key_of: The key of one item.
        limit: The most items that a call may hold, as learned.
        items: The batch, no key twice.
        applied: Items whose call worked.
        failed: The reason of each key that failed by itself.
        unknown_state: Keys that were in a call with others that failed, with its reason.
        cause: The last error of a key that failed by itself, or of the store.
    """

    bucket: Bucket
    call: Callable[[Sequence[Item]], Awaitable[None]]
    key_of: Callable[[Item], str]
    limit: Limit
    items: Sequence[Item]
    retry: Retry
    applied: list[Item] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unknown_state: dict[str, str] = field(default_factory=dict)
    cause: StoreError | None = None
    _todo: list[tuple[Range, _Refusal | None]] = field(default_factory=list)  # the next one last
    _size: int = MOST_KEYS  # what a busy store leaves of the limit
    _failures: int = 0  # since the last call taken
    _unproven: list[str] = field(default_factory=list)  # may have failed for the store's sake, not their own
    _isolate_until: float = float("inf")

    async def run(self, ranges: Iterable[Range]) -> None:
        self._todo = [(each, None) for each in ranges if each[0] < each[1]]
        self._todo.reverse()
        while self._todo and self.bucket.clock.now() < self._isolate_until:
            (start, end), refusal = self._todo.pop()
            most = min(self.limit.size(self.bucket.clock.now()), self._size)
            if end - start > most:
                self._todo.append(((start + most, end), None))
                end, refusal = start + most, None
            if not await self._send(start, end, refusal):
                break
        else:
            self._unproven.clear()
        if self.cause is not None:
            raise self._failure(self.cause)

    def _failure(self, cause: StoreError) -> BatchFailed:
        applied = list(map(self.key_of, self.applied))
        done = set(applied)
        left = [key for key in dict.fromkeys(map(self.key_of, self.items)) if key not in done]
        unknown_state = {
            key: f"a call that held this key failed, and the key was not tried again: {reason}"
            for key, reason in self.unknown_state.items()
        }
        reasons = unknown_state | self.failed
        return BatchFailed(
            applied,
            [(key, reasons[key]) for key in left if key in reasons],
            [key for key in left if key not in reasons],
            cause,
            frozenset(self.failed).difference(self._unproven),
        )

    async def _send(self, start: int, end: int, refusal: _Refusal | None) -> bool:
        """Makes one call; says whether another may be made."""
        items = self.items[start:end]
        began = self.bucket.clock.now()
        try:
            await self.call(items)
        except StoreBusy as error:
            if error.made:
                self._mark_unknown(self.items[start:end], error)
            return await self._busy(error, start, end, began)
        except KeysFailed as error:
            return await self._keys_failed(error, start, end, began)
        except StoreError as error:
            return await self._call_failed(error, start, end)
        self._taken(items)
        if refusal is not None:
            refusal.halves_taken += 1
            if refusal.halves_taken == 2:
                # Together refused, apart taken: it was their number, not one of them.
                self.limit.refused(refusal.size, _half(refusal.size), self.bucket.clock.now())
        else:
            self.limit.taken(len(items))
        return True

    def _taken(self, items: Sequence[Item]) -> None:
        self.applied += items
        self._failures = 0
        self._unproven.clear()
        self._isolate_until = float("inf")
        self._size = min(2 * self._size, MOST_KEYS)
        self.retry.taken()

    async def _busy(self, error: StoreBusy, start: int, end: int, began: float) -> bool:
        self._todo.append(((start, end), None))
        try:
            smaller = await self.retry.pause(error, began, self.bucket.clock)
        except StoreBusy:
            self.cause = error
            return False
        if smaller:
            self._size = max(1, (end - start) // SMALLER)
        return True

    async def _keys_failed(self, error: KeysFailed, start: int, end: int, began: float) -> bool:
        """Of a call that was made key by key, each key has an outcome of its own."""
        items = self.items[start:end]
        gone: StoreError | None = None
        busy: StoreBusy | None = None
        again: list[Item] = []
        for item in items:
            failure = error.failed.get(self.key_of(item))
            if isinstance(failure, StoreBusy):
                busy = failure
                again.append(item)
                if failure.made:
                    self._mark_unknown([item], failure)
            elif isinstance(failure, _HOPELESS):
                gone = failure
            elif failure is not None:
                self._record_failure(item, failure)
        taken = [item for item in items if self.key_of(item) not in error.failed]
        if taken:
            self._taken(taken)
        if gone is not None:
            return await self._call_failed(gone, start, end)
        if busy is not None:
            # They stand apart, and a range is what is sent: so once more at the end.
            start = len(self.items)
            self.items = [*self.items, *again]
            return await self._busy(busy, start, len(self.items), began)
        return bool(taken) or await self._test()

    def _record_failure(self, item: Item, error: StoreError) -> None:
        """Keeps that a key failed by itself."""
        self.failed[self.key_of(item)] = error.reason
        self._unproven.append(self.key_of(item))
        self.cause = error
        self._failures += 1
        self._isolate_until = min(self._isolate_until, self.bucket.clock.now() + ISOLATION_SECONDS)

    def _mark_unknown(self, items: Sequence[Item], error: StoreError) -> None:
        self.unknown_state.update(dict.fromkeys(map(self.key_of, items), error.reason))

    async def _call_failed(self, error: StoreError, start: int, end: int) -> bool:
        if isinstance(error, NoSuchStore | StoreNotGranted) and not (
            self.applied or self.unknown_state or self.failed
        ):
            raise error  # nothing was done
        if isinstance(error, _HOPELESS):
            self.cause = error
            return False
        if end - start == 1:
            self._record_failure(self.items[start], error)
            return self._failures & (self._failures - 1) != 0 or await self._test()
        self._mark_unknown(self.items[start:end], error)
        half = start + _half(end - start)
        refusal = _Refusal(end - start)
        self._todo += [((half, end), refusal), ((start, half), refusal)]
        return True

    async def _test(self) -> bool:
        """Whether the store takes writes: shown by the key that is farthest away from those that failed; if
        it fails as well, by one that is not there, and is deleted."""
        if not self._todo:
            return True
        start, end = self._todo[0][0]
        if end - start > 1:
            self._todo[0] = ((start, end - 1), None)
        else:
            del self._todo[0]
        item = self.items[end - 1]
        began = self.bucket.clock.now()
        try:
            await self.call([item])
        except StoreBusy as error:
            if error.made:
                self._mark_unknown([item], error)
            return await self._busy(error, end - 1, end, began)
        except StoreError as error:
            error = error.failed[self.key_of(item)] if isinstance(error, KeysFailed) else error
            if isinstance(error, _HOPELESS):
                self.cause = error
                return False
            self._record_failure(item, error)
        else:
            self._taken([item])
            return True
        try:
            await self.bucket.delete_many([PROBE_KEY])
        except StoreBusy:
            return bool(self._todo)  # it is there: the next call waits for it, and shows what it takes
        except StoreError:
            return False
        self._unproven.clear()
        return True
