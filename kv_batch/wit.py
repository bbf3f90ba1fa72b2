"""A `Bucket` over the WIT interfaces: the adapter that both guests share.

It imports no host: the generated modules are handed to it (`Wit`), so that it runs in any Python guest
whatever its bindings are called, and natively over fakes. Host errors become `StoreError`s here, and
nowhere else.

In another guest than this project's::

    import asyncio
    from componentize_py_types import Err
    from wit_world.imports import batch, wasi_keyvalue_store as store
    from kv_batch.batch import get_many
    from kv_batch.wit import Wit, open_bucket

    bucket = await open_bucket(Wit(store, batch, Err), "default")
    pairs = await get_many(bucket, ["a", "b"])
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kv_batch.bucket import Learned
from kv_batch.errors import NoSuchStore, StoreBusy, StoreError, StoreFailed, StoreNotGranted

READS_AT_ONCE = 128
"""Single reads under way at once, where the host's `get` is async."""


@dataclass(frozen=True)
class Wit:
    """The generated modules of a guest.

    Attributes:
        store: `wasi:keyvalue/store@0.2.0-draft2`.
        batch: `wasi:keyvalue/batch@0.2.0-draft2`.
        err: `componentize_py_types.Err`, the exception that carries the host's error in its `value`.
        key_value: `spin:key-value/key-value@3.0.0`, where the host has it: its `get` is async.
    """

    store: Any
    batch: Any
    err: type[Exception]
    key_value: Any = None


def store_error(value: object, key: str | None = None) -> StoreError:
    """The error for one of the cases of the WIT variant `error`.

    Both interfaces name their cases alike. "too many requests" has no case of its own: those are the words
    in which Spin says that its limit on outbound connections is reached.
    """
    case = type(value).__name__
    reason = str(getattr(value, "value", ""))
    if case == "Error_NoSuchStore":
        return NoSuchStore("the host knows no such store")
    if case == "Error_AccessDenied":
        return StoreNotGranted("the host denies access to the store")
    if case == "Error_StoreTableFull":
        return StoreBusy("the host has too many stores open")
    if reason == "too many requests":
        return StoreBusy(reason)
    return StoreFailed(reason or "the host gave no reason", key)


async def open_bucket(wit: Wit, label: str) -> WitBucket:
    """The store of that label.

    Raises:
        StoreNotGranted, NoSuchStore, StoreFailed: as the host says.
    """
    with _translated(wit):
        return WitBucket(wit, label, wit.store.open(label))


@contextmanager
def _translated(wit: Wit, key: str | None = None) -> Iterator[None]:
    failure: object = None
    try:
        yield
    except wit.err as error:
        # Raised below, outside the except: `Err` is a frozen dataclass, which must not be chained to.
        failure = error.value  # type: ignore[attr-defined]
    else:
        return
    raise store_error(failure, key)


class WitBucket:
    """An open bucket of the host, as `kv_batch.bucket.Bucket` has it."""

    def __init__(self, wit: Wit, label: str, bucket: Any) -> None:
        self._wit = wit
        self._label = label
        self._bucket = bucket
        self._async_store: Any = None
        self._learned = Learned()

    @property
    def learned(self) -> Learned:
        return self._learned

    async def get(self, key: str) -> bytes | None:
        with _translated(self._wit, key):
            value: bytes | None = self._bucket.get(key)
            return value

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        if self._wit.key_value is None:
            return [await self.get(key) for key in keys]
        if self._async_store is None:
            with _translated(self._wit):
                self._async_store = await self._wit.key_value.Store.open(self._label)
        values: list[bytes | None] = []
        for start in range(0, len(keys), READS_AT_ONCE):
            reads = [self._get_async(key) for key in keys[start : start + READS_AT_ONCE]]
            # All are waited for, also when one fails: none may be left running behind the answer.
            for value in await asyncio.gather(*reads, return_exceptions=True):
                if isinstance(value, BaseException):
                    raise value
                values.append(value)
        return values

    async def _get_async(self, key: str) -> bytes | None:
        with _translated(self._wit, key):
            value: bytes | None = await self._async_store.get(key)
            return value

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        with _translated(self._wit):
            pairs: list[tuple[str, bytes | None]] = self._wit.batch.get_many(self._bucket, keys)
            return pairs

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        with _translated(self._wit):
            self._wit.batch.set_many(self._bucket, pairs)

    async def delete_many(self, keys: Sequence[str]) -> None:
        with _translated(self._wit):
            self._wit.batch.delete_many(self._bucket, keys)

    async def list_keys(self) -> list[str]:
        keys: list[str] = []
        cursor: str | None = None
        with _translated(self._wit):
            while True:
                page = self._bucket.list_keys(cursor)
                keys += page.keys
                if page.cursor is None:
                    return keys
                cursor = page.cursor
