"""Parses strict JSON safely in a WebAssembly guest.

CPython's parser is recursive, and in WebAssembly its recursion check does not work: a depth of a thousand
levels exhausts the stack and traps the instance, with every request in it. Also, two bytes of text (`[]`) may
become a list of over fifty bytes. So the depth and the number of values are measured before the text is
parsed. Only C builtins measure them, since a loop over the characters would cost more than the parser. The
text is measured in pieces, up to the limit, so the memory for it is that of one piece, whatever the text.
"""

from __future__ import annotations

import json
import sys
from typing import Final, NoReturn

from gateway.problems import Problem
from gateway.wire.place import BODY, Line, Place

MAX_DEPTH: Final = 64
"""The depth of nesting up to which text is parsed. Text of three times this depth is never parsed.

The API needs 3 levels. CPython in WebAssembly was seen to bear 500."""

Object = tuple[tuple[str, object], ...]
"""A JSON object: its members in order, with duplicates. (An array is a `list`, so the two differ.)"""

SCAN_PIECE_BYTES: Final = 24 * 1024
"""The size in bytes of the pieces of text that are scanned for marks (`outline`).

All bytes of a piece may be quotes, and each quote becomes an entry of a list. And above 30,000 bytes CPython
searches with a slower algorithm (see `gateway.wire.bulk.BULK_PIECE_BYTES`)."""

_NOT_MARKS = bytes(set(range(256)) - set(b'"[]{},'))


CONTROLS: Final = bytes(range(0x20))
"""The control characters. In a JSON string they are escaped, as the quote and the backslash are (RFC 8259
section 7)."""


def marking(some: bytes) -> bytes:
    """A table for `bytes.translate` that changes these bytes and no others."""
    return bytes(byte ^ 1 if byte in some else byte for byte in range(256))


UNESCAPED: Final = marking(CONTROLS + b'"\\')
"""Marks the bytes that stand in no JSON string without an escape."""


def is_plain(text: bytes, marked: bytes = UNESCAPED) -> bool:
    """Whether a text is UTF-8, and has none of the bytes that `marked` changes (`marking`)."""
    if text.translate(marked) != text:
        return False
    try:
        return text.isascii() or bool(text.decode())
    except UnicodeDecodeError:
        return False


class TooMany(ValueError):
    """The text has more marks (`outline`) than allowed. The argument is the outline up to there."""


def parse(text: bytes, place: Place = BODY, most: int = sys.maxsize) -> object:
    """Parses `text` to a str, float, bool, None, list or `Object`.

    All numbers become floats. The API needs no integers, and to convert a long number to an int is slow
    (Python refuses to above 4,300 digits).

    Args:
        text: JSON in UTF-8.
        place: The place of the text, for errors.
        most: The maximum number of marks (`outline`). Each value takes at least one, so the parser creates
            no more values than that, and no more names.

    Raises:
        Problem: `malformed-body`: the text is not UTF-8, not JSON (RFC 8259), or nested too deep.
        TooMany: the text has more marks. The rest of them is not counted: there may be millions.
    """
    if too_deep(text, most):
        raise Problem(
            "malformed-body",
            f"{place} is nested more than {MAX_DEPTH} levels deep, or its brackets do not match. "
            "The API needs three levels.",
            place.where(),
        )
    try:
        return decode(text.decode())
    except UnicodeDecodeError as error:
        raise Problem(
            "malformed-body",
            f"{place} is not UTF-8: byte {error.start} is 0x{text[error.start]:02x}. "
            'Send text as UTF-8, and other bytes as base64 with "encoding": "base64".',
            place.where(),
        ) from error
    except json.JSONDecodeError as error:
        line = "" if isinstance(place, Line) else f"line {error.lineno}, "
        raise Problem(
            "malformed-body",
            f"{place} is not JSON: {error.msg} at {line}column {error.colno}.",
            place.where(),
        ) from error
    except ValueError as error:
        raise Problem("malformed-body", f"{place} is not JSON: {error}.", place.where()) from error


def too_deep(text: bytes, most: int = sys.maxsize) -> bool:
    """Whether `text` may be nested more than MAX_DEPTH levels. If it is not, it is safe to parse.

    May be true for text whose brackets do not match, which is not JSON anyway. Never false for text in which
    a parser would descend more than 3 x MAX_DEPTH levels: up to there the text is JSON, quotes are
    recognized as the parser does it, and a round removes two levels at most.

    Raises:
        TooMany: the text has more than `most` marks.
    """
    # The parser creates no more values and levels than there are marks. They are counted up to the first kind
    # of which there are many: to count those takes as long as to outline the text.
    few = min(MAX_DEPTH, most)
    for mark in b"{", b"[", b",":
        few -= text.count(mark)
        if few < 0:
            break
    else:
        return False
    try:
        brackets = outline(text, most).translate(None, b",")
    except TooMany as error:
        opened, closed = (sum(map(error.args[0].count, marks)) for marks in ((b"[", b"{"), (b"]", b"}")))
        if opened - closed > MAX_DEPTH:
            return True
        raise
    for _ in range(MAX_DEPTH):
        # Each round removes the innermost level (two levels if objects hold arrays).
        size = len(brackets)
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(brackets) == size:
            break
    return brackets.count(b"[") + brackets.count(b"{") > MAX_DEPTH


def outline(text: bytes, most: int = sys.maxsize) -> bytes:
    """The brackets and commas of JSON outside of its strings.

    The marks of JSON are these and the quotes around the strings.

    Raises:
        TooMany: the text has more than `most` marks.
    """
    found: list[bytes] = []
    inside = 0
    start = 0
    while start < len(text):
        piece = text[start : start + SCAN_PIECE_BYTES]
        start += len(piece)
        if b"\\" in piece:
            if (len(piece) - len(piece.rstrip(b"\\"))) % 2:  # it ends within an escape
                piece += text[start : start + 1]
                start += 1
            # Escaped backslashes are removed first. A backslash that is left before a quote escapes it.
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        quotes = piece.count(b'"')
        if quotes or not inside:
            # Two quotes side by side can be left out: whether a mark is in a string stays the same. Usually
            # none is, so then all quotes are gone.
            marks = piece.translate(None, _NOT_MARKS).replace(b'""', b"")
            outside = b"".join(marks.split(b'"')[inside::2])
            found.append(outside)
            most -= quotes + len(outside)
            inside ^= quotes & 1
        if most < 0:
            raise TooMany(b"".join(found))
    return b"".join(found)


def min_content_bytes(text: bytes) -> int:
    """The least size in bytes that a piece of JSON can have once its escapes are decoded.

    Each escape counts as one byte. The piece may start and end anywhere.
    """
    if b"\\" not in text:
        return len(text)
    # In a row of backslashes, every second one is escaped.
    escapes = text.count(b"\\") - text.count(b"\\\\")
    long = min(escapes, text.count(b"\\u") + text.endswith(b"\\"))
    return len(text) - escapes - 4 * long


def _no_constant(name: str) -> NoReturn:
    """Refuses NaN and Infinity, which Python's parser would accept."""
    raise ValueError(f"{name} is not a JSON value")


decode: Final = json.JSONDecoder(object_pairs_hook=tuple, parse_int=float, parse_constant=_no_constant).decode
"""Parses text that is not too deep, as `parse` does.

Raises:
    ValueError: the text is not JSON.
"""
