"""NDJSON: the lines of pairs and keys, the lines that end a stream, and the parts in which lines are sent.

A part keeps the numbers of the input's lines: a line that is not to be sent becomes a blank one, which the
gateway skips and counts.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

from kv_batch_client.errors import BadInput, from_document

PART_LINES = 100_000
"""The maximum number of lines in a request. A lost connection costs at most one part."""

PART_BYTES = 16 * 1024 * 1024
"""The size in bytes at which a part is full. A part is held in memory, so that it can be sent again."""

_CONTROL = re.compile(rb'\s*\{\s*"(?:end|problem)"\s*:')


@dataclass(frozen=True)
class Part:
    """Lines that are sent in one request.

    Attributes:
        lines: The lines, without line ends.
        first: The number of the first line in the input, from 1.
    """

    lines: list[bytes]
    first: int

    @property
    def pairs(self) -> int:
        """The number of lines that are not blank."""
        return sum(1 for line in self.lines if line.strip())

    @property
    def after(self) -> int:
        """The number of the line of the input that follows the part."""
        return self.first + len(self.lines)

    def body(self) -> bytes:
        """The body of the request, closed by an end line."""
        return b"\n".join([*self.lines, end_line(self.pairs)])

    def start(self, count: int) -> Part:
        """The first `count` lines of the part."""
        return Part(self.lines[:count], self.first)

    def rest(self, line: int) -> Part:
        """The part from its own line `line` (from 1) on."""
        return Part(self.lines[line - 1 :], self.first + line - 1)

    def keys(self) -> set[str]:
        """The keys of the lines. Lines that are not valid are left out."""
        found = set()
        for line in filter(bytes.strip, self.lines):
            with suppress(BadInput):
                found.add(decode(line)[0])
        return found


def parts(
    lines: Iterable[bytes], *, max_lines: int = PART_LINES, max_bytes: int = PART_BYTES
) -> Iterator[Part]:
    """Cuts lines into parts. A single longer line is a part of its own, or ends one."""
    held, size, first = list[bytes](), 0, 1
    for line in lines:
        held.append(line)
        size += len(line) + 1
        if len(held) >= max_lines or size >= max_bytes:
            yield Part(held, first)
            first += len(held)
            held, size = [], 0
    if held:
        yield Part(held, first)


def checked(lines: Iterable[bytes], *, needs_end: bool = False) -> Iterator[bytes]:
    """Checks the end lines of an input and blanks them: each part gets its own.

    Raises:
        BadInput: an end line has another count, the input is an export that failed, or `needs_end` is set and
            the last line is no end line.
    """
    pairs, number, ended = 0, 0, False
    for number, line in enumerate(without_mark(lines), 1):
        if _CONTROL.match(line) is not None:
            if (problem := problem_in(line)) is not None:
                raise BadInput(
                    f"Line {number} is the problem that ended this export: {problem}. Export again."
                )
            if (count := count_in(line)) != pairs:
                raise BadInput(
                    f"Line {number} is the end line of {count} pairs, but {pairs} are before it. "
                    "The file lost lines: export it again."
                )
            pairs, ended, line = 0, True, b""
        elif line.strip():
            pairs, ended = pairs + 1, False
        yield line
    if needs_end and not ended:
        raise BadInput(
            f"The input has no end line after its last line ({number}), so it may have been cut. "
            "Export it again, or import it without --end."
        )


def without_mark(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a file, without the byte order mark that some programs write at its start."""
    first = True
    for line in lines:
        yield line.removeprefix(b"\xef\xbb\xbf") if first else line
        first = False


def end_line(pairs: int) -> bytes:
    """The line that closes a stream of `pairs` lines."""
    return b'{"end": {"pairs": %d}}\n' % pairs


def count_in(line: bytes) -> int | None:
    """The count of an end line; None if the line is another."""
    if _CONTROL.match(line) is None:
        return None
    try:
        count = json.loads(line)["end"]["pairs"]
    except (ValueError, KeyError, TypeError):
        return None
    return count if isinstance(count, int) else None


def problem_in(line: bytes) -> Exception | None:
    """The problem that the last line of a stream reports; None if the line is another."""
    if _CONTROL.match(line) is None:
        return None
    try:
        document = json.loads(line).get("problem")
    except ValueError:
        return None
    return from_document(document) if isinstance(document, dict) else None


def pair_line(key: str, value: bytes) -> bytes:
    """The line of a pair: text if the value is UTF-8, else base64."""
    try:
        return json.dumps({"key": key, "value": value.decode()}).encode()
    except UnicodeDecodeError:
        encoded = base64.b64encode(value).decode()
        return json.dumps({"key": key, "value": encoded, "encoding": "base64"}).encode()


def key_line(key: str) -> bytes:
    """The line of a key."""
    return json.dumps({"key": key}).encode()


def key_of(line: bytes) -> str:
    """The key of a line that the gateway wrote."""
    key: str = json.loads(line)["key"]
    return key


def decode(line: bytes) -> tuple[str, bytes | None]:
    """The key and the value of a line. The value is None where it is null or not given.

    Raises:
        BadInput: the line is no pair.
    """
    try:
        pair = json.loads(line)
        key, value = pair["key"], pair.get("value")
        if value is None:
            return str(key), None
        if pair.get("encoding") == "base64":
            return str(key), base64.b64decode(value, validate=True)
        return str(key), value.encode()
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadInput(f"{line[:80]!r} is not a pair: {error!r}") from error
