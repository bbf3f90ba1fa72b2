"""The embedded component: the same gateway behind plain functions, for hosts that cannot call async exports.

Every function that it imports blocks. So the core never has to wait, and its coroutines run to their end in
one step.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

import guests.first  # noqa: F401 - first, see there

# isort: split
import wit_world.exports
from componentize_py_types import Err
from wit_world.imports import batch, exchange, large_value, wasi_config_store, wasi_keyvalue_store

from gateway.gateway import Gateway as Core
from gateway.http import BodyCutShort, Request, header_map
from guests import snapshot
from guests.blocking import run
from guests.wasi import WitHost
from kv_batch.wit import Wit

CHUNK_BYTES = 256 * 1024
"""The maximum size of one write of an answer's body, in bytes."""

MAX_TRANSFER_BYTES = 1024 * 1024
"""The maximum size of the values that one call transfers to the host, in bytes. A larger value is transferred
in pieces (wit/world.wit, large-value)."""


class EmbeddedBucket:
    """A bucket of `wasi:keyvalue/store` whose `get` reads values of any size."""

    def __init__(self, bucket: wasi_keyvalue_store.Bucket) -> None:
        self.raw = bucket
        self.list_keys = bucket.list_keys
        self.exists = bucket.exists

    @classmethod
    def open(cls, label: str) -> EmbeddedBucket:
        return cls(wasi_keyvalue_store.open(label))

    def get(self, key: str) -> bytes | None:
        value = large_value.get(self.raw, key)
        return None if value is None else value.encode("latin-1")


class EmbeddedBatch:
    """`wasi:keyvalue/batch`, with no larger calls than this host can transfer out of a component."""

    @staticmethod
    def get_many(bucket: EmbeddedBucket, keys: list[str]) -> list[tuple[str, bytes | None]]:
        return batch.get_many(bucket.raw, keys)

    @staticmethod
    def delete_many(bucket: EmbeddedBucket, keys: list[str]) -> None:
        batch.delete_many(bucket.raw, keys)

    @staticmethod
    def set_many(bucket: EmbeddedBucket, pairs: Sequence[tuple[str, bytes]]) -> None:
        together: list[tuple[str, bytes]] = []
        size = 0
        for key, value in pairs:
            if len(value) > MAX_TRANSFER_BYTES:
                for start in range(0, len(value), MAX_TRANSFER_BYTES):
                    large_value.append(value[start : start + MAX_TRANSFER_BYTES].decode("latin-1"))
                large_value.set(bucket.raw, key)
                continue
            if together and size + len(value) > MAX_TRANSFER_BYTES:
                batch.set_many(bucket.raw, together)
                together, size = [], 0
            together.append((key, value))
            size += len(value)
        if together:  # there may be none left after a large value
            batch.set_many(bucket.raw, together)


WIT = Wit(EmbeddedBucket, EmbeddedBatch, Err)


class EmbeddedBody:
    """The body of the current request."""

    def __init__(self) -> None:
        self.ended = False
        self.received = 0

    async def read(self) -> bytes:
        if self.ended:
            return b""
        try:
            chunk = exchange.read()
        except Err as error:
            raise BodyCutShort(str(error.value)) from None
        self.ended = not chunk
        self.received += len(chunk)
        return chunk.encode("latin-1")

    async def grew(self, size: int) -> None:
        """Does nothing: no other request shares the instance."""


CORE = Core(WitHost(WIT, wasi_config_store.get))


class Gateway(wit_world.exports.Gateway):
    """The export `gateway`."""

    def handle(self, method: str, target: str, headers: list[tuple[str, str]]) -> None:
        fields = [(name, value.encode("latin-1")) for name, value in headers]
        run(_handle(Request(method, target, header_map(fields), EmbeddedBody())))


async def _handle(request: Request) -> None:
    response = await CORE.handle(request)
    exchange.respond(response.status, response.headers, response.authorized)
    if isinstance(response.body, bytes):
        if request.method != "HEAD":
            _write(response.body)
        return
    async with aclosing(response.body) as chunks:
        if request.method == "HEAD":
            return
        async for chunk in chunks:
            if not _write(chunk):
                return


def _write(data: bytes) -> bool:
    text = data.decode("latin-1")
    return all(
        exchange.write(text[start : start + CHUNK_BYTES]) for start in range(0, len(text), CHUNK_BYTES)
    )


snapshot.settle()
