"""The requests to a store behind a gateway, and the translation of the errors of httpx."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from kv_batch_client.addresses import is_loopback
from kv_batch_client.errors import BadInput, ConnectionLost, Unreachable, problem_of
from kv_batch_client.lines import end_line, key_line

NDJSON = {"content-type": "application/x-ndjson", "accept": "application/x-ndjson"}

CONNECT_SECONDS = 10
"""The maximum time for a connection to be made."""


class Connection:
    """The connection to a store. No method sends a request twice.

    Attributes:
        was_reached: Whether the gateway has answered once, or a connection to it broke. Each error from then
            on is ConnectionLost.

    Args:
        url: The URL of the store.
        token: The bearer token; None for none.
        timeout: Seconds that the connection may be silent.
        transport: That of httpx, for tests.
    """

    def __init__(
        self, url: str, token: str | None, timeout: float, transport: httpx.BaseTransport | None
    ) -> None:
        headers = {"user-agent": "kvb"}
        if token is not None:
            if not token or not token.isprintable() or token != token.strip() or not token.isascii():
                raise BadInput("The token is empty, or has characters that no header can carry.")
            headers["authorization"] = f"Bearer {token}"
        if is_loopback(url):
            headers["accept-encoding"] = "identity"
        self.was_reached = False
        self._url = url
        self._client = httpx.Client(
            headers=headers,
            timeout=httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS)),
            transport=transport,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        """A request, and its answer as a whole.

        Args:
            method: The HTTP method.
            path: What follows the URL of the store.
            arguments: Those of httpx.

        Raises:
            Unreachable, ConnectionLost, GatewayProblem.
        """
        with self._translated():
            response = self._client.request(method, self._url + path, **arguments)
        self._check(response)
        return response

    def stream(self, method: str, path: str, **arguments: Any) -> Iterator[bytes]:
        """As `request`, with the chunks of the body as they arrive."""
        with (
            self._translated(),
            self._client.stream(method, self._url + path, **arguments) as response,
        ):
            if not response.is_success:
                response.read()
            self._check(response)
            yield from response.iter_bytes()

    def get_many(self, keys: list[str]) -> Iterator[bytes]:
        """The chunks of the answer of get-many."""
        body = b"\n".join([*map(key_line, keys), end_line(len(keys))])
        return self.stream("POST", "/get-many", params={"end": "true"}, content=body, headers=NDJSON)

    def _check(self, response: httpx.Response) -> None:
        self.was_reached = True
        if response.is_success:
            return
        headers = response.headers
        problem = problem_of(
            response.status_code, response.content, headers.get("retry-after"), headers.get("location")
        )
        problem.url = self._url
        raise problem

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns the errors of httpx into those of this package."""
        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, httpx.LocalProtocolError) as error:
            raise BadInput(f"{self._url} cannot be requested: {error}") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            what = _reason(error)
            self.was_reached |= _is_broken(error)
            if self.was_reached:
                raise ConnectionLost(f"The connection to {self._url} was lost: {what}") from error
            raise Unreachable(
                f"{self._url} cannot be reached: {what}. Check the URL (--url or KVB_URL), and that the "
                "gateway runs."
            ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    if "WRONG_VERSION_NUMBER" in str(error):
        return "it answers without TLS, so its URL may start with http://"
    return re.sub(r"^\[Errno -?\d+\] ", "", str(error)).rstrip(".") or type(error).__name__


def _is_broken(error: Exception) -> bool:
    """Whether a connection was made, and broke before an answer. What is no gateway would have answered."""
    return isinstance(error, httpx.ReadError | httpx.WriteError) or "disconnected" in str(error)
