"""Pairs as an answer says them: JSON objects, in pieces.

A value that is UTF-8 is text, any other base64. What an answer says is a body that sets the same pairs again.
"""

from __future__ import annotations

import binascii
import codecs
import json
from collections.abc import Collection, Iterable, Iterator

# A string as JSON, without escapes of what is not ASCII: the C half of json.dumps.
_quoted = json.encoder.encode_basestring

_ESCAPED = bytes([*range(0x20), *b'"\\'])
"""The bytes that cannot stand for themselves in a JSON string."""

ENCODING_STEP = 3 * 64 * 1024
"""Bytes of a large value that are encoded at a time. A multiple of three: so their base64 fits together."""

ENCODING_RUN = 2 * 1024 * 1024
"""Bytes of values that are encoded in one go, with several copies of all."""

NEWLINE = b"\n"
"""What stands between the pairs of NDJSON."""

_LINE_ENDS = {"\u2028": "\\u2028", "\u2029": "\\u2029", "\x85": "\\u0085"}
"""Characters that JSON allows in a string, and that common readers of lines take for the end of one: Python's
`str.splitlines`, httpx' `iter_lines`, Node's `readline`. In NDJSON they are escaped."""


def encode_pairs(
    keys: Collection[str], values: Collection[bytes | None], always_base64: bool, between: bytes = b", "
) -> Iterator[bytes]:
    """Pairs as JSON objects: `{"key": "a", "value": "1"}, …`, in UTF-8.

    A value that is UTF-8 is text, unless `always_base64`; any other is base64; a missing one is null.
    They come in pieces: small pairs some at a time, a large one in many pieces, since a byte may be six in
    JSON. Whoever takes them may stop where there are too many.
    """
    if sum(map(len, filter(None, values))) <= ENCODING_RUN:
        yield _encode_some(keys, values, always_base64, between)
    else:
        yield from _encode_runs(list(keys), list(values), always_base64, between)


def _encode_some(
    keys: Iterable[str], values: Iterable[bytes | None], always_base64: bool, between: bytes
) -> bytes:
    plain = b"" if always_base64 else _encode_plain(keys, values, between)
    if plain:
        return plain
    objects = (_encode_pair(key, value, always_base64) for key, value in zip(keys, values, strict=True))
    if between == NEWLINE:
        return _without_line_ends("\n".join(objects)).encode()
    return between.join(map(str.encode, objects))


def _without_line_ends(text: str) -> str:
    for character, escape in _LINE_ENDS.items():
        text = text.replace(character, escape)
    return text


def _escaped(piece: bytes) -> bytes:
    """A piece of a large pair, as NDJSON has it."""
    return piece if piece.isascii() else _without_line_ends(piece.decode()).encode()


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


def _encode_plain(keys: Iterable[str], values: Iterable[bytes | None], between: bytes) -> bytes:
    """The pairs, if every value is there and is text, and nothing needs an escape; else nothing.

    Built in bulk, then validated.
    """
    try:
        both = zip(map(str.encode, keys), values, strict=True)
        members = list(map(b'", "value": "'.join, both))  # type: ignore[arg-type]
        text = b'{"key": "' + (b'"}' + between + b'{"key": "').join(members) + b'"}'
        # Between two of them is always something: half a character finds no other half.
        decoded = text.decode()
    except (TypeError, UnicodeDecodeError):  # a missing value, or one that is not UTF-8
        return b""
    if between == NEWLINE and any(character in decoded for character in _LINE_ENDS):
        return b""
    ours = 8 * len(members) + (len(members) - 1) * between.count(b"\n")
    return text if len(text) - len(text.translate(None, _ESCAPED)) == ours else b""


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
    """As `_encode_pair`, in pieces: what a large value becomes is held once, and not in each of the steps."""
    yield f'{{"key": {_quoted(key)}, "value": "'.encode()
    if always_base64 or not _is_text(value):
        for start in range(0, len(value), ENCODING_STEP):
            yield binascii.b2a_base64(value[start : start + ENCODING_STEP], newline=False)
        yield b'", "encoding": "base64"}'
        return
    start = 0
    while start < len(value):
        end = start + ENCODING_STEP
        while end < len(value) and value[end] & 0xC0 == 0x80:  # in the middle of a character
            end -= 1
        yield _quoted(value[start:end].decode())[1:-1].encode()
        start = end
    yield b'"}'


def _is_text(value: bytes) -> bool:
    """Whether it is UTF-8. Its characters may take four times as much: they are not held all at once."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for start in range(0, len(value), ENCODING_STEP):
            decoder.decode(value[start : start + ENCODING_STEP], start + ENCODING_STEP >= len(value))
    except UnicodeDecodeError:
        return False
    return True
