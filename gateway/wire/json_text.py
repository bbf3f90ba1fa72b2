"""Strict JSON, safe to parse in a WebAssembly guest.

CPython's parser recurses, and in WebAssembly its recursion check does not fire: nesting of a thousand
levels exhausts the stack and traps the instance, with every request in it. And two bytes of text may become
a list of fifty. So depth and number of values are measured before the text is parsed, by C builtins alone: a
loop over the characters would cost more than the parse. The measure itself takes the text in pieces, and
stops where there is more than was asked for: its memory is that of a piece, whatever the text.
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
"""A JSON object: its members in order, duplicates and all. (An array is a `list`, so the two stay apart.)"""

SCAN_PIECE_BYTES: Final = 24 * 1024
"""The size in bytes of the pieces of text that are scanned for marks (`outline`).

All bytes of a piece may be quotes, and each quote becomes an entry of a list. And above 30,000 bytes CPython
searches with a slower algorithm (see `gateway.wire.ndjson.BULK_PIECE_BYTES`)."""

_NOT_MARKS = bytes(set(range(256)) - set(b'"[]{},'))


class TooMany(ValueError):
    """The text has more marks than were asked for (`outline`).

    Attributes:
        outline: That of the start of the text, up to where there are too many.
    """

    def __init__(self, outline: bytes) -> None:
        super().__init__()
        self.outline = outline


def parse(text: bytes, place: Place = BODY, most: int = sys.maxsize) -> object:
    """The JSON value that `text` holds: str, float, bool, None, list, or `Object`.

    Numbers are floats, also whole ones: no number means anything to this API, and a long one made an int
    would be costly (Python refuses over 4,300 digits).

    Args:
        most: How many marks the text may have (`outline`): no value takes less than one, so the parser makes
            no more values than that, and as many names.

    Raises:
        Problem: `malformed-body`: not UTF-8, not JSON (RFC 8259), nested too deep.
        TooMany: there are more marks. They are not counted on: there may be millions.
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
            'Send text as UTF-8, other bytes as base64 with "encoding": "base64".',
            place.where(),
        ) from error
    except json.JSONDecodeError as error:
        line = "" if isinstance(place, Line) else f"line {error.lineno}, "
        raise Problem(
            "malformed-body",
            f"{place} is not JSON: {error.msg} at {line}column {error.colno}.",
            place.where(),
        ) from error
    except NoConstant as error:
        raise Problem(
            "malformed-body", f"{place} is not JSON: {error} is not a JSON value.", place.where()
        ) from error


def too_deep(text: bytes, most: int = sys.maxsize) -> bool:
    """Whether `text` may be nested more than MAX_DEPTH levels. Where it is not, it is safe to parse.

    May say yes of text whose brackets do not match, which is no JSON in any case. Never says no of text in
    which a parser gets down more than 3 x MAX_DEPTH levels: up to there the text is JSON, the quotes are
    told apart as the parser does it, and a round takes off two levels at most.

    Raises:
        TooMany: it has more than `most` marks.
    """
    if text.count(b",") + text.count(b"[") + text.count(b"{") <= min(MAX_DEPTH, most):
        return False  # that is all that a parser can make of it, whatever else the text has
    try:
        brackets = outline(text, most).translate(None, b",")
    except TooMany as error:
        if _open(error.outline) > MAX_DEPTH:
            return True
        raise
    for _ in range(MAX_DEPTH):
        # Each round takes the innermost level off (two where objects hold arrays).
        size = len(brackets)
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
        if len(brackets) == size:
            break
    return brackets.count(b"[") + brackets.count(b"{") > MAX_DEPTH


def _open(outline: bytes) -> int:
    """How many brackets are open at the end."""
    return outline.count(b"[") + outline.count(b"{") - outline.count(b"]") - outline.count(b"}")


def outline(text: bytes, most: int = sys.maxsize) -> bytes:
    """The brackets and commas that JSON has outside of its strings.

    These, and the quotes around the strings, are its marks.

    Raises:
        TooMany: there are more than `most` marks.
    """
    found: list[bytes] = []
    inside = 0
    start = 0
    while start < len(text):
        piece = text[start : start + SCAN_PIECE_BYTES]
        start += len(piece)
        if b"\\" in piece:
            if (len(piece) - len(piece.rstrip(b"\\"))) % 2:  # it ends in the middle of an escape
                piece += text[start : start + 1]
                start += 1
            # Escaped backslashes go first: what is then left before a quote does escape it.
            piece = piece.replace(b"\\\\", b"").replace(b'\\"', b"")
        quotes = piece.count(b'"')
        if quotes or not inside:
            outside = b"".join(piece.translate(None, _NOT_MARKS).split(b'"')[inside::2])
            found.append(outside)
            most -= quotes + len(outside)
            inside ^= quotes & 1
        if most < 0:
            raise TooMany(b"".join(found))
    return b"".join(found)


def min_content_bytes(text: bytes) -> int:
    """How many bytes of UTF-8 a piece of JSON says, at least, once its escapes are read: each character is
    taken for one byte. The piece may start and end anywhere."""
    if b"\\" not in text:
        return len(text)
    # Of a row of backslashes each second one is escaped.
    escapes = text.count(b"\\") - text.count(b"\\\\")
    long = min(escapes, text.count(b"\\u") + text.endswith(b"\\"))
    return len(text) - escapes - 4 * long


class NoConstant(ValueError):
    """NaN or Infinity, which Python's parser would take."""


def _no_constant(name: str) -> NoReturn:
    raise NoConstant(name)


decode: Final = json.JSONDecoder(object_pairs_hook=tuple, parse_int=float, parse_constant=_no_constant).decode
"""The value of text that is not too deep, as `parse` has it.

Raises:
    ValueError: it is no JSON.
"""
