"""A store behind a gateway: the operations, and its requests, and the translation of their errors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Literal, Self

import httpx

from kv_batch_client.addresses import is_loopback, store_url
from kv_batch_client.errors import (
    BadInput,
    ClientError,
    ConnectionLost,
    GatewayProblem,
    Unreachable,
    problem_of,
)
from kv_batch_client.lines import PART_BYTES, PART_LINES, Part, decode, end_line, key_line, pair_line, parts
from kv_batch_client.reading import complete_lines, export_lines
from kv_batch_client.retry import Retry
from kv_batch_client.writing import Written, write_parts

NDJSON = {"content-type": "application/x-ndjson", "accept": "application/x-ndjson"}
PAGE_KEYS = 10_000
"""Keys in a page and in a get-many. The gateway gives no more in a page."""


class Store:
    """A store behind a kv-batch gateway. It is a context manager, and not for several threads at once.

    Every operation may be repeated safely. It is repeated when the store is busy, and when the connection is
    lost after the gateway has answered once. All may raise Unreachable, ConnectionLost and GatewayProblem.

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
        headers = {"user-agent": "kvb"}
        if token is not None:
            if not token or not token.isprintable() or token != token.strip() or not token.isascii():
                raise BadInput("The token is empty, or has characters that no header can carry.")
            headers["authorization"] = f"Bearer {token}"
        if is_loopback(self.url):
            headers["accept-encoding"] = "identity"
        self._client = httpx.Client(
            headers=headers, timeout=httpx.Timeout(timeout, connect=min(timeout, 10)), transport=transport
        )
        self._retry_seconds = retry_seconds
        self._on_wait = on_wait
        self._sizes = {"max_lines": part_lines, "max_bytes": part_bytes}
        self._was_reached = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def get_many(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """(key, value) for each key, in order. The value is None if the key is not in the store."""
        asked = iter(keys)
        while chunk := list(islice(asked, PAGE_KEYS)):
            retry = self._retry()
            while chunk:
                answered = 0
                try:
                    for line in complete_lines(self._stream_many(chunk), len(chunk)):
                        answered += 1
                        yield decode(line)
                    break
                except ClientError as error:
                    if not _is_passing(error):
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
    ) -> Written:
        """set-many or delete-many of NDJSON lines of any number, sent in parts.

        Raises:
            WriteStopped: not all lines were applied.
        """

        def send(part: Part) -> None:
            url = f"/{operation}"
            self._request("POST", url, params={"end": "true"}, content=part.body(), headers=NDJSON)

        return write_parts(send, parts(lines, **self._sizes), self._retry(), on_part)

    def keys(self, prefix: str = "", after: str | None = None) -> Iterator[str]:
        """The keys that start with `prefix` and are greater than `after`, sorted by code point."""
        while True:
            query = {"prefix": prefix, "limit": str(PAGE_KEYS)} | ({} if after is None else {"after": after})
            page = self._retried("GET", "/keys", params=query).json()
            yield from page["keys"]
            after = page["next"]
            if after is None:
                return

    def count(self, prefix: str = "") -> int:
        """The number of keys that start with `prefix`, by the dry run of the delete."""
        return self._delete_prefix(prefix, {"dry-run": "true"})

    def delete_prefix(self, prefix: str) -> int:
        """Deletes the keys that start with `prefix`; an empty one means all. Returns their number."""
        return self._delete_prefix(prefix, {})

    def _delete_prefix(self, prefix: str, query: dict[str, str]) -> int:
        query = {"prefix": prefix, **({} if prefix else {"all": "true"}), **query}
        count: int = self._retried("DELETE", "/keys", params=query).json()["keys"]
        return count

    def export_lines(self, prefix: str = "") -> Iterator[bytes]:
        """The pairs as NDJSON lines without line ends, sorted by key; a cut export is continued.

        The iterator ends normally only if all pairs were given.
        """

        def export() -> Iterator[bytes]:
            return self._stream("GET", "/export", params={"prefix": prefix, "end": "true"})

        return export_lines(export, lambda last: self._lines_after(prefix, last), self._retry())

    def pairs(self, prefix: str = "") -> Iterator[tuple[str, bytes]]:
        """(key, value) of each pair whose key starts with `prefix`, sorted by key."""
        for line in self.export_lines(prefix):
            key, value = decode(line)
            if value is not None:
                yield key, value

    def _lines_after(self, prefix: str, last: str) -> Iterator[bytes]:
        keys = self.keys(prefix, last)
        while chunk := list(islice(keys, PAGE_KEYS)):
            for line in complete_lines(self._stream_many(chunk), len(chunk)):
                if decode(line)[1] is not None:  # else it was deleted in the meantime
                    yield line

    def _stream_many(self, keys: list[str]) -> Iterator[bytes]:
        body = b"\n".join([*map(key_line, keys), end_line(len(keys))])
        return self._stream("POST", "/get-many", params={"end": "true"}, content=body, headers=NDJSON)

    def _retry(self) -> Retry:
        return Retry(self._retry_seconds, on_wait=self._on_wait)

    def _retried(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        retry = self._retry()
        while True:
            try:
                return self._request(method, path, **arguments)
            except ClientError as error:
                if not _is_passing(error):
                    raise
                retry.wait(error)

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        with self._translated():
            response = self._client.request(method, self.url + path, **arguments)
        self._check(response)
        return response

    def _stream(self, method: str, path: str, **arguments: Any) -> Iterator[bytes]:
        with (
            self._translated(),
            self._client.stream(method, self.url + path, **arguments) as response,
        ):
            if not response.is_success:
                response.read()
            self._check(response)
            yield from response.iter_bytes()

    def _check(self, response: httpx.Response) -> None:
        self._was_reached = True
        if response.is_success:
            return
        headers = response.headers
        raise problem_of(
            response.status_code, response.content, headers.get("retry-after"), headers.get("location")
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns the errors of httpx into those of this package."""
        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise BadInput(f"{self.url} cannot be requested: {error}") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else str(error)
            if self._was_reached:
                raise ConnectionLost(f"The connection to {self.url} was lost: {what}") from error
            raise Unreachable(
                f"{self.url} cannot be reached: {what}. Check the URL (--url or KVB_URL), and that the "
                "gateway runs."
            ) from error


def _is_passing(error: ClientError) -> bool:
    return isinstance(error, ConnectionLost) or (isinstance(error, GatewayProblem) and error.is_passing)
