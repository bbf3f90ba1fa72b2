"""Encodes the pairs of an answer as JSON objects, in pieces.

A value that is UTF-8 is text, any other is base64. The pairs of an answer are valid in a body, which sets the
same pairs again.
"""

from __future__ import annotations

import binascii
import codecs
import json
from collections.abc import Collection, Iterable, Iterator
from itertools import repeat, starmap
from typing import Any

from gateway.wire.json_text import CONTROLS, is_plain, marking

# Encodes a string as JSON, without escaping non-ASCII characters: the C function behind json.dumps.
_quoted = json.encoder.encode_basestring

_NOT_IN_KEYS = marking(CONTROLS.translate(None, b"\n") + b'"\\')
"""Marks what needs an escape in a key, but not the newline, with which keys are joined."""

ENCODING_STEP = 3 * 64 * 1024
"""The number of bytes of a large value that are encoded at a time.

A multiple of three, so that the base64 of one step can be followed by that of the next."""

ENCODING_RUN = 2 * 1024 * 1024
"""The number of bytes of values that are encoded at once. Encoding makes several copies of all of them."""

NEWLINE = b"\n"
"""The separator of pairs in NDJSON."""

_LINE_ENDS = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085"}
"""Characters that JSON allows in a string, but that common line readers treat as line ends: Python's
`str.splitlines`, httpx's `iter_lines`, Node's `readline`. In NDJSON they are escaped."""


def encode_pairs(
    keys: Collection[str], values: Collection[bytes | None], always_base64: bool, between: bytes = b", "
) -> Iterable[bytes]:
    """Encodes pairs as JSON objects: `{"key": "a", "value": "1"}, …`, in UTF-8.

    A value that is UTF-8 is text, unless `always_base64`; any other is base64; a missing one is null.
    Returns pieces: many small pairs in one piece, a large pair in many pieces, since JSON may need six bytes
    for one. The caller may stop when the pieces are larger than its limit.

    Args:
        keys: N strings.
        values: Their N values; None for a missing one.
        always_base64: Whether values that are UTF-8 are base64 as well.
        between: The separator of the objects.
    """
    size = sum(map(len, filter(None, values)))
    if size > ENCODING_RUN:
        return _encode_runs(list(keys), list(values), always_base64, between)
    return (_encode_some(keys, values, always_base64, between),)


def _encode_some(
    keys: Iterable[str], values: Collection[bytes | None], always_base64: bool, between: bytes
) -> bytes:
    if not always_base64 and (plain := _encode_plain(keys, values, between)):
        return plain
    flags = repeat(always_base64, len(values))
    objects = starmap(_encode_pair, zip(keys, values, flags, strict=True))
    if between == NEWLINE:
        return _without_line_ends("\n".join(objects)).encode()
    return between.join(map(str.encode, objects))


def _without_line_ends(text: str) -> str:
    for character, escape in _LINE_ENDS.items():
        text = text.replace(character, escape)
    return text


def _escaped(piece: bytes) -> bytes:
    """A piece of lines, with the characters escaped that are escaped in NDJSON."""
    if piece.isascii():
        return piece
    text = piece.decode()
    escaped = _without_line_ends(text)
    return piece if escaped == text else escaped.encode()


def _encode_runs(
    keys: list[str], values: list[bytes | None], always_base64: bool, between: bytes
) -> Iterator[bytes]:
    start = 0
    while start < len(keys):
        if start:
            yield between
        end, size = start, 0
        while end < len(keys) and (size := size + len(values[end] or b"")) <= ENCODING_RUN:
            end += 1
        if end > start:
            yield _encode_some(keys[start:end], values[start:end], always_base64, between)
        else:
            large = _encode_large(keys[start], values[start] or b"", always_base64)
            yield from map(_escaped, large) if between == NEWLINE else large
            end += 1
        start = end


def _encode_plain(keys: Iterable[str], values: Collection[bytes | None], between: bytes) -> bytes:
    """The pairs, if all values that are there are text, and nothing needs an escape; otherwise empty."""
    missing = None in values
    texts: Iterable[Any] = filter(None, values) if missing else values
    # Joined with spaces, so that two halves of a character cannot meet.
    if not is_plain(b" ".join(texts)):
        return b""
    joined = "\n".join(keys).encode()
    names = joined.split(b"\n")
    if len(names) != len(values) or not is_plain(joined, _NOT_IN_KEYS):
        return b""
    start = b'{"key": "'
    if missing:
        present = [b"null" if value is None else b'"%b"' % value for value in values]
        members = map(b'", "value": '.join, zip(names, present, strict=True))
        text = start + (b"}" + between + start).join(members) + b"}"
    else:
        # One join of all parts is faster than one of each pair.
        parts: list[Any] = [b'"}' + between + start] * (4 * len(values))
        parts[0] = start
        parts[1::4] = names
        parts[2::4] = [b'", "value": "'] * len(values)
        parts[3::4] = values
        parts.append(b'"}')
        text = b"".join(parts)
    return _escaped(text) if between == NEWLINE else text


def _encode_pair(key: str, value: bytes | None, always_base64: bool) -> str:
    if value is None:
        return f'{{"key": {_quoted(key)}, "value": null}}'
    if not always_base64:
        try:
            return f'{{"key": {_quoted(key)}, "value": {_quoted(value.decode())}}}'
        except UnicodeDecodeError:
            pass
    data = binascii.b2a_base64(value, newline=False).decode()
    return f'{{"key": {_quoted(key)}, "value": "{data}", "encoding": "base64"}}'


def _encode_large(key: str, value: bytes, always_base64: bool) -> Iterator[bytes]:
    """As `_encode_pair`, in pieces, so that memory does not hold a copy of the value for each step."""
    yield f'{{"key": {_quoted(key)}, "value": "'.encode()
    if always_base64 or not _is_text(value):
        for start in range(0, len(value), ENCODING_STEP):
            yield binascii.b2a_base64(value[start : start + ENCODING_STEP], newline=False)
        yield b'", "encoding": "base64"}'
        return
    start = 0
    while start < len(value):
        end = start + ENCODING_STEP
        while end < len(value) and value[end] & 0xC0 == 0x80:  # within a character
            end -= 1
        yield _quoted(value[start:end].decode())[1:-1].encode()
        start = end
    yield b'"}'


def _is_text(value: bytes) -> bool:
    """Whether a value is UTF-8. It is decoded in steps, since its text may take four times its size."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(value), ENCODING_STEP):
            decoder.decode(value[start : start + ENCODING_STEP], start + ENCODING_STEP >= len(value))
    except UnicodeDecodeError:
        return False
    return True
