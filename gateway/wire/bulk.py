"""Decodes lines and JSON bodies in bulk, if all their pairs have the shape that the gateway writes.

There are two fast paths. What has any other shape is not decoded here.

- `_Style` splits pairs without escapes at what stands between two keys.
- `_Shape` matches lines with a regular expression. It serves lines with escapes, and those of which only some
  have spaces. It could decode the others too.

How many times longer the decoding takes without a fast path, for values of 100 bytes:

| lines | without | CPython 3.11 | CPython 3.14 in WebAssembly |
| --- | --- | --- | --- |
| text | `_Style` | 2.4 | 2.0 |
| text, one in ten base64 | `_Style` | 2.1 | 1.9 |
| base64 | `_Style` | 1.8 | 1.5 |
| keys | `_Style` | 1.8 | 1.5 |
| text, one in fifty with an escape | `_Shape` | 3.3 | 3.2 |
| JSON documents, with escapes in each | `_Shape` | 1.3 | 2.0 |
| any of these | both | 1.2 to 20 | 2 to 15 |

`python -m bench.lines` measures the column of CPython 3.11.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.settings import Limits
from gateway.wire.json_text import CONTROLS, decode, is_plain, marking
from gateway.wire.pairs import Pair, all_fit, texts_fit

Columns = tuple[Sequence[str], Sequence[bytes], Sequence[bytes]]
"""The keys, the values as they are written, and the encodings of N pairs. An encoding is `base64`, or false
if there is none."""

FIRST_BYTES = 1024
"""The size in bytes of the start of a text that is searched for escapes, before all of it is."""


@dataclass(frozen=True)
class _Style:
    r"""A way to write pairs without escapes, all alike.

    They are split at what stands between two keys. That holds a value, and its encoding if there is one::

        "key": "a", "value": "MQ==", "encoding": "base64"}\n{"key": "b", "value": "2"
                 +----------------------------------------------+

    Why the result is correct: nothing of the text is left out, and what stands between two keys is matched
    whole. The rest are the keys. They are strings if they have no quote.

    Attributes:
        first: What stands before the first key.
        between: What stands between the members of two pairs, with their braces.
        strange: The bytes that such a text never has (`marking`).
        rest: What stands between two keys. Its groups are the value and the encoding.
        any_rest: The same for keys whose value may be null or missing. It has no groups.
    """

    first: bytes
    between: bytes
    strange: bytes
    rest: re.Pattern[bytes]
    any_rest: re.Pattern[bytes]

    @classmethod
    def of(cls, space: bytes, between: bytes) -> _Style:
        """A style.

        Args:
            space: What follows each colon and each comma of a pair.
            between: What stands between the members of two pairs, with their braces.
        """
        first = b'"key":%b"' % space
        value = b',%b"value":%b' % (space, space)
        encoding = b',%b"encoding":%b' % (space, space)
        end = re.escape(between + first)
        return cls(
            first,
            between,
            marking(CONTROLS.translate(None, between) + b"\\"),
            re.compile(b'"%b"([^"]*+)"(?:|%b"(base64)")%b' % (value, encoding, end)),
            re.compile(b'"(?:|%b(?:"[^"]*+"|null)(?:|%b"base64"))%b' % (value, encoding, end)),
        )

    def columns(self, members: bytes) -> Columns | None:
        """The pairs with these members, without the first and the last brace; None if written otherwise."""
        parts = self._parts(members, self.rest)
        keys = _without_quotes(parts[::3])
        return (keys, parts[1::3], parts[2::3]) if keys else None

    def keys(self, members: bytes) -> list[str]:
        """The keys of pairs, as `columns`; empty if they are written otherwise."""
        return _without_quotes(self._parts(members, self.any_rest))

    def _parts(self, members: bytes, between_keys: re.Pattern[bytes]) -> list[Any]:
        """The keys, with the groups behind each."""
        # Where one pair has an escape, most have: often the first ones show it.
        if not members.startswith(self.first) or b"\\" in members[:FIRST_BYTES]:
            return []
        if not is_plain(members, self.strange):
            return []
        parts = between_keys.split(b"".join((members[len(self.first) :], self.between, self.first)))
        return parts if parts.pop() == b"" else []


def _without_quotes(texts: list[bytes]) -> list[str]:
    """Decodes strings without escapes; empty if there are none, or one is not a string."""
    joined = b"\n".join(texts)
    strings = joined.decode().split("\n")
    return strings if len(strings) == len(texts) and b'"' not in joined else []


_OF_LINES = (_Style.of(b" ", b"}\n{"), _Style.of(b"", b"}\n{"))


@dataclass(frozen=True)
class _Shape:
    """A regular expression for lines of one shape, with or without escapes.

    A match is a whole line: it starts where a line starts, and ends with a newline. If there are as many
    matches as newlines, then no string contains a newline, and no line is left out.

    Attributes:
        line: The expression. Its groups are the contents of the strings.
    """

    line: re.Pattern[bytes]

    @classmethod
    def of(cls, line: bytes) -> _Shape:
        """The shape of lines like `line`, in which each S stands for the content of a string.

        Each space may be missing.
        """
        # The quantifiers are possessive, so that no positions are kept for backtracking.
        string = rb'[^"\\]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\]*+)*+'
        return cls(re.compile(b"^" + line.replace(b" ", b" ?").replace(b"S", string) + b"\n", re.MULTILINE))

    def rows(self, lines: bytes, count: int) -> list[Any]:
        """The groups of `count` lines, as `findall` returns them.

        Empty if not all lines have this shape, or if they are not UTF-8.
        """
        if not self.line.match(lines) or not is_plain(lines, _NEVER):
            return []
        rows = self.line.findall(lines)
        return rows if len(rows) == count else []


_NEVER = marking(CONTROLS.translate(None, b"\n"))
"""The control characters except the newline. No string may contain them unescaped (RFC 8259 section 7).

A tab or a carriage return may be white space between the strings. Such a line is not decoded here."""

_PAIR = _Shape.of(rb'\{"key": "(S)", "value": "(S)"(?:, "encoding": "(base64)")?\}')
_KEY = _Shape.of(rb'\{"key": "(S)"(?:, "value": (?:"S"|null)(?:, "encoding": "base64")?)?\}')


BULK_PIECE_BYTES = 24 * 1024
"""The size in bytes of the pieces that are decoded in bulk. Each goes on to the end of its last line.

A line of another shape slows down its own piece only. And above 30,000 bytes CPython searches for a separator
with another algorithm, whose preparation is repeated for each separator that it finds."""

LONG_LINE_BYTES = 1024 * 1024
"""The size in bytes from which a line is a piece by itself.

Such a line is parsed if it has escapes, whatever its shape: it may be six times as long as its content, and
each step of the bulk decoder would copy it."""


def end_of_piece(text: bytes, start: int) -> int:
    """The end of the piece that starts at `start`: after a whole line. A long line is a piece by itself."""
    end = text.find(b"\n", start + BULK_PIECE_BYTES) + 1 or len(text)
    if end - start < LONG_LINE_BYTES:
        return end
    return text.rfind(b"\n", start, start + BULK_PIECE_BYTES) + 1 or end


_PAIRS = re.compile(rb'\{"pairs":(?: \[\{(.+)|\[\{(.+))\}\]\}\n?', re.DOTALL)
_KEYS = re.compile(rb'\{"keys":(?: \["(.+)|\["(.+))"\]\}\n?', re.DOTALL)
"""A body as `json.dumps` writes it, and as `JSON.stringify` does, without spaces."""

_OF_BODIES = (_Style.of(b" ", b"}, {"), _Style.of(b"", b"},{"))
_BETWEEN_KEYS = (b'", "', b'","')
"""How pairs are written, and what stands between two keys of a list: with spaces, and without."""

_STRANGE_IN_KEYS = marking(CONTROLS + b"\\")


def body_pairs(body: bytes, limits: Limits) -> list[Pair]:
    """The pairs of `{"pairs": [{"key": K, "value": V}, …]}`; empty if it is written otherwise or not valid.

    If they have escapes, what stands between two pairs is replaced by a newline, and then they are decoded as
    lines. If it also stands in a string, that string gets a newline, which no line may have there.
    """
    match = _PAIRS.fullmatch(body)
    if match is None or not match.lastindex:
        return []
    style = _OF_BODIES[match.lastindex - 1]
    pairs: list[Pair] = []
    for piece in _pieces(match[match.lastindex], style.between):
        if columns := style.columns(piece):
            found = _pairs(columns, len(piece), limits, texts_fit)
        elif b"\n" in piece or len(piece) >= LONG_LINE_BYTES:
            return []
        else:
            lines = b"{" + piece.replace(style.between, b"}\n{") + b"}\n"
            found = _shaped_pairs(lines, lines.count(b"\n"), limits)
        pairs += found
        if not found or len(pairs) > limits.keys:
            return []
    return pairs


def body_keys(body: bytes, limits: Limits) -> list[str]:
    """The keys of `{"keys": [K, …]}`; empty if it is written otherwise, has escapes or is not valid.

    Why the result is correct: all quotes belong to separators. So no key has one, and a parser would find the
    same strings.
    """
    match = _KEYS.fullmatch(body)
    if match is None or not match.lastindex:
        return []
    between = _BETWEEN_KEYS[match.lastindex - 1]
    keys: list[str] = []
    for piece in _pieces(match[match.lastindex], between):
        if not is_plain(piece, _STRANGE_IN_KEYS):
            return []
        found = piece.decode().split(between.decode())
        keys += found
        if piece.count(b'"') != 2 * (len(found) - 1) or len(keys) > limits.keys:
            return []
    return keys if texts_fit(keys, limits) else []


def _pieces(text: bytes, between: bytes) -> Iterable[bytes]:
    """The text, split at some of its separators into pieces of about BULK_PIECE_BYTES."""
    return (text,) if len(text) <= BULK_PIECE_BYTES else _pieces_of(text, between)


def _pieces_of(text: bytes, between: bytes) -> Iterator[bytes]:
    start = 0
    while True:
        end = text.find(between, start + BULK_PIECE_BYTES)
        if end < 0:
            yield text[start:]
            return
        yield text[start:end]
        start = end + len(between)


def bulk_pairs(lines: bytes, count: int, limits: Limits) -> list[Pair]:
    """The pairs of `count` lines; empty if a line has another shape or is not valid."""
    members = _members(lines)
    for style in _OF_LINES:
        if (columns := style.columns(members)) and len(columns[0]) == count:
            return _pairs(columns, len(lines), limits, texts_fit)
    return _shaped_pairs(lines, count, limits)


def bulk_keys(lines: bytes, count: int, limits: Limits) -> list[str]:
    """The keys of `count` lines; empty if a line has another shape or is not valid."""
    members = _members(lines)
    for style in _OF_LINES:
        keys = style.keys(members)
        if len(keys) == count:
            return keys if texts_fit(keys, limits) else []
    keys = _strings(_KEY.rows(lines, count))
    return keys if all_fit(keys, limits) else []


def _members(lines: bytes) -> bytes:
    """The lines without the first and the last brace; empty if those are missing."""
    return lines[1:-2] if lines.startswith(b"{") and lines.endswith(b"}\n") else b""


def _shaped_pairs(lines: bytes, count: int, limits: Limits) -> list[Pair]:
    """The pairs of lines with any escapes and spaces; empty if a line has another shape or is not valid."""
    if not (rows := _PAIR.rows(lines, count)):
        return []
    names, values, encodings = zip(*rows, strict=True)
    try:
        keys = _strings(names)
        if b"\\" in lines:
            values = tuple(map(str.encode, _strings(values)))
    except ValueError:  # a lone surrogate
        return []
    return _pairs((keys, values, encodings), len(lines), limits, all_fit)


def _pairs(
    columns: Columns, size: int, limits: Limits, fit: Callable[[Sequence[str], Limits], bool]
) -> list[Pair]:
    """Decodes the values of pairs. Empty if a pair is not valid.

    Args:
        columns: The pairs.
        size: The size in bytes of the text they are from, which no value exceeds.
        limits: The limits of keys and values.
        fit: `texts_fit`, or `all_fit` if a key may have a lone surrogate.
    """
    keys, values, encodings = columns
    if any(encodings):
        try:
            if all(encodings):
                values = list(map(_unpacked, values))
            else:
                values = [
                    _unpacked(value) if encoding else value
                    for value, encoding in zip(values, encodings, strict=True)
                ]
        except ValueError:  # not base64
            return []
    if not fit(keys, limits) or (size > limits.value_bytes < max(map(len, values))):
        return []
    return list(zip(keys, values, strict=True))


def _strings(quoted: Sequence[bytes]) -> list[str]:
    """Decodes JSON strings that are given without their quotes."""
    text = b"\n".join(quoted).decode()
    if "\\" not in text:
        return text.split("\n") if quoted else []
    strings: list[str] = decode('["' + text.replace("\n", '","') + '"]')
    return strings


_unpacked = partial(binascii.a2b_base64, strict_mode=True)
