"""Decodes lines and JSON bodies in bulk, if all their pairs have the shape that the gateway writes.

There are two fast paths. Lines of any other shape are not decoded here.

- `_Shape` matches lines with a regular expression. It serves key lines, lines with escapes, and lines of
  which only some are base64.
- `_Frame` splits lines with `bytes.split`. It serves pairs without escapes of which all are text, or all are
  base64. `_Shape` could decode them too.

How many times longer the decoding takes without a fast path, for values of 100 bytes:

| lines | without | CPython 3.11 | CPython 3.12 in WebAssembly |
| --- | --- | --- | --- |
| keys | `_Shape` | 14 | 20 |
| text, one in ten base64 | `_Shape` | 4.8 | 5.6 |
| text, one in fifty with an escape | `_Shape` | 3.4 | 4.6 |
| JSON documents, with escapes in each | `_Shape` | 1.2 | 1.4 |
| text | `_Frame` | 1.2 | 1.3 |
| base64 | `_Frame` | 1.2 | 1.3 |
| text, one in ten base64 | `_Frame` | 0.7 | 0.75 |

The last row is the price of `_Frame`: it splits such lines in vain. `python -m bench.lines` measures the
column of CPython 3.11.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.settings import Limits
from gateway.wire.json_text import decode
from gateway.wire.pairs import Pair, all_fit, texts_fit

_NEVER = bytes(set(range(0x20)) - set(b"\n"))
"""The control characters except the newline. No string may contain them unescaped (RFC 8259 section 7).

A tab or a carriage return may be white space between the strings. Such a line is not decoded here."""

_BLANKED = bytes(0x20 if byte in _NEVER + b'"\\' else byte for byte in range(256))
"""A table for `bytes.translate`. It changes a text that has a control character, a quote or a backslash."""


@dataclass(frozen=True)
class _Frame:
    """The bytes around the strings of a line, for blocks whose lines are all alike and have no escapes.

    Such a block is split with `bytes.split`, which is faster than a regular expression (`_Shape`).

    Attributes:
        head, middle, tail: The bytes before the key, between the key and the value, and after the value.
        packed: Whether the value is base64.
    """

    head: bytes
    middle: bytes
    tail: bytes
    packed: bool = False

    @classmethod
    def of(cls, line: bytes, packed: bool = False) -> _Frame:
        """The frame of lines like `line`, in which each S stands for the content of a string."""
        head, middle, tail = line.split(b"S")
        return cls(head, middle, tail, packed)

    def fits(self, line: bytes) -> bool:
        """Whether a line may have this frame. This is cheap, and often saves splitting a block in vain."""
        return line.startswith(self.head) and line.endswith(self.tail) and self.middle in line

    def columns(self, lines: bytes, count: int) -> tuple[list[str], list[bytes]] | None:
        """The keys and the values of whole lines; None if not all of them have this frame without escapes.

        Args:
            lines: The lines.
            count: The number of newlines in them.

        Why the result is correct: wherever a tail meets a head, both are replaced by a middle and a newline.
        This changes the length, and the new length shows that it was done at count - 1 places. So each
        newline except the last is at one of these places. The tokens between the middles have no quotes, so
        each quote belongs to a middle at which the text was split. So a newline can only be the first byte of
        a token. The last check shows that all tokens with a newline are keys. So keys and values alternate,
        and each line has one of each.
        """
        head, middle, tail = self.head, self.middle, self.tail
        if not (lines.startswith(head) and lines.endswith(tail)):
            return None
        inner = lines[len(head) : -len(tail)]
        joined = inner.replace(tail + head, middle + b"\n")
        if len(inner) - len(joined) != (count - 1) * (len(tail + head) - len(middle) - 1):
            return None
        tokens = joined.split(middle)
        if len(tokens) != 2 * count or not _literal(b" ".join(tokens)):
            return None
        keys = b"".join(tokens[::2]).decode().split("\n")
        return (keys, tokens[1::2]) if len(keys) == count else None


def _literal(texts: bytes) -> bool:
    """Whether texts are UTF-8 and contain nothing that JSON must escape, except newlines."""
    if texts.translate(_BLANKED) != texts:
        return False
    try:
        return texts.isascii() or bool(texts.decode())
    except UnicodeDecodeError:
        return False


_FRAMES = (
    # Base64 comes first: its lines begin and end as lines of text do, but not the other way round.
    _Frame.of(b'{"key": "S", "value": "S", "encoding": "base64"}\n', packed=True),
    _Frame.of(b'{"key":"S","value":"S","encoding":"base64"}\n', packed=True),
    _Frame.of(b'{"key": "S", "value": "S"}\n'),
    _Frame.of(b'{"key":"S","value":"S"}\n'),
)


def _framed(lines: bytes, count: int) -> tuple[list[str], list[bytes], bool] | None:
    """The keys and the values of lines that all have one frame, and whether the values are base64.

    None if the lines do not have one frame.
    """
    if b"\\" in lines:  # lines with escapes have no frame
        return None
    line = lines[: lines.find(b"\n") + 1]
    for frame in _FRAMES:
        if frame.fits(line) and (columns := frame.columns(lines, count)):
            return *columns, frame.packed
    return None


@dataclass(frozen=True)
class _Shape:
    """Regular expressions for lines of one shape.

    A match is a whole line: it starts where a line starts, and ends with a newline. If there are as many
    matches as newlines, then no string contains a newline, and no line is left out.

    Attributes:
        plain: For lines without backslashes.
        escaped: For lines with backslashes.
    """

    plain: re.Pattern[bytes]
    escaped: re.Pattern[bytes]

    @classmethod
    def of(cls, line: bytes) -> _Shape:
        """The shape of lines like `line`, in which each S stands for the content of a string.

        Each space may be missing.
        """
        pattern = b"^" + line.replace(b" ", b" ?") + b"\n"
        # The quantifiers are possessive, so that no positions are kept for backtracking.
        escaped = rb'[^"\\]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\]*+)*+'
        return cls(
            re.compile(pattern.replace(b"S", b'[^"]*+'), re.MULTILINE),
            re.compile(pattern.replace(b"S", escaped), re.MULTILINE),
        )

    def rows(self, lines: bytes, count: int) -> list[Any]:
        """The groups of `count` lines, as `findall` returns them.

        Empty if not all lines have this shape, or if they are not UTF-8.
        """
        pattern = self.escaped if b"\\" in lines else self.plain
        if not pattern.match(lines) or len(lines.translate(None, _NEVER)) < len(lines):
            return []
        try:
            lines.decode()
        except UnicodeDecodeError:
            return []
        rows = pattern.findall(lines)
        return rows if len(rows) == count else []


_PAIR = _Shape.of(rb'\{"key": "(S)", "value": "(S)"(?:, "encoding": "(base64)")?\}')
_KEY = _Shape.of(rb'\{"key": "(S)"(?:, "value": (?:"S"|null)(?:, "encoding": "base64")?)?\}')


BULK_PIECE_BYTES = 24 * 1024
"""The size in bytes of the pieces that are decoded in bulk. Each goes on to the end of its last line.

