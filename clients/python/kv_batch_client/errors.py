"""The errors of the client.

ClientError
├── Unreachable      the gateway was never reached: its name, port, certificate, or a timeout
├── ConnectionLost   a connection broke, or the gateway had answered before
├── GatewayProblem   the gateway answered with an error
├── BadInput         the input of the user is not what it should be
├── WriteStopped     a write of many lines ended early; its cause is one of the above
└── DeleteStopped    a delete by prefix ended early (in `deleting`); likewise
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime


class ClientError(Exception):
    """The base of all errors of this package."""


class Unreachable(ClientError):
    """The gateway was never reached. Another try would most likely fail too."""


class ConnectionLost(ClientError):
    """The connection broke, or no answer came in time. All operations may be sent again."""


class BadInput(ClientError):
    """An argument or a file of the user is not valid."""


@dataclass(eq=False)
class GatewayProblem(ClientError):
    """The gateway answered with an error (RFC 9457), or something in front of it did.

    Attributes:
        status: The HTTP status.
        code: The last part of the problem's type, e.g. `store-failed`; empty if the answer was no problem.
        title: The problem's title.
        detail: What was wrong, where, and what to do.
        members: All members of the problem.
        retry_after: Seconds, from the header Retry-After; None if there was none.
        url: The URL of the store.
    """

    status: int
    code: str
    title: str
    detail: str
    members: Mapping[str, object]
    retry_after: float | None = None
    url: str = ""

    def __str__(self) -> str:
        if self.detail.startswith(self.title):
            return self.detail
        return f"{self.title}: {self.detail}" if self.detail else self.title

    @property
    def failed(self) -> dict[str, str]:
        """Key to reason of the keys that failed by themselves."""
        failed = self.members.get("failed")
        items = failed if isinstance(failed, list) else []
        return {str(each["key"]): str(each["reason"]) for each in items if isinstance(each, dict)}

    @property
    def applied(self) -> int | None:
        """The number of lines or keys that were applied; None if the problem does not say."""
        return self._number("applied")

    @property
    def resume_line(self) -> int | None:
        """The line from 1, in the body that was sent, from which to send it again."""
        return self._number("resume_line")

    @property
    def line(self) -> int | None:
        """The line from 1, in the body that was sent, that is not valid."""
        return self._number("line")

    @property
    def is_passing(self) -> bool:
        """Whether the same request may succeed a little later."""
        if self.code:
            return self.code in {"store-busy", "store-failed"}
        return self.status in {429, 502, 503, 504}  # from a proxy whose gateway is down

    def _number(self, name: str) -> int | None:
        value = self.members.get(name)
        return value if isinstance(value, int) else None


class WriteStopped(ClientError):
    """A write of many lines ended early.

    Attributes:
        cause: The reason.
        next_line: The line of the input, from 1, from which to go on. All lines before it are applied, or
            their keys are in `failed`.
        failed: Key to reason of the keys that failed by themselves until then.
        bad_line: The line of the input that is not valid; None if the cause is another.
    """

    def __init__(
        self, cause: ClientError, next_line: int, failed: Mapping[str, str], bad_line: int | None = None
    ) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.next_line = next_line
        self.failed = dict(failed)
        self.bad_line = bad_line


def counted(number: int, what: str) -> str:
    """A number of things: `1 key`, `2,000 keys`."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def sentence(error: object) -> str:
    """The message of an error, with a full stop at its end."""
    text = str(error).rstrip()
    return text if text.endswith((".", ":", "?", "!")) else f"{text}."


def is_passing(error: ClientError) -> bool:
    """Whether the same request may succeed a little later."""
    return isinstance(error, ConnectionLost) or (isinstance(error, GatewayProblem) and error.is_passing)


def problem_of(
    status: int, content: bytes, retry_after: str | None = None, location: str | None = None
) -> GatewayProblem:
    """The error for an answer that is not 2xx."""
    try:
        document = json.loads(content)
    except ValueError:
        document = None
    seconds = _seconds(retry_after) if retry_after else None
    if isinstance(document, dict) and "title" in document:
        return from_document(document, seconds, status)
    detail = (
        f"It redirects to {location}. Use that URL if it is the gateway."
        if location
        else "The answer is not from kv-batch. Check the URL, and a proxy in front of the gateway."
    )
    return GatewayProblem(status, "", f"The answer has the status {status}", detail, {}, seconds)


def _seconds(retry_after: str) -> float | None:
    """The seconds of a Retry-After, which is a number or a date (RFC 9110 section 10.2.3)."""
    if retry_after.isascii() and retry_after.isdecimal():
        return float(retry_after)
    try:
        until = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, (until - datetime.now(until.tzinfo)).total_seconds())


def from_document(
    document: Mapping[str, object], retry_after: float | None = None, status: int = 0
) -> GatewayProblem:
    """The error for a problem document: of an answer, or of the line that ends a stream."""
    stated = document.get("status")
    return GatewayProblem(
        stated if isinstance(stated, int) else status,
        str(document.get("type", "")).rsplit("/", 1)[-1],
        str(document.get("title", "The gateway reports a problem")),
        str(document.get("detail", "")),
        document,
        retry_after,
    )
