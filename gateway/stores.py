"""The open stores of an instance, and the operations of one request on one store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, Generic, Protocol, TypeVar

from gateway.host import Host
from gateway.record import Record
from gateway.wire import ndjson
from gateway.wire.pairs import Pair
from kv_batch.batch import Retry, delete_many, set_many
from kv_batch.bucket import Bucket, Clock, Learned
from kv_batch.errors import BatchFailed, NoSuchStore, StoreBusy, StoreFailed, StoreUnreachable

Item = TypeVar("Item")
Items = TypeVar("Items", contravariant=True)  # noqa: PLC0105 - its name is its meaning
Result = TypeVar("Result")


class Stores:
    """The stores of a host. Each is opened once, and again if the host has lost it."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._buckets: dict[str, Bucket] = {}

    async def do(self, label: str, operation: Callable[[Bucket], Awaitable[Result]]) -> Result:
        bucket = self._buckets.get(label)
        if bucket is not None:
            try:
                return await operation(bucket)
            except NoSuchStore:
                self._buckets.pop(label, None)
        bucket = self._buckets[label] = await self._host.open(label)
        return await operation(bucket)


class Contract(Protocol[Items]):
    """set_many or delete_many of `kv_batch.batch`."""

    def __call__(self, bucket: Bucket, items: Items, /, *, retry: Retry) -> Awaitable[None]: ...


@dataclass(frozen=True)
class Write(Generic[Item]):
    """One of the two writes: set-many of pairs, or delete-many of keys.

    Attributes:
        contract: The function of `kv_batch.batch`.
        key_of: Returns the key of an item.
        decode_lines: Decodes the items of a block of NDJSON.
        counted: The name of the items in an answer.
    """

    contract: Contract[list[Item]]
    key_of: Callable[[Item], str]
    decode_lines: ndjson.Decode[Item]
    counted: str


SET: Final[Write[Pair]] = Write(set_many, itemgetter(0), ndjson.decode_pair_lines, "pairs")
DELETE: Final[Write[str]] = Write(delete_many, str, ndjson.decode_key_lines, "keys")


class _Counted:
    """A bucket that counts its host calls in the record of one request."""

    def __init__(self, bucket: Bucket, record: Record) -> None:
        self._bucket = bucket
        self._record = record

    @property
    def learned(self) -> Learned:
        return self._bucket.learned

    @property
    def clock(self) -> Clock:
        return self._bucket.clock

    async def get(self, key: str) -> bytes | None:
        self._record.host_calls += 1
        return await self._bucket.get(key)

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        self._record.host_calls += len(keys)
        return await self._bucket.get_each(keys)

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        self._record.host_calls += 1
        return await self._bucket.get_many(keys)

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        self._record.host_calls += 1
        await self._bucket.set_many(pairs)

    async def delete_many(self, keys: Sequence[str]) -> None:
        self._record.host_calls += 1
        await self._bucket.delete_many(keys)

    async def list_keys(self) -> list[str]:
        self._record.host_calls += 1
        return await self._bucket.list_keys()


@dataclass(frozen=True)
class Store:
    """A store, as seen by one request.

    Attributes:
        label: The label of the store.
        stores: The open stores of the instance.
        record: The record of the request.
        retry: The retry policy of the request.
    """

    label: str
    stores: Stores
    record: Record
    retry: Retry = field(default_factory=Retry)

    async def do(self, operation: Callable[[Bucket], Awaitable[Result]]) -> Result:
        """Runs an operation on the bucket.

        Raises:
            StoreError: the store cannot be opened. Errors of the operation are passed on.
        """
        before = self.record.enter("store")
        try:
            return await self.stores.do(self.label, lambda bucket: operation(_Counted(bucket, self.record)))
        finally:
            self.record.retries = self.retry.count
            self.record.enter(before)

    async def write(self, write: Write[Item], items: list[Item]) -> None:
        """Sets pairs, or deletes keys.

        Raises:
            BatchFailed: the write was not done whole, or the store could not be opened.
            NoSuchStore, StoreNotGranted: nothing was done.
        """
        self.record.keys += len(items)
        try:
            await self.do(lambda bucket: write.contract(bucket, items, retry=self.retry))
        except (StoreBusy, StoreFailed, StoreUnreachable) as error:
            raise BatchFailed([], [], list(dict.fromkeys(map(write.key_of, items))), error) from error
