"""Where in a body something stands, as an error tells it: by JSON Pointer in JSON, by line in NDJSON."""

from __future__ import annotations

from dataclasses import dataclass

Where = dict[str, object]
"""The place as members of a problem: `{"pointer": "/pairs/3"}`, or `{"line": 4}`."""

MAX_QUOTED = 100
"""The maximum number of characters of a client's text (such as a name) that an error quotes.

The text may have millions of characters."""


@dataclass(frozen=True)
class Pointer:
    """A place in a JSON body.

    Attributes:
        path: A JSON Pointer (RFC 6901); empty for the whole body.
    """

    path: str = ""

    def __str__(self) -> str:
        return self.path or "The body"

    def where(self, member: str | None = None) -> Where:
        """The place of this value, or of a member of it, where that has a name of a sane length."""
        if member is None or len(member) > MAX_QUOTED:
            return {"pointer": self.path}
        return {"pointer": f"{self.path}/{member.replace('~', '~0').replace('/', '~1')}"}


@dataclass(frozen=True)
class Line:
    """A line of an NDJSON body.

    Attributes:
        number: From 1, blank lines counted.
    """

    number: int

    def __str__(self) -> str:
        return f"Line {self.number}"

    def where(self, member: str | None = None) -> Where:  # noqa: ARG002 - a line is place enough
        """The place of this line; its members are told by the same."""
        return {"line": self.number}


Place = Pointer | Line

BODY = Pointer()
"""The whole of a JSON body."""
