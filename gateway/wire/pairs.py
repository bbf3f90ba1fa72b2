"""Decodes the keys and pairs of a JSON body, and of a single line of NDJSON.

A pair is `{"key": K, "value": V}`, with `"encoding": "base64"` if V is base64 (RFC 4648 section 4).
Everything is checked here, before a store is touched. A lone surrogate or a value of a wrong type must not
reach the WIT boundary, where it would trap the instance.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import Sequence

from gateway.problems import INSUFFICIENT_SCOPE, Problem
from gateway.settings import Limits
from gateway.wire.json_text import TooMany, parse
from gateway.wire.mistaken import BOM, explain_body
from gateway.wire.place import BODY, MAX_QUOTED, Place, Pointer, Where

Pair = tuple[str, bytes]

MARKS_PER_PAIR = 20
"""The maximum number of marks (`json_text.outline`) per pair of a JSON body that is parsed.

A valid pair has at most 17: the 16 of a line, and the comma behind it. The limit is a little higher, so that
most bodies that are not valid are parsed as well, and their errors are specific."""

PAIR = ("key", "value", "encoding")
"""The members of a pair."""


def decode_keys(body: bytes, limits: Limits) -> list[str]:
    """Decodes the keys of `{"keys": [K, …]}`.

    Raises:
        Problem: `malformed-body`, `invalid-key`, `too-large`.
    """
    keys = _only_list(body, "keys", limits)
    if not all_fit(keys, limits):
        for index, key in enumerate(keys):
            check_key(key, limits, Pointer(f"/keys/{index}").where())
    return keys  # type: ignore[return-value]


def decode_pairs(body: bytes, limits: Limits) -> list[Pair]:
    """Decodes the pairs of `{"pairs": [{"key": K, "value": V}, …]}`, in their order, with repeats.

    Raises:
        Problem: `malformed-body`, `invalid-key`, `invalid-value`, `too-large`.
    """
    members = _only_list(body, "pairs", limits)
    return _plain_pairs(members, limits) or [
        decode_pair(member, limits, Pointer(f"/pairs/{index}")) for index, member in enumerate(members)
    ]


def decode_pair(member: object, limits: Limits, place: Place) -> Pair:
    """Decodes one pair: its key, and its value as it will be stored.

    Raises:
        Problem: `malformed-body`, `invalid-key`, `invalid-value`, `too-large`.
    """
    members = _members(member, PAIR, place, ("key", "value"))
    key = check_key(members["key"], limits, place.where("key"))
    return key, _value(members, limits, place)


def decode_key(member: object, limits: Limits, place: Place) -> str:
    """Decodes the key of `{"key": K}`, or of a pair, whose value is ignored even if it is not valid.

    Raises:
        Problem: `malformed-body`, `invalid-key`.
    """
    members = _members(member, PAIR, place, ("key",))
    return check_key(members["key"], limits, place.where("key"))


def check_key(key: object, limits: Limits, where: Where) -> str:
    """Returns the key if it is valid, and if the caller may name it.

    Raises:
        Problem: `invalid-key`, `forbidden`.
    """
    if not isinstance(key, str):
        raise Problem("invalid-key", f"A key must be a string, but this one is {_kind(key)}.", where)
    try:
        size = len(key.encode())
    except UnicodeEncodeError as error:
        raise Problem(
            "invalid-key",
            f"A key must be Unicode text, but character {error.start} of this one is the lone surrogate "
            f"U+{ord(key[error.start]):04X}: half of a \\u pair.",
            where,
        ) from error
    for character in limits.refused_characters:
        if character in key:
            raise Problem(
                "invalid-key",
                f"A key must not contain {json.dumps(character)} (refused_characters): "
                "the engine of the store does not support it.",
                where,
            )
    if size > limits.key_bytes:
        raise Problem(
            "invalid-key",
            f"A key may have at most {limits.key_bytes} bytes in UTF-8, but this one has {size} "
            "(max_key_bytes).",
            where,
            limit=limits.key_bytes,
            actual=size,
        )
    if not key.startswith(limits.key_prefix):
        raise Problem(
            "forbidden",
            f"The token is valid for keys that start with {_shorten(limits.key_prefix)}, but this key does "
            "not. Use another key, or another token.",
            where,
            headers=[("www-authenticate", INSUFFICIENT_SCOPE)],
        )
    return key


def check_value_size(size: int, limits: Limits, where: Where) -> None:
    """Checks the size of a value in bytes.

    Raises:
        Problem: `too-large`.
    """
    if size > limits.value_bytes:
        raise Problem(
            "too-large",
            f"A value may have at most {limits.value_bytes} bytes, but this one has {size} "
            "(max_value_bytes).",
            where,
            limit=limits.value_bytes,
            actual=size,
        )


def check_count(count: int, limits: Limits) -> None:
    """Checks the number of keys of one request.

    Raises:
        Problem: `too-large`.
    """
    if count > limits.keys:
        raise Problem(
            "too-large",
            f"One request may have at most {limits.keys} keys, but this one has {count} (max_keys). "
            "Send several requests.",
            limit=limits.keys,
            actual=count,
        )


def _only_list(body: bytes, name: str, limits: Limits) -> list[object]:
    """The list that is the only member of a body, if it is not too long.

    A value takes many times the memory of the two bytes that it may be written with. So a body is parsed only
    if it has not many more values than the longest valid one.
    """
    text = body.removeprefix(BOM)
    try:
        return _list_of(parse(text, most=MARKS_PER_PAIR * (limits.keys + 1)), name, limits)
    except TooMany:
        problem = Problem(
            "too-large",
            f"One request may have at most {limits.keys} keys, but this one has more (max_keys). "
            "Send several requests.",
            limit=limits.keys,
        )
    except Problem as refused:
        problem = refused
    raise explain_body(problem, text, name) from problem


def _list_of(document: object, name: str, limits: Limits) -> list[object]:
    members = _members(document, (name,), BODY)
    value = members.get(name)
    if not isinstance(value, list):
        what = f"is {_kind(value)}" if name in members else "is missing"
        raise Problem(
            "malformed-body",
            f'The body must be {{"{name}": […]}}, but "{name}" {what}.',
            BODY.where(name if name in members else None),
        )
    check_count(len(value), limits)
    return value


def _members(
    value: object, known: Sequence[str], place: Place, needed: Sequence[str] = ()
) -> dict[str, object]:
    """The members of an object that has all needed members, only known ones, and none of them twice."""
    if not isinstance(value, tuple):
        raise Problem(
            "malformed-body", f"{place} must be an object, but it is {_kind(value)}.", place.where()
        )
    members = dict(value)
    if len(members) < len(value):
        names = iter(members)  # in the order in which they first occur
        twice = next(name for name, _ in value if name != next(names, None))
        raise Problem(
            "malformed-body", f"{place} has the member {_shorten(twice)} twice.", place.where(twice)
        )
    if not members.keys() <= set(known):
        unknown = next(name for name in members if name not in known)
        raise Problem(
            "malformed-body",
            f"{place} has the unknown member {_shorten(unknown)}. Known: {', '.join(known)}.",
            place.where(unknown),
        )
    for name in needed:
        if name not in members:
            raise Problem("malformed-body", f'{place} has no member "{name}".', place.where())
    return members


def _plain_pairs(members: list[object], limits: Limits) -> list[Pair]:
    """The pairs, if all are valid and have only a key and a text value, in this order; otherwise none.

    Checked in bulk. A list for which this returns none may still be valid.
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
    if plain and all_fit(keys, limits) and max(map(len, values)) <= limits.value_bytes:
        return list(zip(keys, values, strict=True))
    return []


