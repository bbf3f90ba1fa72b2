"""How long a request's body is read on and thrown away once the request is answered: a lingering close.

A server that closes a connection while the client is still sending makes TCP reset it, and a reset takes
away the answer that the client has not read yet. So the server answers, reads on, and closes when the body
has ended or a limit is reached (RFC 9112 section 9.6). Both hosts take their limits from here; how a host
reads on is its own business (docs/decisions/0011-lingering-close.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """The limits of a lingering close. It ends when the first of them is reached.

    Attributes:
        bytes: The maximum size of the rest of the body.
        seconds: The maximum time since the answer.
        silence: The maximum time without a byte from the client, in seconds.
    """

    bytes: int
    seconds: float
    silence: float


CALLERS = Limits(1024 * MIB, 30, 5)
"""The limits for an authorized caller. Such a caller may also import that many bytes, which costs more than
discarding them, so the time is what is limited: 30 and 5 seconds are the defaults of nginx (`lingering_time`,
`lingering_timeout`)."""

STRANGERS = Limits(128 * MIB, 10, 2)
"""The limits for any other caller. Some clients read nothing before they have sent everything (Python's
urllib, proxies). They see why they were refused if the whole body is within these limits: 128 MiB take 10
seconds at 100 Mbit/s."""

STRANGERS_AT_ONCE = 64
"""The maximum number of bodies of strangers that an instance discards concurrently. Further connections are
closed at once, and their answers may be lost."""

STRANGERS_LEFT = 256
"""The maximum number of reads from silent strangers that an instance leaves behind, on a host that cannot
cancel a read (Spin). Each holds a buffer of 64 KiB until the instance ends. Java's HttpClient is such a
client: once it is refused, it keeps its connection but sends no more."""


def limits(authorized: bool) -> Limits:
    """The limits for the rest of the body of a request, whose caller may use the gateway or not."""
    return CALLERS if authorized else STRANGERS


def may_be_sending(headers: Mapping[str, str], *, begun: bool, chunked: bool) -> bool:
    """Whether the client may still be sending a body that did not end yet.

    A client that waits for "100 Continue" sends nothing before it is told to. After an answer it may never do
    so, and its next request would be taken for the body (RFC 9110 section 10.1.1).

    Args:
        headers: The headers of the request by lower-case name.
        begun: Whether a part of the body was read, which makes the host send "100 Continue".
        chunked: Whether a body without `content-length` may follow, in chunks.
    """
    if "expect" in headers and not begun:
        return False
    return headers.get("content-length", "0") != "0" or chunked
