"""How long a request's body is read on and thrown away once the request is answered: a lingering close.

A server that closes a connection while the client is still sending makes TCP reset it, and a reset takes
away the answer that the client has not read yet. So the server answers, reads on, and closes when the body
has ended or a limit is reached (RFC 9112 section 9.6). Both hosts take their limits from here; how a host
reads on is its own business (docs/decisions/0011-lingering-close.md).
"""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """Whichever is reached first ends the reading.

    Attributes:
        bytes: Of the rest of the body.
        seconds: Since the answer.
        silence: Seconds without a byte from the client.
    """

    bytes: int
    seconds: float
    silence: float


CALLERS = Limits(1024 * MIB, 30, 5)
"""For a caller who was let in. Such a caller may import as many bytes, which costs more than to throw them
away, so the time is the limit that counts: 30 and 5 seconds are those of nginx (`lingering_time`,
`lingering_timeout`)."""

STRANGERS = Limits(128 * MIB, 10, 2)
"""For any other caller. Clients that read nothing before they have sent everything (Python's urllib, proxies)
see why they were refused when the whole body is within these limits: 128 MiB take 10 seconds at 100 Mbit/s.
"""

STRANGERS_AT_ONCE = 64
"""The most bodies of strangers that an instance reads on at once. The connections of more are closed at once,
and their answers may be lost."""

STRANGERS_LEFT = 256
"""The most silent strangers whose reads an instance may have left behind, where a host cannot cancel a read
(Spin). Each holds a buffer of 64 KiB until the instance ends. Java's HttpClient is such a client: once it is
refused, it keeps its connection but sends no more."""

_LET_IN = frozenset({400, 413, 415, 502, 503})


def is_stranger(status: int) -> bool:
    """Whether an answer with this status may be that to a caller who was not let in.

    The statuses of `_LET_IN` are those of problems that are found after the token was. 401, 403, 404 and 405
    are answered to anyone, before the body is looked at; and an operation that succeeds has read its body to
    the end.
    """
    return status not in _LET_IN


def limits(status: int) -> Limits:
    """The limits for the rest of the body of a request that was answered with this status."""
    return STRANGERS if is_stranger(status) else CALLERS
