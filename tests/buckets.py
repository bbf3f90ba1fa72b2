"""Small real buckets over a dict that misbehave as the backends do.

The behaviour of each backend was observed under Spin or is documented by its vendor (docs/backends.md). Every
class is a `kv_batch.bucket.Bucket`.
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from kv_batch.bucket import Clock, Learned, probe_key
from kv_batch.errors import ResultTooLarge, StoreFailed
from kv_batch.translation import NO_BATCH_READS
from tests.clock import VirtualTime

HOST_CAP = 128 * 1024 * 1024
"""The limit of Spin for one result, in bytes."""


class Sqlite:
    """Spin's default store: it leaves out missing keys, returns a repeated key once, and has its own order.

    Attributes:
        data: The stored pairs.
        calls: Every call: its name and the number of its keys.
        time: The virtual time of its clock.
    """

    cap = HOST_CAP

    def __init__(self, data: dict[str, bytes] | None = None) -> None:
        self.data = dict(data or {})
        self.calls: list[tuple[str, int]] = []
        self.time = VirtualTime()
        self._learned = Learned()

    @property
    def learned(self) -> Learned:
        return self._learned

    @property
    def clock(self) -> Clock:
        return self.time.clock

    def note(self, name: str, keys: Sequence[object]) -> None:
        self.calls.append((name, len(keys)))

    def check(self, key: str) -> None:
        """Checks a key.

        Raises:
            StoreFailed: this backend refuses the key.
        """

    async def answers(self) -> None:
        self.note("exists", [probe_key()])

    async def get(self, key: str) -> bytes | None:
        self.note("get", [key])
        self.check(key)
        return self.data.get(key)

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        return [await self.get(key) for key in keys]

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        self.note("get_many", keys)
        found: list[tuple[str, bytes | None]] = [
            (key, self.data[key]) for key in sorted(set(keys), reverse=True) if key in self.data
        ]
        if sum(len(key) + len(value or b"") for key, value in found) > self.cap:
            raise ResultTooLarge(f"query result exceeds limit of {self.cap} bytes")
        return found

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        self.note("set_many", pairs)
        self.data.update(pairs)

    async def delete_many(self, keys: Sequence[str]) -> None:
        self.note("delete_many", keys)
        for key in keys:
            self.data.pop(key, None)

    async def list_keys(self) -> list[str]:
        return list(self.data)


class Redis(Sqlite):
    """Spin's store on Redis, which sends `KEYS` instead of `MGET`.

    A call of two keys fails, and the adapter learns from the words of the error. A single key is a pattern,
    and the host panics if the pattern matches no key, or only the key of the same name.
    """

    words = "An error was signalled by the server: wrong number of arguments for 'keys' command"

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        self.note("get_many", keys)
        if len(keys) > 1:
            if NO_BATCH_READS.search(self.words):
                self.learned.batch_reads.never(self.clock.now())
            raise StoreFailed(self.words)
        matching = [key for key in self.data if fnmatchcase(key, keys[0])]
        if not matching or matching == [keys[0]]:
            raise AssertionError("the host panics, and every request with it")
        return [(key, self.data[key]) for key in matching]


class WeighedRedis(Redis):
    """A Redis that weighs what is read at once.

    Attributes:
        rounds: The number of keys, and the bytes of their values, of each concurrent read of single keys.
    """

    def __init__(self, data: dict[str, bytes]) -> None:
        super().__init__(data)
        self.rounds: list[tuple[int, int]] = []

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        self.rounds.append((len(keys), sum(len(self.data.get(key, b"")) for key in keys)))
        return await super().get_each(keys)


class OddRedis(Redis):
    """A Redis that refuses batch reads in words of its own, which say nothing to the adapter."""

    words = "ERR unknown"


class DynamoDb(Sqlite):
    """Accepts at most 100 keys per read and 25 per write, no repeated key and no empty key."""

    most_read, most_written = 100, 25

    def check(self, key: str) -> None:
        if not key:
            raise StoreFailed("ValidationException: a key may not be an empty string")

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        self._refuse(keys, self.most_read)
        return await super().get_many(keys)

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        self._refuse([key for key, _ in pairs], self.most_written)
        await super().set_many(pairs)

    async def delete_many(self, keys: Sequence[str]) -> None:
        self._refuse(keys, self.most_written)
        await super().delete_many(keys)

    def _refuse(self, keys: Sequence[str], most: int) -> None:
        if len(keys) > most or len(set(keys)) < len(keys):
            self.note("refused", keys)
            raise StoreFailed("ValidationException: too many items, or one twice")
        for key in keys:
            self.check(key)


class Cosmos(Sqlite):
    """Writes key by key up to the first error, and refuses some characters in keys."""

    def check(self, key: str) -> None:
        if set(key) & set("/\\?#"):
            raise StoreFailed(f"the id {key!r} contains illegal characters")

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        for key in keys:
            self.check(key)
        return await super().get_many(keys)

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        self.note("set_many", pairs)
        for key, value in pairs:
            self.check(key)
            self.data[key] = value

    async def delete_many(self, keys: Sequence[str]) -> None:
        self.note("delete_many", keys)
        for key in keys:
            self.check(key)
            self.data.pop(key, None)


class SmallCap(Sqlite):
    """The default store with a limit on results that a test can reach."""

    cap = 1_000


class Liar(Sqlite):
    """Answers a batch read with a wrong value, and with a key that was not requested."""

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        self.note("get_many", keys)
        return [(keys[0], b"false"), ("nobody asked for this", b"1")]


class Refusing(Sqlite):
    """Refuses every call that has one of some keys.

    Attributes:
        refused: These keys.
        longest: The size of the longest value that it accepts, in bytes.
    """

    refused: frozenset[str] = frozenset()
    longest = HOST_CAP

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        self.note("set_many", pairs)
        self._refuse([key for key, value in pairs if key in self.refused or len(value) > self.longest])
        self.data.update(pairs)

    async def delete_many(self, keys: Sequence[str]) -> None:
        self._refuse([key for key in keys if key in self.refused])
        await super().delete_many(keys)

    def _refuse(self, keys: Sequence[str]) -> None:
        if keys:
            raise StoreFailed(f"refused: {keys[0]}")


class Down(Sqlite):
    """A backend that is down."""

    async def get(self, key: str) -> bytes | None:
        self.note("get", [key])
        raise StoreFailed("connection refused", key)

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        self.note("get_many", keys)
        raise StoreFailed("connection refused")

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        self.note("set_many", pairs)
        raise StoreFailed("connection refused")

    async def delete_many(self, keys: Sequence[str]) -> None:
        self.note("delete_many", keys)
        raise StoreFailed("connection refused")


WORKING: list[type[Sqlite]] = [Sqlite, Redis, OddRedis, DynamoDb, Cosmos, SmallCap, Liar]
"""The buckets on which the contract must hold."""
