"""What the entries share, whichever WASI their host has: the host of the gateway, and the request."""

from __future__ import annotations

from collections.abc import Callable

from gateway.http import HostBody, Request, base_of, header_map
from kv_batch.wit import Wit, WitBucket, open_bucket


class WitHost:
    """A `gateway.host.Host` over the WIT interfaces."""

    def __init__(self, wit: Wit, config: Callable[[str], str | None]) -> None:
        """The interfaces.

        Args:
            wit: Those of `wasi:keyvalue`.
            config: `get` of `wasi:config/store`.
        """
        self._wit = wit
        self._config = config

    def config(self, name: str) -> str | None:
        return self._config(name)

    async def open(self, label: str) -> WitBucket:
        return await open_bucket(self._wit, label)


_METHODS = {
    f"Method_{name.capitalize()}": name
    for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH")
}


def method_name(method: object) -> str:
    """The name of a case of `method` of `wasi:http/types`: "GET" for `Method_Get`."""
    name = _METHODS.get(type(method).__name__)
    return method.value if name is None else name  # type: ignore[attr-defined] # of Method_Other


def headers_of(fields: list[tuple[str, bytes]], authority: Callable[[], str | None]) -> dict[str, str]:
    """The headers of a request, by lower-case name.

    Args:
        fields: Its headers, in the order received.
        authority: Returns its authority, which HTTP/2 has instead of the header `host`.
    """
    headers = header_map(fields)
    if "host" not in headers:
        headers["host"] = authority() or ""
    return headers


def request_of(method: object, target: str | None, headers: dict[str, str], body: HostBody) -> Request:
    """The request of `wasi:http/types`, as the gateway sees it.

    Args:
        method: Its case of `method`.
        target: Its path with the query.
        headers: Its headers by name (`headers_of`).
        body: Its body.
    """
    target = target or "/"
    return Request(method_name(method), target, headers, body, base_of(headers, target))