Above 30,000 bytes CPython searches for a separator with another algorithm, whose preparation is repeated for
each separator that it finds. And a line of another shape slows down its own piece only."""

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

_BETWEEN_PAIRS = (b"", b"}, {", b"},{")
_BETWEEN_KEYS = (b"", b'", "', b'","')
"""What stands between two pairs or keys, by the number of the group above."""


def body_pairs(body: bytes, limits: Limits) -> list[Pair]:
    """The pairs of `{"pairs": [{"key": K, "value": V}, …]}`; empty if it is written otherwise or not valid.

    What stands between two pairs is replaced by a newline, and then they are decoded as lines. If it also
    stands in a string, that string gets a newline, which no line may have there.
    """
    match = _PAIRS.fullmatch(body)
    if match is None or not match.lastindex:
        return []
    inner, between = match[match.lastindex], _BETWEEN_PAIRS[match.lastindex]
    if b"\n" in inner:
        return []
    pairs: list[Pair] = []
    for piece in _pieces(inner, between):
        lines = b"{" + piece.replace(between, b"}\n{") + b"}\n"
        if len(lines) >= LONG_LINE_BYTES and b"\\" in lines:
            return []
        found = bulk_pairs(lines, lines.count(b"\n"), limits)
        pairs += found
        if not found or len(pairs) > limits.keys:
            return []
    return pairs


def body_keys(body: bytes, limits: Limits) -> list[str]:
    """The keys of `{"keys": [K, …]}`; empty if it is written otherwise, has escapes or is not valid.

    Why the result is correct: no quote is left where the separators were replaced, so all quotes belong to
    separators. So no key has one, and a parser would find the same strings.
    """
    match = _KEYS.fullmatch(body)
    if match is None or not match.lastindex:
        return []
    inner, between = match[match.lastindex], _BETWEEN_KEYS[match.lastindex]
    keys: list[str] = []
    for piece in _pieces(inner, between):
        found = piece.replace(between, b"\n")
        if b"\n" in piece or not _literal(found):
            return []
        keys += found.decode().split("\n")
        if len(keys) > limits.keys:
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
    values: Sequence[bytes]
    try:
        if framed := _framed(lines, count):
            keys, values, packed = framed
            fit = texts_fit(keys, limits)
            if packed:
                values = list(map(_unpacked, values))
        elif rows := _PAIR.rows(lines, count):
            names, values, encodings = zip(*rows, strict=True)
            keys = _strings(names)
            fit = all_fit(keys, limits)
            if b"\\" in lines:
                values = list(map(str.encode, _strings(values)))
            if any(encodings):
                values = list(map(_unpacked_if, encodings, values))
        else:
            return []
    except ValueError:  # not base64, or a lone surrogate
        return []
    fit = fit and (len(lines) <= limits.value_bytes or max(map(len, values)) <= limits.value_bytes)
    return list(zip(keys, values, strict=True)) if fit else []


def bulk_keys(lines: bytes, count: int, limits: Limits) -> list[str]:
    """The keys of `count` lines; empty if a line has another shape or is not valid."""
    if framed := _framed(lines, count):
        return framed[0] if texts_fit(framed[0], limits) else []
    keys = _strings(_KEY.rows(lines, count))
    return keys if all_fit(keys, limits) else []


def _strings(quoted: Sequence[bytes]) -> list[str]:
    """Decodes JSON strings that are given without their quotes."""
    text = b"\n".join(quoted).decode()
    if "\\" not in text:
        return text.split("\n") if quoted else []
    strings: list[str] = decode('["' + text.replace("\n", '","') + '"]')
    return strings


_unpacked = partial(binascii.a2b_base64, strict_mode=True)


def _unpacked_if(encoding: bytes, value: bytes) -> bytes:
    return _unpacked(value) if encoding else value
