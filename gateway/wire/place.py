"""Places in a body, as errors name them: a JSON Pointer in JSON, a line in NDJSON."""

from __future__ import annotations

from dataclasses import dataclass

Where = dict[str, object]
"""A place as members of a problem: `{"pointer": "/pairs/3"}`, or `{"line": 4}`."""

MAX_QUOTED = 100
"""The maximum number of characters of a client's text (such as a name) that an error quotes.

The text may have millions of characters."""


@dataclass(frozen=True)
class Pointer:
    """A place in a JSON body.

    Attributes:
        path: The JSON Pointer (RFC 6901); empty for the whole body.
    """

    path: str = ""

    def __str__(self) -> str:
        return self.path or "The body"

    def where(self, member: str | None = None) -> Where:
        """The place of this value, or of a member of it whose name is not longer than MAX_QUOTED."""
        if member is None or len(member) > MAX_QUOTED:
            return {"pointer": self.path}
        return {"pointer": f"{self.path}/{member.replace('~', '~0').replace('/', '~1')}"}


@dataclass(frozen=True)
class Line:
    """A line of an NDJSON body.

    Attributes:
        number: The number of the line, from 1. Blank lines count.
    """

    number: int

    def __str__(self) -> str:
        return f"Line {self.number}"

    def where(self, member: str | None = None) -> Where:  # noqa: ARG002 - as Pointer.where
        """The place of this line. It is also the place of each member of it."""
        return {"line": self.number}


Place = Pointer | Line

BODY = Pointer()
"""The whole JSON body."""
