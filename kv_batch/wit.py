"""The adapter over the WIT interfaces: a `Bucket` for any Python guest.

It imports no bindings. The generated modules are passed in (`Wit`), so it works with any names of bindings,
and natively over fakes. `kv_batch.reachability` decides when a call may be made.

The host call of each operation depends on what the store has shown (`Learned.batch_reads`):

    batch reads  the store is                 one key       many keys read     pairs written, keys deleted
    unknown      any                          asynchronous  alone, in a batch  alone, in a batch
    work         SQLite, DynamoDB, Cosmos DB  blocking (*)  in a batch         in a batch
    do not work  Redis                        asynchronous  side by side       side by side; above
                                                                               MAX_CONCURRENT_WRITES
                                                                               alone, in a batch

(*) Blocking is fastest for a file. A remote store would stop the instance for a round trip each time: after
SLOW_READS in a row that took longer than NEAR, reads are asynchronous for FAR_SECONDS.

Whether batch reads work is learned before the first call that is made alone, and after LEARNING_READS single
keys that took no longer than NEAR, once no call is in progress: a blocking read of a file takes half of the
time of an asynchronous one.

On a host that is not asynchronous, every call blocks, and single keys are read one by one.

In another guest than this project's::

    from componentize_py_types import Err
    from wit_world.imports import batch, wasi_keyvalue_store as store
    from kv_batch.batch import get_many
    from kv_batch.wit import Wit, open_bucket

    bucket = await open_bucket(Wit(store, batch, Err), "default")
    pairs = await get_many(bucket, ["a", "b"])
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from kv_batch.asynchronous import Asynchronous, AsyncStore
from kv_batch.bucket import Clock, Learned, probe_key
from kv_batch.errors import (
    KeysFailed,
    ResultTooLarge,
    StoreBusy,
    StoreError,
    StoreFailed,
    StoreUnreachable,
)
from kv_batch.reachability import Instance, not_made
from kv_batch.translation import NO_BATCH_READS, store_error

MAX_CONCURRENT_WRITES = 128
"""The maximum number of single keys that are written concurrently, on an asynchronous host."""

NEAR = 0.005
"""Seconds that a blocking read of one key may take on a store that is near."""

SLOW_READS = 3
FAR_SECONDS = 60.0

LEARNING_READS = 4
"""The number of single keys read from a near store after which it is learned whether it reads in batches."""


async def _sleep(seconds: float) -> None:
    time.sleep(seconds)  # noqa: ASYNC251 - a host that is not asynchronous runs one request an instance


class Wit:
    """The generated modules of a guest, and the stores that are being opened through them."""

    def __init__(
        self, store: Any, batch: Any, err: type[Exception], asynchronous: Asynchronous | None = None
    ) -> None:
        """The modules.

        Args:
            store: `wasi:keyvalue/store@0.2.0-draft2`.
            batch: `wasi:keyvalue/batch@0.2.0-draft2`.
            err: `componentize_py_types.Err`, the exception that carries the host's error in its `value`.
            asynchronous: The functions of an asynchronous host; None on any other host.
        """
        self.store = store
        self.batch = batch
        self.err = err
        self.asynchronous = asynchronous
        self.clock = asynchronous.clock if asynchronous else Clock(time.monotonic, _sleep)
        self.instance = Instance(asynchronous.clock, asynchronous.spawn) if asynchronous else None
        self.opening: dict[str, WitBucket] = {}  # by label, those that have not answered yet


async def open_bucket(wit: Wit, label: str) -> WitBucket:
    """Opens the store with that label.

    Raises:
        StoreNotGranted, NoSuchStore, StoreUnreachable, StoreFailed: as the host says.
    """
    # One bucket is opened, and so one probe made, however many requests wait for it.
    bucket = wit.opening.setdefault(label, WitBucket(wit, label))
    try:
        await bucket.open()
    except StoreBusy:
        pass  # it is there, and its first call will be made again where this is asked for
    except StoreUnreachable:
        raise  # it stays there: the store is still being probed
    except StoreError:
        wit.opening.pop(label, None)
        raise
    wit.opening.pop(label, None)
    return bucket


class WitBucket:
    """An open bucket of the host, as `kv_batch.bucket.Bucket` has it."""

    def __init__(self, wit: Wit, label: str) -> None:
        self.clock = wit.clock
        self.learned = Learned()
        self._wit = wit
        self._label = label
        self._bucket: Any = None
        self._slow_reads = 0
        self._far_until = float("-inf")
        self._unlearned_reads = 0
        self._async: AsyncStore | None = None
        if wit.asynchronous is not None and wit.instance is not None:
            self._async = AsyncStore(wit.asynchronous, wit.err, wit.instance, label)
        self._reachable = self._async.reachable if self._async else None

    async def open(self) -> None:
        """Opens the store, unless it is open.

        Raises:
            StoreNotGranted, NoSuchStore, StoreUnreachable, StoreFailed: as the host says.
        """
        if self._reachable is not None:
            await self._reachable.answers()
        else:
            self._call(lambda _: None)

    async def get(self, key: str) -> bytes | None:
        if self._reachable is None:
            value: bytes | None = self._call(lambda bucket: bucket.get(key), key)
            return value
        began = self.clock.now()
        batches = self.learned.batch_reads.known(began)
        if batches is not True or began < self._far_until:
            value = (await self.get_each([key]))[0]
            if batches is None and self._reachable.heard_at - began <= NEAR:
                await self._learn_after_reads()
            return value
        if self._reachable.is_listed:
            await self._reachable.not_listed()
            began = self.clock.now()
        value = self._call(lambda bucket: bucket.get(key), key)
        now = self._reachable.heard_at  # just now, by `_call`
        self._slow_reads = self._slow_reads + 1 if now - began > NEAR else 0
        if self._slow_reads == SLOW_READS:
            self._slow_reads, self._far_until = 0, now + FAR_SECONDS
        return value

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        if self._async is None:
            return [await self.get(key) for key in keys]
        # A store that reads in batches gives up by itself, so it is not probed.
        outcomes = await self._async.calls("get", [(key,) for key in keys], probed=not self._batches())
        values: list[bytes | None] = []
        for outcome in outcomes:
            if isinstance(outcome, StoreError):
                # Of several errors, one of a single key says more than one of the whole store.
                raise next((each for each in outcomes if isinstance(each, StoreFailed)), outcome)
            values.append(outcome)
        return values

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        def call(bucket: Any) -> Any:
            if self._batches() is False:  # that may just have been learned
                raise StoreFailed("the store reads no batches")
            return self._wit.batch.get_many(bucket, keys)

        try:
            pairs: list[tuple[str, bytes | None]] = await self._blocking(call)
        except StoreError as error:
            self._learn_from(error)
            raise
        return pairs

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        if (store := self._few(len(pairs))) is not None:
            await _write_each(store, "set", pairs)
            return
        await self._blocking(lambda bucket: self._wit.batch.set_many(bucket, pairs))

    async def delete_many(self, keys: Sequence[str]) -> None:
        if (store := self._few(len(keys))) is not None:
            await _write_each(store, "delete", [(key,) for key in keys])
            return
        await self._blocking(lambda bucket: self._wit.batch.delete_many(bucket, keys))

    async def list_keys(self) -> list[str]:
        def call(bucket: Any) -> list[str]:
            keys: list[str] = []
            cursor: str | None = None
            while True:
                page = bucket.list_keys(cursor)
                keys += page.keys
                if page.cursor is None:
                    return keys
                cursor = page.cursor

        try:
            # On Redis this is KEYS, one command. Its SCAN, which the stream below is, takes a round trip for
            # each ten keys (docs/decisions/0013).
            keys: list[str] = await self._blocking(call)
            return keys
        except ResultTooLarge:
            if self._async is None:
                raise
        return await self._async.keys()

    def _batches(self) -> bool | None:
        return self.learned.batch_reads.known(self.clock.now())

    def _few(self, count: int) -> AsyncStore | None:
        """The store for concurrent writes of single keys, if that is better for so few: on Redis.

        One call for all of them would be a single command, but it blocks the instance. If the connection is
        lost in that moment, Spin's client holds the call, and with it every request of the instance, for one
        or two minutes.
        """
        few = count <= MAX_CONCURRENT_WRITES and self._batches() is False
        return self._async if few else None

    async def _blocking(self, call: Callable[[Any], Any], key: str | None = None) -> Any:
        """The result of one call that blocks the instance. It is passed the bucket of the host."""
        if self._reachable is None:
            return self._call(call, key)
        if self._batches():
            await self._reachable.not_listed()
            return self._call(call, key)
        async with self._reachable.alone():
            self._call(self._learn)
            return self._call(call, key)

    def _call(self, call: Callable[[Any], Any], key: str | None = None) -> Any:
        bucket = self._opened() if self._bucket is None else self._bucket
        try:
            result = call(bucket)
        except self._wit.err as error:
            # Raised below, outside the except: `Err` is a frozen dataclass, which must not be chained to.
            failure = error.value  # type: ignore[attr-defined]
        else:
            if self._reachable is not None:
                self._reachable.heard()
            return result
        raise self._error(failure, key)

    def _error(self, value: object, key: str | None = None) -> StoreError:
        if self._reachable is not None:
            self._reachable.failed()
        return store_error(value, key)

    def _opened(self) -> Any:
        try:
            self._bucket = self._wit.store.open(self._label)
        except self._wit.err as error:
            failure = error.value  # type: ignore[attr-defined]
        else:
            return self._bucket
        refusal = self._error(failure)
        raise refusal if self._reachable is None else not_made(refusal)

    def _learn(self, bucket: Any) -> None:
        """Learns whether the store reads in batches, which decides the calls that are made."""
        reads = self.learned.batch_reads
        if reads.work is not None:
            return
        try:
            self._wit.batch.get_many(bucket, [probe_key(), f"{probe_key()}-2"])
        except self._wit.err as error:
            self._learn_from(store_error(error.value))  # type: ignore[attr-defined]
        else:
            reads.work = True

    async def _learn_after_reads(self) -> None:
        """Learns whether the store reads in batches, once this was called LEARNING_READS times."""
        self._unlearned_reads += 1
        if self._unlearned_reads < LEARNING_READS or self._wit.instance is None or self._wit.instance.stores:
            return
        self._unlearned_reads = 0
        with suppress(StoreError):  # the key was read; the next call will say what is wrong
            await self._blocking(lambda _: None)

    def _learn_from(self, error: StoreError) -> None:
        """Learns from the error of a batch read. Only one says something: others may be transient."""
        if NO_BATCH_READS.search(error.reason):
            self.learned.batch_reads.never(self.clock.now())


async def _write_each(store: AsyncStore, function: str, calls: Sequence[tuple[Any, ...]]) -> None:
    outcomes = await store.calls(function, calls)
    failed = {
        call[0]: outcome
        for call, outcome in zip(calls, outcomes, strict=True)
        if isinstance(outcome, StoreError)
    }
    if failed:
        raise KeysFailed(failed)
