"""HTTP messages as the gateway sees them: a request with its body, and a response.

Each entry (`app.py` for Spin, `guests/embedded.py` for the embedded host) converts the messages of its host
to and from these types.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol


class BodyCutShort(Exception):
    """The connection closed before the body was complete. The part that was read must not be used."""


class Body(Protocol):
    """The body of a request, read as it arrives.

    Attributes:
        ended: Whether it is known that the body has ended. If not, `read` shows it.
    """

    ended: bool

    async def read(self) -> bytes:
        """The next chunk, of any length. Empty at the end of the body, and on every later call.

        Raises:
            BodyCutShort: the connection closed before the end of the body.
        """
        ...

    async def grew(self, size: int) -> None:
        """Reports that `size` bytes were unpacked from the chunks read so far.

        A few packed bytes may be much work, so a host whose requests share an instance yields to the others
        here.
        """
        ...


class HostBody(Body, Protocol):
    """The body of a request as its host transfers it.

    Attributes:
        received: The bytes read so far.
    """

    received: int


@dataclass(eq=False)
class Request:
    """One request.

    Attributes:
        method: As sent. Methods are case-sensitive (RFC 9110 section 9.1).
        target: The path with its query, as in the request line, not decoded.
        headers: Values by name in lower case. The values of a repeated header are joined with ", " (RFC 9110
            section 5.3).
        body: The body.
        base: The path at which the gateway is mounted, such as `/internal/kv`; empty at the root. The target
            begins with it.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: HostBody
    base: str = ""


DECIDING = (
    "authorization",
    "host",
    "origin",
    "sec-fetch-site",
    "content-type",
    "content-encoding",
    "accept",
    "accept-encoding",
)
"""The headers that decide what is done with a request to a store (`Head`)."""


@dataclass(eq=False)
class Head:
    """What a request says before its body, apart from what is particular to this one request (its length, its
    id). Most requests of a client have equal heads, so what follows from a head is remembered
    (`gateway.plans`).

    Attributes:
        method, target, base: As those of the request.
        headers: The headers of DECIDING that the request has, and no others.
        full_path: The target up to its query, with the base, not decoded.
        path: The target behind the base and up to its query, not decoded.
        query: The part of the target after the first `?`, not decoded; empty if there is none.
    """

    method: str
    target: str
    base: str
    headers: Mapping[str, str]
    full_path: str = field(init=False)
    path: str = field(init=False)
    query: str = field(init=False)

    def __post_init__(self) -> None:
        # A `#` begins a fragment, which is not part of a target (RFC 9112 section 3.2). Clients remove it
        # before they send, and Spin removes it from the targets it receives. Removing it here makes all hosts
        # agree.
        self.full_path, _, self.query = self.target.partition("#")[0].partition("?")
        self.path = self.full_path[len(self.base) :] or "/"


def header_map(fields: list[tuple[str, bytes]]) -> dict[str, str]:
    """Headers by lower-case name. Values are decoded as latin-1, which preserves every byte."""
    # Hosts pass names in lower case (HTTP/2 demands it), most requests repeat none, and no value has a NUL
    # (RFC 9110 section 5.5). So all values are decoded at once: a step of Python for each takes longer.
    raw_headers = dict(fields)
    values = b"\0".join(raw_headers.values()).decode("latin-1").split("\0")
    if len(values) == len(fields) == len(raw_headers) and "".join(raw_headers).islower():
        return dict(zip(raw_headers, values, strict=True))
    headers: dict[str, str] = {}
    for name, raw in fields:
        name, value = name.lower(), raw.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


def declared_length(headers: Mapping[str, str]) -> int | None:
    """The `content-length` in bytes; None if there is none, or none that is a number."""
    declared = headers.get("content-length", "")
    return _number(declared) if len(declared) < 20 else None


@lru_cache(maxsize=256)
def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None


BASE = "__BASE__"
"""What stands for the base in the texts of `gateway/api/`."""


def base_of(headers: Mapping[str, str], target: str) -> str:
    """The path at which Spin has mounted the component: "/internal/kv" for the route "/internal/kv/...".

    Spin passes the whole path, and the route in the header `spin-matched-route`. It appends this header to
    those of the client, so a value that a client sent is never the last one. A wildcard in a route
    (`/:name/...`) stands for one segment.

    Args:
        headers: The headers by name (`header_map`).
        target: The path with its query, as in the request line.
    """
    route = headers.get("spin-matched-route", "/...").rpartition(", ")[2]
    if route == "/...":
        return ""
    segments = route.removesuffix("/...").rstrip("/").count("/")
    return "/".join(target.partition("?")[0].split("/")[: segments + 1])


class Chunks(Protocol):
    """The body of a streamed response. An async generator is one."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None: ...


@dataclass(eq=False)
class Response:
    """One response.

    Attributes:
        status: The status code.
        headers: Names in lower case, and values. A buffered response has a `content-length`.
        body: The whole body, or its chunks. The receiver must close the chunks (`aclose`), even unread or
            half read. Until then they may read the body of the request.
        authorized: Whether the caller may use the gateway, so that the rest of its body is read on for long
            (`gateway.linger`).
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | Chunks = b""
    authorized: bool = False


def buffered(status: int, content_type: str, body: bytes, *headers: tuple[str, str]) -> Response:
    """A response with a whole body, its `content-type` and `content-length`, and further headers."""
    return Response(
        status, [("content-type", content_type), ("content-length", str(len(body))), *headers], body
    )
