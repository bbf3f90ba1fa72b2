"""set_many and delete_many, call by call: the outcome of each key, and what a refused call teaches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kv_batch.bucket import MOST_KEYS, Bucket, Limit, probe_key, smaller_size
from kv_batch.errors import BatchFailed, KeysFailed, NoSuchStore, StoreBusy, StoreError, StoreNotGranted
from kv_batch.retry import HOPELESS, SMALLER, Retry

MAX_CALL_BYTES = 8 * 1024 * 1024
"""The maximum size of the values of one call in bytes. A single pair may be larger."""

ISOLATION_SECONDS = 60.0
"""Seconds for which a write isolates refused keys while no call is accepted. Keys that have not been tried by
then are not attempted: isolating takes 20,000 calls for 10,000 keys that are each refused."""

Range = tuple[int, int]
"""The items of a batch from one index up to, but not including, another."""


def by_bytes(pairs: Sequence[tuple[str, bytes]], values: dict[str, bytes]) -> Iterator[Range]:
    """Splits the pairs into ranges of at most MAX_CALL_BYTES of values."""
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
    """A refused call.

    Attributes:
        size: The number of its items.
        halves_taken: How many of its halves have been accepted whole.
    """

    size: int
    halves_taken: int = 0


@dataclass
class Write(Generic[Item]):
    """One set_many or delete_many, and the outcome of each key so far.

    A failed call is retried in halves, down to single keys. After the 1st, 2nd, 4th, 8th … key that failed by
    itself with no call accepted in between, the store is tested (`_test`).

    Attributes:
        bucket: The store.
        call: The host call.
        key_of: The key of one item.
        limit: The learned maximum number of items of a call.
        items: The batch, without repeated keys.
        applied: The items of the calls that succeeded.
        failed: Key to reason, of the keys that failed in a call of their own.
        unknown_state: Key to reason, of the keys that were in a failed call with others.
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
        self.retry.calls += 1
        try:
            await self.call(items)
        except StoreBusy as error:
            self._mark_unknown(items, error)
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
                self.limit.refused(refusal.size, smaller_size(refusal.size), self.bucket.clock.now())
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
                self._mark_unknown([item], failure)
            elif isinstance(failure, HOPELESS):
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
        """Keeps that a call with these items failed, unless no part of it was executed."""
        if isinstance(error, StoreBusy) and not error.made:
            return
        self.unknown_state.update(dict.fromkeys(map(self.key_of, items), error.reason))

    async def _call_failed(self, error: StoreError, start: int, end: int) -> bool:
        if isinstance(error, NoSuchStore | StoreNotGranted) and not (
            self.applied or self.unknown_state or self.failed
        ):
            raise error  # nothing was done
        if isinstance(error, HOPELESS):
            self.cause = error
            return False
        if end - start == 1:
            self._record_failure(self.items[start], error)
            return self._failures & (self._failures - 1) != 0 or await self._test()
        self._mark_unknown(self.items[start:end], error)
        middle = start + smaller_size(end - start)
        refusal = _Refusal(end - start)
        self._todo += [((middle, end), refusal), ((start, middle), refusal)]
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
        self.retry.calls += 1
        try:
            await self.call([item])
        except StoreBusy as error:
            self._mark_unknown([item], error)
            return await self._busy(error, end - 1, end, began)
        except StoreError as error:
            error = error.failed[self.key_of(item)] if isinstance(error, KeysFailed) else error
            if isinstance(error, HOPELESS):
                self.cause = error
                return False
            self._record_failure(item, error)
        else:
            self._taken([item])
            return True
        self.retry.calls += 1
        try:
            await self.bucket.delete_many([probe_key()])
        except StoreBusy:
            return bool(self._todo)  # it is there: the next call waits for it, and shows what it takes
        except StoreError:
            return False
        self._unproven.clear()
        return True
