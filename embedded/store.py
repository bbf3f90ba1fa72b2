"""Spin's default key-value store: the same table in the same SQLite file, so that either host can open it.

It answers as Spin's store does, with the same faults: get-many leaves out missing keys, and results have a
size limit. This module does not know components.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

FILE = "sqlite_key_value.db"
"""The name of the file in Spin's state directory."""

RESULT_CAP = 128 * 1024 * 1024
"""The limit of Spin for one result, in bytes."""

BATCH_CAP = 4 * 1024 * 1024
"""The limit for the result of one get-many, in bytes; Spin allows RESULT_CAP. Here each byte takes 32 bytes
on its way into a component (wit/world.wit, large-value). The core retries a refused call in smaller parts."""

LOCK_SECONDS = 5
"""Timeout in seconds for a lock that another process holds on the file, as in Spin. All threads wait."""

Pair = tuple[str, bytes]


class HostError(Exception):
    """`error::other`, with the message for the component."""


class BlockingBucket(Protocol):
    """The functions of `wasi:keyvalue/store` and `/batch` on one open store.

    Raises:
        HostError: each method, if the store fails.
    """

    def get(self, key: str) -> bytes | None: ...
    def set(self, key: str, value: bytes) -> None: ...
    def delete(self, key: str) -> None: ...
    def exists(self, key: str) -> bool: ...
    def list_keys(self, cursor: str | None) -> list[str]: ...
    def get_many(self, keys: Sequence[str]) -> list[Pair]: ...
    def set_many(self, pairs: Sequence[Pair]) -> None: ...
    def delete_many(self, keys: Sequence[str]) -> None: ...


class Database:
    """The SQLite file, with one connection that the threads use one at a time, as in Spin."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or creates it if it is missing.

        Raises:
            sqlite3.Error: the file is not a database, or is not writable.
        """
        self._connection = sqlite3.connect(
            path, timeout=LOCK_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._lock = threading.Lock()
        with suppress(sqlite3.OperationalError):  # another process holds the file: it keeps its mode
            self._connection.execute("PRAGMA journal_mode = WAL")
        self._connection.execute(
            "CREATE TABLE IF NOT EXISTS spin_key_value "
            "(store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (store, key))"
        )

    def close(self) -> None:
        """Closes the file when the call in progress has ended."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def turn(self) -> Iterator[sqlite3.Connection]:
        """The connection, locked for one call.

        Raises:
            HostError: SQLite reported an error.
        """
        with self._lock:
            try:
                yield self._connection
            except sqlite3.Error as error:
                raise HostError(f"{type(error).__name__}: {error}") from error


def _in(query: str, keys: Sequence[str]) -> str:
    """The query with one placeholder for each key. The keys are bound, since a key may have any character."""
    return f"{query} WHERE store = ? AND key IN ({', '.join('?' * len(keys))})"


def _blob(value: object) -> bytes:
    """The value of a row. Another program may have stored text, since SQLite accepts values of any type."""
    if not isinstance(value, bytes):
        raise HostError(f"the value is stored as {type(value).__name__}, not as a blob")
    return value


class SqliteBucket:
    """One store of the database."""

    def __init__(self, database: Database, label: str) -> None:
        self._database = database
        self._label = label

    def get(self, key: str) -> bytes | None:
        rows = self._rows("SELECT value FROM spin_key_value WHERE store = ? AND key = ?", key)
        return _blob(rows[0][0]) if rows else None

    def set(self, key: str, value: bytes) -> None:
        self.set_many([(key, value)])

    def delete(self, key: str) -> None:
        self.delete_many([key])

    def exists(self, key: str) -> bool:
        return self.get(key) is not None

    def list_keys(self, cursor: str | None) -> list[str]:
        if cursor is not None:
            raise HostError("list_keys: cursor not supported")
        return [key for (key,) in self._rows("SELECT key FROM spin_key_value WHERE store = ?")]  # type: ignore[misc]

    def get_many(self, keys: Sequence[str]) -> list[Pair]:
        query = _in("SELECT key, value FROM spin_key_value", keys)
        return [(str(key), _blob(value)) for key, value in self._rows(query, *keys, cap=BATCH_CAP)]

    def set_many(self, pairs: Sequence[Pair]) -> None:
        with self._database.turn() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                connection.executemany(
                    "INSERT INTO spin_key_value (store, key, value) VALUES (?, ?, ?) "
                    "ON CONFLICT (store, key) DO UPDATE SET value = excluded.value",
                    [(self._label, key, value) for key, value in pairs],
                )
                connection.execute("COMMIT")
            except BaseException:  # of any kind: the next caller uses the same connection
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise

    def delete_many(self, keys: Sequence[str]) -> None:
        with self._database.turn() as connection:
            connection.execute(_in("DELETE FROM spin_key_value", keys), (self._label, *keys))

    def _rows(self, query: str, *keys: str, cap: int = RESULT_CAP) -> list[tuple[object, ...]]:
        rows: list[tuple[object, ...]] = []
        size = 0
        with self._database.turn() as connection:
            for row in connection.execute(query, (self._label, *keys)):
                size += sum(len(each) for each in row if isinstance(each, bytes | str))
                if size > cap:
                    raise HostError(f"query result exceeds limit of {cap} bytes")
                rows.append(row)
        return rows
