"""The port to a store: what the contract (`kv_batch.batch`) needs of a bucket.

`kv_batch.wit.WitBucket` is the real one; the tests have small ones that misbehave as the backends do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

MOST_KEYS = 25_600
"""The most keys that one host call is given: 25 x 2^10. Halved again and again it meets the limits of
DynamoDB exactly, 100 keys for a BatchGetItem and 25 for a BatchWriteItem."""


@dataclass
class Learned:
    """What a store has taught, kept for as long as its bucket is: the instance's life.

    Attributes:
        get_many, set_many, delete_many: The most keys that a call of each may hold.
        reads_in_batches: Whether a get-many of two or more keys has ever worked (True), never will
            (False: on Redis, Spin's own batch read always fails), or has not been tried (None).
    """

    get_many: int = MOST_KEYS
    set_many: int = MOST_KEYS
    delete_many: int = MOST_KEYS
    reads_in_batches: bool | None = None


class Bucket(Protocol):
    """An open store, with the words of `wasi:keyvalue`. Every method may raise a `StoreError`."""

    @property
    def learned(self) -> Learned: ...

    async def get(self, key: str) -> bytes | None:
        """The value of one key; None for a key that is not there."""
        ...

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        """The values of the keys, in their order, read one by one: at once as far as the host can."""
        ...

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        """The raw batch read, with all that the backend does wrong."""
        ...

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        """The raw batch write. No key twice."""
        ...

    async def delete_many(self, keys: Sequence[str]) -> None:
        """The raw batch delete. No key twice."""
        ...

    async def list_keys(self) -> list[str]:
        """All keys, in any order."""
        ...
