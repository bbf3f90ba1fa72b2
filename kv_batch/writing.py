"""set_many and delete_many, call by call: the outcome of each key, and what a refused call teaches."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from kv_batch.bucket import MOST_KEYS, Bucket, Limit, probe_key, smaller_size
from kv_batch.errors import BatchFailed, KeysFailed, NoSuchStore, StoreBusy, StoreError, StoreNotGranted
from kv_batch.retry import HOPELESS, SMALLER, Retry

MAX_CALL_BYTES = 8 * 1024 * 1024
"""The maximum size of the values of one call in bytes. A single pair may be larger."""

TEACHING_BYTES = 1024 * 1024
"""The size of the values of a refused call in bytes above which nothing is learned about the number of keys:
it may have had too many bytes. No known backend has a smaller limit of bytes for a call."""

ISOLATION_SECONDS = 60.0
"""Seconds for which a write isolates refused keys while no call is accepted. Keys that have not been tried by
then are not attempted: isolating takes 20,000 calls for 10,000 keys that are each refused."""

Item = TypeVar("Item")


@dataclass
class _Refusal:
    """A refused call of `size` items, and how many of its halves have been accepted whole."""

    size: int
    halves_taken: int = 0


@dataclass
class Write(Generic[Item]):
    """One set_many or delete_many, and the outcome of each key so far.

    A failed call is retried in halves, down to single keys. Keys that fail by themselves are *suspects* until
    a call is accepted: the store may have failed, and not they. After one suspect, then two more, four more …
    the store is tested (`_test`). It is also tested at the end of the batch if there are suspects.

    Attributes:
        bucket: The store.
        call: The host call.
        key_of: The key of one item.
        limit: The learned maximum number of items of a call.
        items: The batch, without repeated keys.
        values: Key to value; empty for a delete.
        retry: The retry policy of the request.
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
    values: Mapping[str, bytes]
    retry: Retry
    applied: list[Item] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    unknown_state: dict[str, str] = field(default_factory=dict)
    cause: StoreError | None = None
    _todo: list[tuple[int, int, _Refusal | None]] = field(default_factory=list)  # ranges; the next one last
    _size: int = MOST_KEYS  # what a busy store leaves of the limit
    _suspects: list[str] = field(default_factory=list)
    _most_suspects: int = 1  # so many are a reason to test the store
    _isolate_until: float = float("inf")

    async def run(self) -> None:
        self._todo += reversed(self._ranges())
        while self._todo and self.bucket.clock.now() < self._isolate_until:
            start, end, refusal = self._todo.pop()
            most = min(self.limit.size(self.bucket.clock.now()), self._size)
            if end - start > most:
                self._todo.append((start + most, end, None))
                end, refusal = start + most, None
            if not await self._send(start, end, refusal):
                break
            if len(self._suspects) >= self._most_suspects and not await self._test():
                break
        else:
            if self._suspects:
                await self._probe()
        if self.cause is not None:
            raise self._failure(self.cause)

    def _ranges(self) -> list[tuple[int, int, None]]:
        """Ranges of items with at most MAX_CALL_BYTES of values."""
        starts = [0] if self.items else []
        if sum(map(len, self.values.values())) > MAX_CALL_BYTES:
            total = 0
            for index, key in enumerate(map(self.key_of, self.items)):
                size = len(self.values[key])
                total += size
                if total > MAX_CALL_BYTES and index > starts[-1]:
                    starts.append(index)
                    total = size
        ends = [*starts[1:], len(self.items)]
        return [(start, end, None) for start, end in zip(starts, ends, strict=False)]

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
            frozenset(self.failed).difference(self._suspects),
        )

    async def _send(self, start: int, end: int, refusal: _Refusal | None = None) -> bool:
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
            return self._call_failed(error, start, end)
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
        self._suspects.clear()
        self._most_suspects = 1
        self._isolate_until = float("inf")
        self._size = min(2 * self._size, MOST_KEYS)
        self.retry.taken()

    async def _busy(self, error: StoreBusy, start: int, end: int, began: float) -> bool:
        self._todo.append((start, end, None))
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
            return self._call_failed(gone, start, end)
        if busy is not None:
            # They stand apart, and a range is what is sent: so once more at the end.
            start = len(self.items)
            self.items = [*self.items, *again]
            return await self._busy(busy, start, len(self.items), began)
        return True

    def _record_failure(self, item: Item, error: StoreError) -> None:
        """Keeps that a key failed by itself."""
        self.failed[self.key_of(item)] = error.reason
        self._suspects.append(self.key_of(item))
        self.cause = error
        self._isolate_until = min(self._isolate_until, self.bucket.clock.now() + ISOLATION_SECONDS)

    def _mark_unknown(self, items: Sequence[Item], error: StoreError) -> None:
        """Keeps that a call with these items failed, unless no part of it was executed."""
        if isinstance(error, StoreBusy) and not error.made:
            return
        self.unknown_state.update(dict.fromkeys(map(self.key_of, items), error.reason))

    def _call_failed(self, error: StoreError, start: int, end: int) -> bool:
        if isinstance(error, NoSuchStore | StoreNotGranted) and not (
            self.applied or self.unknown_state or self.failed
        ):
            raise error  # nothing was done
        if isinstance(error, HOPELESS):
            self.cause = error
            return False
        items = self.items[start:end]
        if len(items) == 1:
            self._record_failure(items[0], error)
            return True
        self._mark_unknown(items, error)
        middle = start + smaller_size(end - start)
        size = sum(len(self.values.get(self.key_of(item), b"")) for item in items)
        refusal = _Refusal(len(items)) if size <= TEACHING_BYTES else None
        self._todo += [(middle, end, refusal), (start, middle, refusal)]
        return True

    async def _test(self) -> bool:
        """Whether the store takes writes: shown by the item that is farthest away from those that failed; if
        it fails as well, by `_probe`."""
        self._most_suspects *= 2
        if self._todo:
            start, end, _ = self._todo.pop(0)
            if end - start > 1:
                self._todo.insert(0, (start, end - 1, None))
            suspects = len(self._suspects)
            if not await self._send(end - 1, end):
                return False
            if len(self._suspects) <= suspects:
                return True  # it was taken, or the store is busy, and it is sent again next
        return await self._probe()

    async def _probe(self) -> bool:
        """Whether the store deletes a key that is not there."""

        async def delete() -> None:
            try:
                await self.bucket.delete_many([probe_key()])
            except KeysFailed as error:
                raise error.failed[probe_key()] from error

        try:
            await self.retry.accepted(self.bucket.clock, delete)
        except StoreError as error:
            self.cause = error if isinstance(error, StoreBusy) else self.cause
            return False
        self._suspects.clear()
        return True
