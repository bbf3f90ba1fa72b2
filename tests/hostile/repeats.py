"""Inputs for which backtracking takes longest: one or two fragments, repeated within an input.

A loop or a regular expression that looks at each byte from many places takes a time with the square of the
length for one of these.
"""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from typing import Any, AnyStr, Generic

from gateway.wire.ndjson import MAX_LINE_MARKS
from tests.hostile.requests import AS_JSON, AS_NDJSON, request

PAIR = b'{"key": "a", "value": "1"}'
JSON_FRAGMENTS = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b"\\", b" ", b"\n", b"1", b".", b"a", b"\xc3",
    b"\\u0061", PAIR, b'{"end": {"pairs": 1}}',
]  # fmt: skip
KEYS = [b'{"keys": [', b'"a"', b"]", b"}"]
PAIRS = [b'{"pairs": [', PAIR, b"]", b"}"]
LINE = [b'{"key": "', b"a", b'", "value": ', b'"1"', b"}", b"\n"]
MANY = [b'{"k": [' + b"1," * MAX_LINE_MARKS, b"1]", b"}", b"\n"]
"""A line that has too many values to be parsed."""

FORM_FRAGMENTS = [b"\r", b"\n", b"\r\n", b"-", b"b", b" ", b":", b";", b'"', b"=", b"\\", b"\r\n--b", b"\xc3"]
FORM_PART = [b"--b\r\n", b'content-disposition: form-data; name="a"', b"\r\n\r\n", b"a", b"\r\n--b--\r\n"]
GZIP_FRAGMENTS = [gzip.compress(b"", mtime=0), gzip.compress(PAIR + b"\n", mtime=0), b"\x1f\x8b", b"\0"]

TARGET_FRAGMENTS = ["/", "?", "&", "=", "%", "+", "#", ".", "a", "%2f", "%ff", "key=a&"]
TARGET = ["/v1", "/default", "/keys", "?prefix=", "a"]
QUERY = ["/v1/default?key=", "a"]

HEADER_FRAGMENTS = [" ", ",", ";", "=", '"', "\\", "a", "0", "/", ":", "\xe9"]
HEADERS = {
    "authorization": ["Bearer ", "a"],
    "host": ["localhost", ":", "1"],
    "origin": ["http://", "localhost", ":", "1"],
    "sec-fetch-site": ["none"],
    "content-type": ["multipart/form-data", "; boundary", "=", "b"],
    "content-encoding": ["gzip", ", "],
    "content-length": ["1"],
    "accept": ["application/json", ";", "q=0"],
    "accept-encoding": ["gzip", ";", "q=0"],
    "x-request-id": ["a"],
    "traceparent": ["00-"],
    "spin-matched-route": ["/a/", "..."],
}
"""The headers that the gateway reads, each with a valid value in pieces."""


def units(fragments: Sequence[AnyStr]) -> list[AnyStr]:
    """Each fragment, and each two of them."""
    found = list(fragments)
    for first in fragments:
        found += [first + second for second in fragments if first != second]
    return found


