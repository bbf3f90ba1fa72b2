"""Strict JSON, safe to parse in a WebAssembly guest.

CPython's parser recurses, and in WebAssembly its recursion check does not fire: nesting of a thousand
levels exhausts the stack and traps the instance, with every request in it. So the depth is measured first,
by C builtins alone: a loop over the characters would cost more than the parse.
"""

from __future__ import annotations

import json
from typing import Final, NoReturn

from kv_batch.errors import Problem
from kv_batch.place import BODY, Line, Place

DEEPEST: Final = 64
"""Levels of nesting that are always parsed; three times as many never are. The API needs 3, and CPython
in WebAssembly was seen to bear 500."""

Object = tuple[tuple[str, object], ...]
"""A JSON object: its members in order, duplicates and all. (An array is a `list`, so the two stay apart.)"""

_NOT_BRACKETS = bytes(set(range(256)) - set(b'"[]{}'))
_NOT_COMMAS = bytes(set(range(256)) - set(b'",'))


def parse(text: bytes, place: Place = BODY) -> object:
    """The JSON value that `text` holds: str, float, bool, None, list, or `Object`.

    Numbers are floats, also whole ones: no number means anything to this API, and a long one made an int
    would be costly (Python refuses over 4,300 digits).

    Raises:
        Problem: `malformed-body`: not UTF-8, not JSON (RFC 8259), nested too deep.
    """
    if too_deep(text):
        raise Problem(
            "malformed-body",
            f"{place} is nested more than {DEEPEST} levels deep, or its brackets do not match. "
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


def too_deep(text: bytes) -> bool:
    """Whether `text` may be nested more than DEEPEST levels. Where it is not, it is safe to parse.

    May say yes of text whose brackets do not match, which is no JSON in any case. Never says no of text in
    which a parser gets down more than 3 x DEEPEST levels: up to there the text is JSON, the quotes are
    told apart as the parser does it, and a round takes off two levels at most.
    """
    if text.count(b"[") + text.count(b"{") <= DEEPEST:
        return False
    text = _outside_strings(text, _NOT_BRACKETS)
    for _ in range(DEEPEST):
        # Each round takes the innermost level off (two where objects hold arrays).
        size = len(text)
        text = text.replace(b"[]", b"").replace(b"{}", b"")
        if len(text) == size:
            break
    return text.count(b"[") + text.count(b"{") > DEEPEST


def more_commas(text: bytes, most: int) -> bool:
    """Whether `text` has more than so many commas outside of its strings: that many values, and as many
    more, are all that a parser makes of it."""
    return text.count(b",") > most and len(_outside_strings(text, _NOT_COMMAS)) > most


def _outside_strings(text: bytes, left_out: bytes) -> bytes:
    """What JSON has outside of its strings, but for the bytes to be left out: all but quotes and a few."""
    # Without escapes, then without strings. Escaped backslashes go first: what is then left before a quote
    # does escape it.
    if b"\\" in text:
        text = text.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(text.translate(None, left_out).split(b'"')[::2])


class NoConstant(ValueError):
    """NaN or Infinity, which Python's parser would take."""


def _no_constant(name: str) -> NoReturn:
    raise NoConstant(name)


decode: Final = json.JSONDecoder(object_pairs_hook=tuple, parse_int=float, parse_constant=_no_constant).decode
"""The value of text that is not too deep, as `parse` has it.

Raises:
    ValueError: it is no JSON.
"""
