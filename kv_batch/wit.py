"""The adapter over the WIT interfaces: a `Bucket` for any Python guest.

It imports no bindings. The generated modules are passed in (`Wit`), so it works with any names of bindings,
and natively over fakes. `kv_batch.reachability` decides when a call may be made.

The host call of each operation depends on what the store is (`Reachability.is_file`), and on whether it
reads in batches (`Learned.batch_reads`):

    the store is                    one key       many keys read     pairs written, keys deleted
    a file: SQLite                  blocking      in a batch         in a batch
    remote, batch reads work:       asynchronous  alone, in a batch  alone, in a batch
    DynamoDB, Cosmos DB
    remote, and nothing is known    asynchronous  alone, in a batch  fewer than SMALLEST_LIMIT side by side;
                                                                     before more, a batch of two keys is read
    remote, batch reads do not      asynchronous  side by side       up to MAX_CONCURRENT_WRITES side by side,
    work: Redis                                                      more alone, in a batch

A call of a remote store is blocking only where it is made alone (`kv_batch.reachability`).

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
from kv_batch.bucket import SMALLEST_LIMIT, Clock, Learned, probe_key
from kv_batch.errors import (
    KeysFailed,
    ResultTooLarge,
    StoreBusy,
    StoreError,
    StoreFailed,
    StoreUnreachable,
)
from kv_batch.reachability import not_made
from kv_batch.translation import NO_BATCH_READS, store_error

MAX_CONCURRENT_WRITES = 128
"""The maximum number of single keys that are written concurrently, on an asynchronous host."""


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
        self._async = AsyncStore(wit.asynchronous, wit.err, label) if wit.asynchronous else None

    async def answers(self) -> None:
        if self._async is not None:
            await self._async.reachable.answers()
        else:
            self._call(lambda bucket: bucket.exists(probe_key()))

    async def open(self) -> None:
        """Opens the store, unless it is open.

        Raises:
            StoreNotGranted, NoSuchStore, StoreUnreachable, StoreFailed: as the host says.
        """
        if self._async is not None:
            await self.answers()
        else:
            self._call(lambda _: None)

    async def get(self, key: str) -> bytes | None:
        store = self._async
        if store is not None and not store.reachable.is_file:
            return _values(await store.calls("get", [(key,)]))[0]
        if store is not None and store.reachable.is_closed:
            await store.reachable.enter()
        # As `_blocking`, in fewer calls.
        value: bytes | None = self._call(lambda bucket: bucket.get(key), key)
        return value

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        if (store := self._remote()) is not None:
            return _values(await store.calls("get", [(key,) for key in keys]))
        return [await self.get(key) for key in keys]

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        try:
            pairs: list[tuple[str, bytes | None]] = await self._blocking(
                lambda bucket: self._wit.batch.get_many(bucket, keys)
            )
        except StoreError as error:
            # Only these words say something of the store. Another error may be transient.
            if NO_BATCH_READS.search(error.reason):
                self.learned.batch_reads.never(self.clock.now())
            raise
        return pairs

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        if (store := await self._few(len(pairs))) is not None:
            await _write_each(store, "set", pairs)
        else:
            await self._blocking(lambda bucket: self._wit.batch.set_many(bucket, pairs))

    async def delete_many(self, keys: Sequence[str]) -> None:
        if (store := await self._few(len(keys))) is not None:
            await _write_each(store, "delete", [(key,) for key in keys])
        else:
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

    def _remote(self) -> AsyncStore | None:
        """The store for asynchronous calls, if it is remote."""
        store = self._async
        return store if store is not None and not store.reachable.is_file else None

    async def _few(self, count: int) -> AsyncStore | None:
        """The store for concurrent writes of single keys, if that is better for so few: unless batches work.

        On Redis one call for all of them would be a single command, but it blocks the instance. If the
        connection is lost in that moment, Spin's client holds the call, and with it every request of the
        instance, for one or two minutes.
        """
        store = self._remote()
        if store is None or count > MAX_CONCURRENT_WRITES:
            return None
        batches = self.learned.batch_reads
        # Fewer than SMALLEST_LIMIT teach nothing of the limits of a batch (`kv_batch.bucket.Limit`).
        if batches.known(self.clock.now()) is None and count >= SMALLEST_LIMIT:
            with suppress(StoreError):  # the write will say what is wrong
                await self.get_many([probe_key(), f"{probe_key()}-2"])
                batches.work = True
            return store if batches.work is False else None
        return None if batches.work else store

    async def _blocking(self, call: Callable[[Any], Any], key: str | None = None) -> Any:
        """The result of one call that blocks the instance. It is passed the bucket of the host."""
        if self._async is None:
            return self._call(call, key)
        reachable = self._async.reachable
        if reachable.is_file:
            if reachable.is_closed:
                await reachable.enter()
            return self._call(call, key)
        async with reachable.alone():
            try:
                result = self._call(call, key)
            except StoreError:
                reachable.failed()
                raise
            reachable.heard()
            return result

    def _call(self, call: Callable[[Any], Any], key: str | None = None) -> Any:
        try:
            if self._bucket is None:
                self._bucket = self._wit.store.open(self._label)
            return call(self._bucket)
        except self._wit.err as error:
            # Raised below, outside the except: `Err` is a frozen dataclass, which must not be chained to.
            failure = error.value  # type: ignore[attr-defined]
        refusal = store_error(failure, key)
        raise refusal if self._bucket is not None or self._async is None else not_made(refusal)


def _values(outcomes: Sequence[Any]) -> list[bytes | None]:
    """The values of calls that all worked.

    Raises:
        StoreError: of several errors, one of a single key, which says more than one of the whole store.
    """
    failures = [outcome for outcome in outcomes if isinstance(outcome, StoreError)]
    if failures:
        raise next((each for each in failures if isinstance(each, StoreFailed)), failures[0])
    return list(outcomes)


async def _write_each(store: AsyncStore, function: str, calls: Sequence[tuple[Any, ...]]) -> None:
    outcomes = await store.calls(function, calls)
    failed = {
        call[0]: outcome
        for call, outcome in zip(calls, outcomes, strict=True)
        if isinstance(outcome, StoreError)
    }
    if failed:
        raise KeysFailed(failed)