def repeated(unit: AnyStr, size: int) -> AnyStr:
    """As many whole units as fit in the size."""
    return unit * (size // len(unit))


def around(pieces: Sequence[AnyStr], odd: AnyStr) -> Iterator[tuple[AnyStr, AnyStr]]:
    """What stands before and behind a repeated part: a start of an input, and its rest, nothing, or `odd`."""
    for place in range(len(pieces) + 1):
        start, rest = odd[:0].join(pieces[:place]), odd[:0].join(pieces[place:])
        yield from ((start, behind) for behind in dict.fromkeys((rest, odd[:0], odd)))


BODY_BYTES = 64 * 1024
"""The greatest length of a generated body, before and after gzip."""

HEAD_BYTES = 60_000
"""The greatest length of a generated header or target. Both hosts pass a head of this size to the gateway."""


@dataclass(frozen=True)
class Repeat:
    """A generated request.

    Attributes:
        kind: What is generated of it: the format of its body, or the header.
        what: How it was generated.
        data: The whole request.
    """

    kind: str
    what: str
    data: bytes


@dataclass(frozen=True)
class Kind(Generic[AnyStr]):
    """What is generated of a request.

    Attributes:
        fragments: What is repeated and inserted.
        inputs: Valid inputs, in pieces.
        requests: Makes a request of an input. Each is taken in turn.
        size: The greatest length of an input.
    """

    fragments: list[AnyStr]
    inputs: list[list[AnyStr]]
    requests: list[Callable[[AnyStr], bytes]]
    size: int = HEAD_BYTES

    def single(self) -> Iterator[tuple[str, AnyStr]]:
        """Each fragment, repeated at each place of each input, and how it was made."""
        for pieces in self.inputs:
            for before, behind in around(pieces, self.fragments[0]):
                for unit in self.fragments:
                    yield self._made(unit, before, behind)

    def spoiled(self, chance: random.Random) -> tuple[str, AnyStr]:
        """One or two fragments, repeated at a place of an input, with a few random changes."""
        before, behind = chance.choice(
            list(around(chance.choice(self.inputs), chance.choice(self.fragments)))
        )
        what, text = self._made(chance.choice(units(self.fragments)), before, behind)
        changes = chance.choice((0, 1, 2, 8))
        for _ in range(changes):
            at = chance.randrange(len(text) + 1)
            text = text[:at] + chance.choice(self.fragments) + text[at + chance.choice((0, 1, 9)) :]
        return f"{what}, {changes} changes", text[: self.size]

    def _made(self, unit: AnyStr, before: AnyStr, behind: AnyStr) -> tuple[str, AnyStr]:
        text = before + repeated(unit, self.size - len(before) - len(behind)) + behind
        return f"{before[-40:]!r} + {unit!r} * N + {behind[:40]!r}", text


def generated(spoiled: int, seed: int = 0) -> Iterator[Repeat]:
    """All requests with one repeated fragment, and so many others. They are the same for the same seed."""
    turns: dict[str, Iterator[Callable[[Any], bytes]]] = {}
    chance = random.Random(seed)
    for name, kind in KINDS.items():
        turns[name] = cycle(kind.requests)
        for what, text in kind.single():
            yield Repeat(name, what, next(turns[name])(text))
    for _ in range(spoiled):
        name = chance.choice(list(KINDS))
        what, text = KINDS[name].spoiled(chance)
        yield Repeat(name, what, next(turns[name])(text))


def _post(operation: str, content_type: str, packed: bool, body: bytes) -> bytes:
    headers = [content_type, "connection: close"]
    if packed:
        headers.append("content-encoding: gzip")
        body = gzip.compress(body, 6, mtime=0)[:BODY_BYTES]
    return request(f"POST /v1/default/{operation} HTTP/1.1", *headers, body=body)


def _members(body: bytes) -> bytes:
    headers = (AS_NDJSON, "connection: close", "content-encoding: gzip")
    return request("POST /v1/default/set-many HTTP/1.1", *headers, body=body)


def _get(target: str) -> bytes:
    return request(f"GET /{target.removeprefix('/')} HTTP/1.1", "connection: close")


def _with_header(name: str, value: str) -> bytes:
    fields = [f"{name}: ".encode() + value.encode("latin-1"), b"connection: close"]
    if name != "content-type":
        fields.append(AS_JSON.encode())
    line = "POST /v1/default/get-many HTTP/1.1"
    return request(line, *fields, body=b"".join(KEYS), length=name != "content-length")


def _posts(*operations: str, content_type: str) -> list[Callable[[bytes], bytes]]:
    return [partial(_post, each, content_type, packed) for each in operations for packed in (False, True)]


AS_FORM = "content-type: multipart/form-data; boundary=b"
ALL = ("set-many", "get-many", "delete-many")

KINDS: dict[str, Kind[Any]] = {
    "JSON": Kind(JSON_FRAGMENTS, [KEYS, PAIRS, LINE], _posts(*ALL, content_type=AS_JSON), BODY_BYTES),
    "NDJSON": Kind(JSON_FRAGMENTS, [LINE, MANY, PAIRS], _posts(*ALL, content_type=AS_NDJSON), BODY_BYTES),
    "a form": Kind(FORM_FRAGMENTS, [FORM_PART], _posts("set-many", content_type=AS_FORM), BODY_BYTES),
    "members of gzip": Kind(GZIP_FRAGMENTS, [[]], [_members], BODY_BYTES),
    "a target": Kind(TARGET_FRAGMENTS, [QUERY, TARGET], [_get]),
    **{
        name: Kind(HEADER_FRAGMENTS, [pieces], [partial(_with_header, name)])
        for name, pieces in HEADERS.items()
    },
}
"""The kinds of generated requests."""
