"""A store behind a gateway: its operations, which are repeated until they succeed or the time is over."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, Self

import httpx

from kv_batch_client.addresses import store_url
from kv_batch_client.ahead import read_ahead
from kv_batch_client.deleting import Deleted, delete_all
from kv_batch_client.errors import ClientError, is_passing
from kv_batch_client.http import NDJSON, Connection
from kv_batch_client.lines import PART_BYTES, PART_LINES, Part, decode, key_line, pair_line, parts
from kv_batch_client.reading import PAGE_KEYS, Export, Source, complete_lines
from kv_batch_client.retry import Retry
from kv_batch_client.writing import Written, write_parts

PIECE_BYTES = 256 * 1024
"""The size in bytes of the pieces in which a body is sent."""


class Store:
    """A store behind a kv-batch gateway. It is a context manager, and not for several threads at once.

    Every operation may be repeated safely. It is repeated when the store is busy, and when the connection is
    lost to a gateway that was reached before. All may raise Unreachable, ConnectionLost and GatewayProblem.

    Args:
        url: The gateway (`http://host:3000`), or the store itself (`https://host/base/v1/default`).
        store: The name of the store; by default that of the URL, else `default`.
        token: The bearer token; None for none.
        retry_seconds: How long to retry without progress, in seconds. 0 means never.
        timeout: Seconds that a connection may be silent.
        on_wait: Is called before each pause, with the error and the pause in seconds.
        transport: That of httpx, for tests.
        part_lines, part_bytes: The size of the parts in which lines are sent.
    """

    def __init__(
        self,
        url: str,
        store: str | None = None,
        *,
        token: str | None = None,
        retry_seconds: float = 60,
        timeout: float = 60,
        on_wait: Callable[[ClientError, float], None] | None = None,
        transport: httpx.BaseTransport | None = None,
        part_lines: int = PART_LINES,
        part_bytes: int = PART_BYTES,
    ) -> None:
        self.url = store_url(url, store)
        self._connection = Connection(self.url, token, timeout, transport)
        self._retry_seconds = retry_seconds
        self._on_wait = on_wait
        self._sizes = {"max_lines": part_lines, "max_bytes": part_bytes}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._connection.close()

    def get_many(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """(key, value) for each key, in order. The value is None if the key is not in the store."""
        asked = iter(keys)
        while chunk := list(islice(asked, PAGE_KEYS)):
            retry = self._retry()
            while chunk:
                answered = 0
                try:
                    for line in complete_lines(self._connection.get_many(chunk), len(chunk)):
                        answered += 1
                        yield decode(line)
                    break
                except ClientError as error:
                    if not is_passing(error):
                        raise
                    if answered:
                        retry.progressed()
                    retry.wait(error)
                    chunk = chunk[answered:]

    def set_many(self, pairs: Iterable[tuple[str, bytes]]) -> Written:
        """Writes all pairs. The last value of a repeated key wins.

        Raises:
            WriteStopped: not all pairs were applied.
        """
        return self.write_lines("set-many", (pair_line(key, value) for key, value in pairs))

    def delete_many(self, keys: Iterable[str]) -> Written:
        """Deletes all keys. A key that is not in the store is skipped.

        Raises:
            WriteStopped: not all keys were deleted.
        """
        return self.write_lines("delete-many", map(key_line, keys))

    def write_lines(
        self,
        operation: Literal["set-many", "delete-many"],
        lines: Iterable[bytes],
        on_part: Callable[[Part], None] | None = None,
        on_sent: Callable[[int], None] | None = None,
        *,
        ahead: bool = False,
    ) -> Written:
        """set-many or delete-many of NDJSON lines of any number, sent in parts.

        Args:
            operation: What to do.
            lines: The lines, without line ends.
            on_part: Is called after each part that is done.
            on_sent: Is called while a part is sent, with the number of lines that were sent so far. It is
                lower than before if a part is sent again.
            ahead: Read lines while a part is sent, in another thread. It holds two more parts in memory.

        Raises:
            WriteStopped: not all lines were applied.
        """

        def send(part: Part) -> None:
            body = part.body()
            headers = NDJSON | {"content-length": str(len(body))}
            content = _sent(part, body, on_sent)
            self._connection.request(
                "POST", f"/{operation}", params={"end": "true"}, content=content, headers=headers
            )

        cut = parts(lines, **self._sizes)
        return write_parts(send, read_ahead(cut) if ahead else cut, self._retry(), on_part)

    def keys(self, prefix: str = "", after: str | None = None) -> Iterator[str]:
        """The keys that start with `prefix` and are greater than `after`, sorted by code point."""
        while True:
            page = self._retried("GET", "/keys", params=_page_query(prefix, after)).json()
            yield from page["keys"]
            after = page["next"]
            if after is None:
                return

    def count(self, prefix: str = "") -> int:
        """The number of keys that start with `prefix`, by the dry run of the delete."""
        return _keys_of(self._retried("DELETE", "/keys", params=_prefix_query(prefix, dry_run=True)))

    def delete_prefix(self, prefix: str) -> Deleted:
        """Deletes the keys that start with `prefix`; an empty one means all.

        Raises:
            DeleteStopped: some keys are left. Those that were deleted are counted.
        """

        def send(*, dry_run: bool = False) -> int:
            query = _prefix_query(prefix, dry_run=dry_run)
            return _keys_of(self._connection.request("DELETE", "/keys", params=query))

        return delete_all(send, lambda: send(dry_run=True), self._retry())

    def export_lines(self, prefix: str = "") -> Iterator[bytes]:
        """The pairs as NDJSON lines without line ends, sorted by key; a cut export is continued.

        The iterator ends normally only if all pairs were given.
        """
        return iter(Export(_ExportRequests(self._connection, prefix), self._retry()))

    def pairs(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        """(key, value) of each pair whose key starts with `prefix`, sorted by key."""
        for line in self.export_lines(prefix):
            key, value = decode(line)
            if value is not None:
                yield key, value

    def _retry(self) -> Retry:
        return Retry(self._retry_seconds, on_wait=self._on_wait)

    def _retried(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        retry = self._retry()
        while True:
            try:
                return self._connection.request(method, path, **arguments)
            except ClientError as error:
                if not is_passing(error):
                    raise
                retry.wait(error)


def _sent(part: Part, body: bytes, on_sent: Callable[[int], None] | None) -> Iterator[bytes]:
    """The body of a part in pieces: httpx copies the rest of a piece after each send of the socket."""
    for start in range(0, len(body), PIECE_BYTES):
        yield body[start : start + PIECE_BYTES]
        if on_sent is not None:
            share = min(1, (start + PIECE_BYTES) / len(body))
            on_sent(part.first - 1 + int(len(part.lines) * share))


@dataclass(frozen=True)
class _ExportRequests(Source):
    """The requests of an export of the keys that start with `prefix`."""

    connection: Connection
    prefix: str

    def export(self) -> Iterator[bytes]:
        return self.connection.stream("GET", "/export", params={"prefix": self.prefix, "end": "true"})

    def page(self, after: str | None) -> tuple[Iterator[bytes], str | None]:
        page = self.connection.request("GET", "/keys", params=_page_query(self.prefix, after)).json()
        return self._existing(page["keys"]), page["next"]

    def _existing(self, keys: list[str]) -> Iterator[bytes]:
        if keys:
            for line in complete_lines(self.connection.get_many(keys), len(keys)):
                if decode(line)[1] is not None:  # else it was deleted in the meantime
                    yield line


def _page_query(prefix: str, after: str | None) -> dict[str, str]:
    query = {"prefix": prefix, "limit": str(PAGE_KEYS)}
    return query if after is None else query | {"after": after}


def _prefix_query(prefix: str, *, dry_run: bool) -> dict[str, str]:
    query = {"prefix": prefix} if prefix else {"all": "true"}
    return query | {"dry-run": "true"} if dry_run else query


def _keys_of(response: httpx.Response) -> int:
    count: int = response.json()["keys"]
    return count