def all_fit(keys: Sequence[object], limits: Limits) -> bool:
    """Whether all keys are valid, checked in bulk. False may be wrong, so each key must be checked then."""
    try:
        "".join(keys).encode()  # type: ignore[arg-type]
    except (TypeError, UnicodeEncodeError):
        return False
    return texts_fit(keys, limits)  # type: ignore[arg-type]


def texts_fit(keys: Sequence[str], limits: Limits) -> bool:
    """Whether all texts are valid keys. False may be wrong, since each character is counted as four bytes."""
    if limits.refused_characters:
        joined = "".join(keys)
        if any(character in joined for character in limits.refused_characters):
            return False
    if limits.key_prefix and not all(key.startswith(limits.key_prefix) for key in keys):
        return False
    return 4 * max(map(len, keys), default=0) <= limits.key_bytes


def _value(members: dict[str, object], limits: Limits, place: Place) -> bytes:
    where = place.where("value")
    text = members["value"]
    if not isinstance(text, str):
        hint = (
            " To remove a key, use delete-many. To leave out the keys that get-many did not find: "
            "jq 'del(.pairs[] | select(.value == null))'."
            if text is None
            else ""
        )
        raise Problem(
            "invalid-value", f"A value must be a string, but this one is {_kind(text)}.{hint}", where
        )
    if "encoding" not in members:
        try:
            value = text.encode()
        except UnicodeEncodeError as error:
            raise Problem(
                "invalid-value",
                f"A value must be Unicode text, but character {error.start} of this one is the lone "
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
                f"The value is not base64 (RFC 4648 section 4, with padding): {_why_no_base64(text, error)}",
                where,
            ) from error
    else:
        raise Problem(
            "invalid-value",
            'The only known encoding is "base64". For text, leave out the member "encoding".',
            place.where("encoding"),
        )
    check_value_size(len(value), limits, where)
    return value


def _why_no_base64(text: str, error: ValueError) -> str:
    if "\n" in text or "\r" in text:
        return "it contains line ends. Write it on one line: base64 -w 0."
    if "-" in text or "_" in text:
        return "it contains - or _, as base64url does. Use + and / instead, and pad with =: tr '_-' '/+'."
    if len(text) % 4 and "=" not in text:
        return "its length is not a multiple of four. Pad it with =."
    return f"{error}."


def _shorten(name: str) -> str:
    """A member's name as JSON for an error, at most MAX_QUOTED characters of it."""
    return json.dumps(name if len(name) <= MAX_QUOTED else f"{name[:MAX_QUOTED]}…")


def _kind(value: object) -> str:
    """The type of a JSON value, with its article."""
    if value is None:
        return "null"
    return {bool: "a boolean", float: "a number", str: "a string", list: "an array", tuple: "an object"}[
        type(value)
    ]
