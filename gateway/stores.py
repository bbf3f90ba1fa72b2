"""A store as one request sees it, and the two writes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Final, Generic, Protocol, TypeVar

from gateway.host import Host
from gateway.record import Phase, Record
from kv_batch.batch import Retry, delete_many, list_keys, set_many
from kv_batch.bucket import Bucket
from kv_batch.errors import BatchFailed, NoSuchStore, StoreBusy, StoreFailed, StoreUnreachable

MAX_REPORTED_FAILURES = 1_000
"""The maximum number of failed keys that an answer names. A stream stops at the first one more."""

Item = TypeVar("Item")
Items = TypeVar("Items", contravariant=True)  # noqa: PLC0105 - its name is its meaning
Result = TypeVar("Result")


class Contract(Protocol[Items]):
    """set_many or delete_many of `kv_batch.batch`."""

    def __call__(self, bucket: Bucket, items: Items, /, *, retry: Retry) -> Awaitable[None]: ...


@dataclass(frozen=True)
class WriteOperation(Generic[Item]):
    """set-many of pairs, or delete-many of keys.

    Attributes:
        contract: The function of `kv_batch.batch`.
        key_of: Returns the key of an item.
        counted: The name of the items in an answer.
    """

    contract: Contract[list[Item]]
    key_of: Callable[[Item], str]
    counted: str


SET: Final[WriteOperation[tuple[str, bytes]]] = WriteOperation(set_many, itemgetter(0), "pairs")
DELETE: Final[WriteOperation[str]] = WriteOperation(delete_many, str, "keys")


@dataclass(eq=False)
class Store:
    """A store, as seen by one request.

    Attributes:
        label: The label of the store.
        host: Opens the store.
        buckets: The open buckets of the instance, by label. All its requests share them.
        record: The record of the request.
        retry: The retry policy of the request.
        prefix: The start of every key that the caller may see.
    """

    label: str
    host: Host
    buckets: dict[str, Bucket]
    record: Record
    retry: Retry = field(default_factory=Retry)
    prefix: str = ""

    async def do(
        self, operation: Callable[[Bucket], Awaitable[Result]], phase: Phase | None = None
    ) -> Result:
        """Runs an operation on the bucket. If the host has lost an open bucket, it is opened once more.

        Args:
            operation: The operation.
            phase: The phase of the request that follows; None for the one that it is in.

        Raises:
            StoreError: the store cannot be opened. Errors of the operation are passed on.
        """
        before = self.record.enter("store")
        try:
            bucket = self.buckets.get(self.label)
            if bucket is not None:
                try:
                    return await operation(bucket)
                except NoSuchStore:
                    self.buckets.pop(self.label, None)
            bucket = self.buckets[self.label] = await self.host.open(self.label)
            return await operation(bucket)
        finally:
            self.record.host_calls = self.retry.calls
            self.record.retries = self.retry.retries
            self.record.enter(phase or before)

    async def list_keys(self, prefix: str) -> list[str]:
        """The keys that start with `prefix` and that the caller may see, each once, sorted by code point.

        Raises:
            StoreError: they cannot be listed.
        """
        longer = max(prefix, self.prefix, key=len)
        if not (longer.startswith(prefix) and longer.startswith(self.prefix)):
            return []
        return await self.do(lambda bucket: list_keys(bucket, longer, retry=self.retry))

    async def write(self, write: WriteOperation[Item], items: list[Item]) -> None:
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
