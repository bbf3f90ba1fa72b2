"""The contract: get_many, set_many and delete_many, the same on every backend.

The functions are those of the interface `wasi:keyvalue/batch@0.2.0-draft2`, with its signatures, and with
its guarantees: not atomic, no rollback, no order among the keys of one batch, and you read your writes.
What the backends make of that interface differs (docs/backends.md), so on top of it, everywhere:

- get_many answers for every key asked, in the order asked, repeats and all.
- The last value of a repeated key wins; the host is never sent a key twice in one call.
- A batch of any length is cut into calls that the backend takes.
- get_many works wherever `bucket.get` does.
- A write that fails says what became of each key (`BatchFailed`).

They are `async def`, which is the one difference from the interface: reading single keys side by side needs
a host function that is async (`spin:key-value@3.0.0`), and a coroutine is how Python waits for one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Generic, TypeVar

from kv_batch.bucket import MOST_KEYS, Bucket
from kv_batch.errors import (
    BatchFailed,
    NoSuchStore,
    StoreBusy,
    StoreError,
    StoreFailed,
    StoreNotGranted,
    StoreSilent,
)

SMALLEST_STEP = 25
"""The smallest limit that any backend is known to have: DynamoDB's, for writes. None smaller is learned."""

SINGLE_READS = 128
"""Keys that are read singly between two looks at what they add up to."""

GIVE_UP_AFTER = 3
"""Single keys that may fail in a row before a write stops: by then it is the store, not the keys."""

FIRST_KEYS = 100
"""Keys in the first part of a read that is cut by bytes: what the values are like is not known yet."""

GROWTH = 4
"""How many times as many keys as the last such part the next may have."""

WRITE_BYTES = 8 * 1024 * 1024
"""Bytes of values after which a call is full. A call holds at least one pair, whatever its size."""

_HOPELESS = (NoSuchStore, StoreNotGranted, StoreBusy, StoreSilent)
"""What cutting the batch smaller cannot help against."""


