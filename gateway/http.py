"""HTTP as the gateway sees it: a request, the body behind it, an answer.

The seam to the hosts. An adapter (`app.py` under Spin, `guests/embedded.py` elsewhere) makes a `Request`
of what its host gives it and sends the `Response` back; nothing here knows either host.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol


class BodyCutShort(Exception):
    """The client broke off before its body was complete; what was read of it must not be trusted."""


class Body(Protocol):
    """The body of a request, read as it arrives."""

    async def read(self) -> bytes:
        """The next chunk, of any length; empty at the end, and again each time after it.

        Raises:
            BodyCutShort: the client broke off.
        """
        ...

    async def grew(self, size: int) -> None:
        """Tells the host that so many bytes were made of what was read. The bytes that came say little of the
        work that they are: a host whose requests share an instance lets the others have a turn in between."""
        ...


@dataclass(frozen=True)
class Request:
    """One request.

    Attributes:
        method: As sent: methods are case-sensitive (RFC 9110 section 9.1).
        target: The path with its query, as in the request line: nothing decoded.
        headers: By name in lower case; a repeated one joined with ", " (RFC 9110 section 5.3).
        body: What follows the head.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: Body

    @property
    def path(self) -> str:
        """The target up to its query, undecoded."""
        return self._sent.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the first `?` of the target, undecoded; empty without one."""
        return self._sent.partition("?")[2]

    @property
    def _sent(self) -> str:
        """The target without a fragment.

        A `#` begins a fragment, which is no part of a target (RFC 9112 section 3.2). Clients drop it before
        they send, and Spin drops it of what it receives. Hosts that pass it on get the same answer.
        """
        return self.target.partition("#")[0]


def header_map(fields: list[tuple[str, bytes]]) -> dict[str, str]:
    """The headers of a request by lower-case name; bytes are taken as latin-1, which loses none."""
    headers: dict[str, str] = {}
    for name, raw in fields:
        name, value = name.lower(), raw.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers


class Chunks(Protocol):
    """The body of an answer that is made as it is sent; an async generator is one."""

    def __aiter__(self) -> AsyncIterator[bytes]: ...

    async def __anext__(self) -> bytes: ...

    async def aclose(self) -> None: ...


@dataclass(frozen=True)
class Response:
    """One answer.

    Attributes:
        status: The status code.
        headers: Names in lower case. A buffered answer has its `content-length` among them.
        body: All of it, or the chunks of it as they come. Whoever takes it closes it (`aclose`), also unread
            or half read; until then it may read the body of the request.
    """

    status: int
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes | Chunks = b""
