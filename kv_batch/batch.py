"""The contract: get_many, set_many and delete_many, the same on every backend.

The functions are those of the interface `wasi:keyvalue/batch@0.2.0-draft2`, with its signatures, and with
its guarantees: not atomic, no rollback, no order among the keys of one batch, and you read your writes.
What the backends make of that interface differs (docs/backends.md), so on top of it, everywhere:

- get_many returns a pair for every requested key, in the order of the request, with repeats.
- In set_many the last value of a repeated key wins. The host never gets a key twice in one call.
- A batch of any length is split into calls that the backend accepts.
- get_many works wherever `bucket.get` works.
- A failed write reports the outcome of each key (`BatchFailed`).
- Calls to a busy store are retried, with exponential backoff (`Retry`).

They are `async def`, which is the one difference from the interface: reading single keys concurrently needs
an asynchronous host function (`spin:key-value@3.0.0`).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from operator import itemgetter

from kv_batch.bucket import Bucket
from kv_batch.reading import Read
from kv_batch.retry import RETRY_SECONDS, Retry
from kv_batch.writing import Write

__all__ = ["RETRY_SECONDS", "Retry", "delete_many", "get", "get_many", "list_keys", "read_parts", "set_many"]


async def get(bucket: Bucket, key: str, *, retry: Retry | None = None) -> bytes | None:
    """The value of one key, or None if it is not in the store. As get_many of that key, with less work.

    Raises:
        StoreError: it could not be read.
    """
    return await (retry or Retry()).accepted(bucket.clock, bucket.get, key)


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
    await Write(bucket, call, key, bucket.learned.set_many, pairs, values, retry or Retry()).run()


async def delete_many(bucket: Bucket, keys: Iterable[str], *, retry: Retry | None = None) -> None:
    """Deletes each key; one that is not there is skipped, as is a repeat. Idempotent.

    Raises:
        BatchFailed: a part was not done; it says which.
        StoreError: there is no such store, or it is not granted. Nothing was done.
    """
    distinct = list(dict.fromkeys(keys))
    limit = bucket.learned.delete_many
    await Write(bucket, bucket.delete_many, str, limit, distinct, {}, retry or Retry()).run()


async def list_keys(bucket: Bucket, prefix: str = "", *, retry: Retry | None = None) -> list[str]:
    """The keys that start with `prefix`, each once, sorted by code point.

    Raises:
        StoreError: they cannot be listed.
    """
    keys = await (retry or Retry()).accepted(bucket.clock, bucket.list_keys)
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
    read = Read.once(keys, retry or Retry())
    while read.left:
        yield (await read.next(bucket)).values