async def get_many(bucket: Bucket, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
    """The values of `keys`: N strings in, N pairs out, in the same order; None for a key not in the store.

    May show an out-of-date value under concurrent writes. An answer over several host calls is no snapshot.

    Raises:
        StoreError: a key could not be read, not even by itself. Nothing is returned then.
    """
    values: dict[str, bytes | None] = {}
    async for part in read_parts(bucket, keys):
        values.update(part)
    return [(key, values[key]) for key in keys]


async def set_many(bucket: Bucket, key_values: Sequence[tuple[str, bytes]]) -> None:
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
    write = _Write(call, key, bucket.learned.set_many)
    try:
        await write.run(_by_bytes(pairs, values))
    finally:
        bucket.learned.set_many = min(write.limit, bucket.learned.set_many)


async def delete_many(bucket: Bucket, keys: Iterable[str]) -> None:
    """Deletes each key; one that is not there is skipped, as is a repeat. Idempotent.

    Raises:
        BatchFailed: a part was not done; it says which.
        StoreError: there is no such store, or it is not granted. Nothing was done.
    """
    write = _Write(bucket.delete_many, str, bucket.learned.delete_many)
    try:
        await write.run([list(dict.fromkeys(keys))])
    finally:
        bucket.learned.delete_many = min(write.limit, bucket.learned.delete_many)


async def read_parts(bucket: Bucket, keys: Iterable[str]) -> AsyncGenerator[dict[str, bytes | None], None]:
    """get_many a host call at a time, so that the values need not all be held at once.

    Yields dicts of key to value, which together hold each distinct key of `keys` once, in their order.

    Raises:
        StoreError: as get_many.
    """
    read = Read(list(dict.fromkeys(keys)))
    while read.left:
        yield await read.next(bucket)


@dataclass
class Read:
    """A get_many under way, a part at a time.

    Attributes:
        keys: What is read: no key twice.
        about: Bytes, about, that a part should hold: it is cut by the size of the values that came before.
            None for parts as large as the store takes.
        start: How many of the keys have been read.
        size: Bytes of the values of the last part, where parts are cut by size.
    """

    keys: list[str]
    about: int | None = None
    start: int = 0
    size: int = 0
    _most: int | None = None
    _wanted: int = FIRST_KEYS
    _refused: int = 0  # the size of the last call that failed; 0 once a smaller one has shown what works

    @property
    def left(self) -> int:
        """How many keys are still to be read."""
        return len(self.keys) - self.start

    async def next(self, bucket: Bucket) -> dict[str, bytes | None]:
        """The next part: key to value, in the order of the keys.

        Raises:
            StoreError: as get_many. The same part may be asked for again.
        """
        learned = bucket.learned
        most = self._most or learned.get_many
        while True:
            if learned.reads_in_batches is False:
                most = SINGLE_READS
            count = most if self.about is None else min(most, self._wanted)
            part = self.keys[self.start : self.start + count]
            try:
                answer = await _read(bucket, part)
                break
            except _BatchRefused:
                self._refused = len(part)
                # Before halving all the way down where no batch can be read at all, ask for just two.
                most = 2 if learned.reads_in_batches is None else max(2, _half(self._refused))
        self.start += len(part)
        if self._refused and learned.reads_in_batches:
            if most == 2 and _half(self._refused) > 2:
                most = _half(self._refused)
            else:
                self._refused = 0
                if most >= SMALLEST_STEP:
                    learned.get_many = min(most, learned.get_many)
        self._most = most
        if self.about is not None:
            values = answer.values()
            self.size = sum(map(len, filter(None, values) if None in values else values))  # type: ignore[arg-type]
            held = self.size + len("".join(part))
            self._wanted = max(1, min(self.about * len(part) // (held or 1), GROWTH * len(part)))
        return answer


class _BatchRefused(Exception):
    """A batch read failed, and a smaller one may not."""


async def _read(bucket: Bucket, part: list[str]) -> dict[str, bytes | None]:
    """One part of a get_many, all its keys answered.

    Two keys that the batch read does not answer are read one by one; if that works, and no batch read
    ever did, none is tried on this store again.

    Raises:
        _BatchRefused: the batch read of more than two keys failed; fewer may work.
        StoreError: a key could not be read by itself, or nothing can be read now.
    """
    learned = bucket.learned
    if len(part) == 1 or learned.reads_in_batches is False:
        return dict(zip(part, await _read_each(bucket, part), strict=True))
    try:
        answer: dict[str, bytes | None] = dict.fromkeys(part)
        answer.update(await bucket.get_many(part))
        if len(answer) != len(part):
            raise StoreFailed("the store answered get-many with a key that nobody asked for")
    except _HOPELESS:
        raise
    except StoreError as error:
        if len(part) > 2:
            raise _BatchRefused from error
        answer = dict(zip(part, await _read_each(bucket, part), strict=True))
        if learned.reads_in_batches is None:
            learned.reads_in_batches = False
        return answer
    learned.reads_in_batches = True
    return answer


async def _read_each(bucket: Bucket, keys: list[str]) -> list[bytes | None]:
    return [await bucket.get(keys[0])] if len(keys) == 1 else await bucket.get_each(keys)


def _half(size: int) -> int:
    """The next smaller size of call to try: down the steps 25600, 12800 … 100, 50, 25; below, half."""
    step = MOST_KEYS
    while step >= size and step > SMALLEST_STEP:
        step //= 2
    return step if step < size else size // 2


def _by_bytes(
    pairs: Sequence[tuple[str, bytes]], values: dict[str, bytes]
) -> Iterator[Sequence[tuple[str, bytes]]]:
    """The pairs, in runs of at most WRITE_BYTES."""
    if sum(map(len, values.values())) <= WRITE_BYTES:
        yield pairs
        return
    start = size = 0
    for index, (_, value) in enumerate(pairs):
        if size + len(value) > WRITE_BYTES and index > start:
            yield pairs[start:index]
            start, size = index, 0
        size += len(value)
    if start < len(pairs):
        yield pairs[start:]


Item = TypeVar("Item")


class _GaveUp(Exception):
    """The rest of the batch is not attempted."""


@dataclass
class _Write(Generic[Item]):
    """One set_many or delete_many under way: what became of each key so far.

    Attributes:
        call: The host call.
        key_of: The key of one item.
        limit: The most items that a call may hold.
        applied: Items whose call worked.
        doubtful: Keys that were in a call which failed, with its reason. A smaller call may yet apply them.
        failed_in_a_row: Calls of a single key that failed, since the last call that worked.
        cause: The last error; None as long as nothing is given up.
    """

    call: Callable[[Sequence[Item]], Awaitable[None]]
    key_of: Callable[[Item], str]
    limit: int
    applied: list[Item] = field(default_factory=list)
    doubtful: dict[str, str] = field(default_factory=dict)
    failed_in_a_row: int = 0
    cause: StoreError | None = None

    async def run(self, runs: Iterable[Sequence[Item]]) -> None:
        todo = [items for items in runs if items]
        try:
            for items in todo:
                await self.send(items)
        except _GaveUp:
            pass
        if self.cause is None:
            return
        applied = list(map(self.key_of, self.applied))
        done = set(applied)
        left = [key for items in todo for key in map(self.key_of, items) if key not in done]
        raise BatchFailed(
            applied,
            [(key, self.doubtful[key]) for key in left if key in self.doubtful],
            [key for key in left if key not in self.doubtful],
            self.cause,
        )

    async def send(self, items: Sequence[Item]) -> bool:
        """Writes the items in as few calls as the backend takes; says whether one call did."""
        if len(items) > self.limit:
            # The limit may become smaller with each call.
            start = 0
            while start < len(items):
                part = items[start : start + self.limit]
                await self.send(part)
                start += len(part)
            return False
        try:
            await self.call(items)
        except StoreError as error:
            self.take_note(items, error)
            if len(items) == 1:
                return False
        else:
            self.applied += items
            self.failed_in_a_row = 0
            return True
        half = _half(len(items))
        first = await self.send(items[:half])
        second = await self.send(items[half:])
        if first and second and half >= SMALLEST_STEP:
            # Together refused, apart taken: it was their number, not one of them.
            self.limit = min(self.limit, half)
        return False

    def take_note(self, items: Sequence[Item], error: StoreError) -> None:
        """Keeps what a failed call leaves behind, and gives up where another would be no use."""
        if isinstance(error, NoSuchStore | StoreNotGranted) and not self.applied and not self.doubtful:
            raise error  # nothing was done
        if not isinstance(error, StoreSilent):
            self.doubtful.update(dict.fromkeys(map(self.key_of, items), error.reason))
        if isinstance(error, _HOPELESS) or len(items) == 1:
            self.cause = error
            self.failed_in_a_row += 1
            if isinstance(error, _HOPELESS) or self.failed_in_a_row == GIVE_UP_AFTER:
                raise _GaveUp from error
