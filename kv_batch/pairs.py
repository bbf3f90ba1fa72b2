"""Keys and pairs on the wire: what a JSON body holds, and what an answer says.

A pair is `{"key": K, "value": V}`, with `"encoding": "base64"` where V is base64 (RFC 4648 section 4).
Everything is checked here, before a store is touched: no lone surrogate and no value of a wrong type may
reach the WIT boundary, where it would trap the instance.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Iterable, Sequence

from kv_batch.errors import Problem
from kv_batch.json_text import parse
from kv_batch.settings import Limits

# A string as JSON, without escapes of what is not ASCII: the C half of json.dumps.
_quoted = json.encoder.encode_basestring

Pair = tuple[str, bytes]
Where = dict[str, object]
"""Where something stands in a body: `{"pointer": "/pairs/3"}`, or `{"line": 4}` in NDJSON."""


def decode_keys(body: bytes, limits: Limits) -> list[str]:
    """The keys of `{"keys": [K, …]}`.

    Raises:
        Problem: `malformed-body`, `invalid-key`, `too-large`.
    """
    keys = _only_list(parse(body), "keys", limits)
    if not _all_fit(keys, limits):
        for index, key in enumerate(keys):
            check_key(key, limits, {"pointer": f"/keys/{index}"})
    return keys  # type: ignore[return-value]


def decode_pairs(body: bytes, limits: Limits) -> list[Pair]:
    """The pairs of `{"pairs": [{"key": K, "value": V}, …]}`, in their order, repeats and all.

    Raises:
        Problem: `malformed-body`, `invalid-key`, `invalid-value`, `too-large`.
    """
    members = _only_list(parse(body), "pairs", limits)
    return _plain_pairs(members, limits) or [
        decode_pair(member, limits, f"/pairs/{index}") for index, member in enumerate(members)
    ]


def decode_pair(member: object, limits: Limits, pointer: str) -> Pair:
    """One pair of a body: a key, and the value as it is to be stored.

    Raises:
        Problem: `malformed-body`, `invalid-key`, `invalid-value`, `too-large`.
    """
    names = _members(member, ("key", "value", "encoding"), pointer)
    for name in ("key", "value"):
        if name not in names:
            raise Problem("malformed-body", f'{pointer} has no member "{name}".', pointer=pointer)
    key = check_key(names["key"], limits, {"pointer": f"{pointer}/key"})
    return key, _value(names, limits, pointer)


def check_key(key: object, limits: Limits, where: Where) -> str:
    """The key, if it is one.

    Raises:
        Problem: `invalid-key`.
    """
    if not isinstance(key, str):
        raise Problem("invalid-key", f"A key must be a string, and this is {_kind(key)}.", where)
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise Problem(
            "invalid-key",
            f"A key must be Unicode text, and character {error.start} of this one is the lone surrogate "
            f"U+{ord(key[error.start]):04X}: half of a \\u pair.",
            where,
        ) from error
    if size > limits.key_bytes:
        raise Problem(
            "invalid-key",
            f"A key may have {limits.key_bytes} bytes in UTF-8, and this one has {size} (max_key_bytes).",
            where,
            limit=limits.key_bytes,
            actual=size,
        )
    return key


def check_value_size(size: int, limits: Limits, where: Where) -> None:
    """Raises:
    Problem: `too-large`, if a value of `size` bytes is.
    """
    if size > limits.value_bytes:
        raise Problem(
            "too-large",
            f"A value may have {limits.value_bytes} bytes, and this one has {size} (max_value_bytes).",
            where,
            limit=limits.value_bytes,
            actual=size,
        )


def check_count(count: int, limits: Limits) -> None:
    """Raises:
    Problem: `too-large`, if one request may not hold `count` keys.
    """
    if count > limits.keys:
        raise Problem(
            "too-large",
            f"One request may hold {limits.keys} keys, and this one holds {count} (max_keys). "
            "Send it in several.",
            limit=limits.keys,
            actual=count,
        )


def encode_pairs(pairs: Iterable[tuple[str, bytes | None]], always_base64: bool) -> bytes:
    """Pairs as JSON objects, with ", " between them: `{"key": "a", "value": "1"}, …`, in UTF-8.

    A value that is UTF-8 is text, unless `always_base64`; any other is base64; a missing one is null.
    """
    return ", ".join([_pair_text(key, value, always_base64) for key, value in pairs]).encode()


def _pair_text(key: str, value: bytes | None, always_base64: bool) -> str:
    if value is None:
        return f'{{"key": {_quoted(key)}, "value": null}}'
    if not always_base64:
        try:
            return f'{{"key": {_quoted(key)}, "value": {_quoted(value.decode())}}}'
        except UnicodeDecodeError:
            pass
    data = binascii.b2a_base64(value, newline=False).decode()
    return f'{{"key": {_quoted(key)}, "value": "{data}", "encoding": "base64"}}'


def _only_list(document: object, name: str, limits: Limits) -> list[object]:
    """The list that is the one member of the document, not longer than a request may be."""
    members = _members(document, (name,), "")
    value = members.get(name)
    if not isinstance(value, list):
        what = f"is {_kind(value)}" if name in members else "is missing"
        raise Problem(
            "malformed-body",
            f'The body must be {{"{name}": […]}}, and "{name}" {what}.',
            pointer=f"/{name}" if name in members else "",
        )
    check_count(len(value), limits)
    return value


def _members(value: object, known: Sequence[str], pointer: str) -> dict[str, object]:
    """The members of an object that has none but the known ones, and none twice."""
    if not isinstance(value, tuple):
        raise Problem(
            "malformed-body",
            f"{pointer or 'The body'} must be an object, and it is {_kind(value)}.",
            pointer=pointer,
        )
    members = dict(value)
    if len(members) < len(value):
        names = [name for name, _ in value]
        twice = next(name for name in names if names.count(name) > 1)
        raise Problem(
            "malformed-body",
            f"{pointer or 'The body'} has the member {json.dumps(twice)} twice.",
            pointer=f"{pointer}/{_escaped(twice)}",
        )
    if not members.keys() <= set(known):
        unknown = next(name for name in members if name not in known)
        raise Problem(
            "malformed-body",
            f"{pointer or 'The body'} has the unknown member {json.dumps(unknown)}. "
            f"Known: {', '.join(known)}.",
            pointer=f"{pointer}/{_escaped(unknown)}",
        )
    return members


def _plain_pairs(members: list[object], limits: Limits) -> list[Pair]:
    """The pairs, if all are good and have a key, a text value and nothing else, in this order; else none.

    Found without a step of Python for each. What it does not take is not wrong, only not plain.
    """
    try:
        if set(map(type, members)) != {tuple}:
            return []
        firsts, seconds = zip(*members, strict=True)
        key_names, keys = zip(*firsts, strict=True)
        value_names, texts = zip(*seconds, strict=True)
        values = list(map(str.encode, texts))
    except (TypeError, ValueError):  # not two members, not text, or a lone surrogate
        return []
    plain = set(key_names) == {"key"} and set(value_names) == {"value"}
    if plain and _all_fit(keys, limits) and max(map(len, values)) <= limits.value_bytes:
        return list(zip(keys, values, strict=True))
    return []


def _all_fit(keys: Sequence[object], limits: Limits) -> bool:
    """Whether all are good keys, found without a step of Python for each; False may be wrong."""
    try:
        "".join(keys).encode()  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError):
        return False
    # A character has four bytes at most.
    return 4 * max(map(len, keys), default=0) <= limits.key_bytes  # type: ignore[arg-type]


def _value(members: dict[str, object], limits: Limits, pointer: str) -> bytes:
    where: Where = {"pointer": f"{pointer}/value"}
    text = members["value"]
    if not isinstance(text, str):
        hint = " To remove a key, use delete-many." if text is None else ""
        raise Problem("invalid-value", f"A value must be a string, and this is {_kind(text)}.{hint}", where)
    if "encoding" not in members:
        try:
            value = text.encode()
        except UnicodeEncodeError as error:
            raise Problem(
                "invalid-value",
                f"A value must be Unicode text, and character {error.start} of this one is the lone "
                f"surrogate U+{ord(text[error.start]):04X}. Send bytes that are not UTF-8 with "
                '"encoding": "base64".',
                where,
            ) from error
    elif members["encoding"] == "base64":
        try:
            value = binascii.a2b_base64(text, strict_mode=True)
        except ValueError as error:
            raise Problem(
                "invalid-value",
                f"The value is not base64 (RFC 4648 section 4, with padding): {error}.",
                where,
            ) from error
    else:
        raise Problem(
            "invalid-value",
            'The one known encoding is "base64"; text has no member "encoding".',
            pointer=f"{pointer}/encoding",
        )
    check_value_size(len(value), limits, where)
    return value


def _kind(value: object) -> str:
    """What a JSON value is, with its article."""
    if value is None:
        return "null"
    return {bool: "a boolean", float: "a number", str: "a string", list: "an array", tuple: "an object"}[
        type(value)
    ]


def _escaped(name: str) -> str:
    """A member's name as a token of a JSON Pointer (RFC 6901 section 3)."""
    return name.replace("~", "~0").replace("/", "~1")
