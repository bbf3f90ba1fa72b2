"""NDJSON: one JSON object a line (https://github.com/ndjson/ndjson-spec). Blank lines are skipped.

Parsing line by line costs a step of Python for each; a thousand lines made one JSON array cost little more
than the parser. So lines are parsed together wherever it can be shown that each of them is what it would be
alone, and one by one where it cannot, which also finds the line that is wrong.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from typing import Generic, TypeVar

from kv_batch import pairs as json_pairs
from kv_batch.errors import Problem
from kv_batch.http import Body, BodyCutShort
from kv_batch.json_text import decode, decode_dicts, parse, too_deep
from kv_batch.pairs import PAIR, Pair, all_fit, decode_key, decode_pair
from kv_batch.place import Line, Place
from kv_batch.settings import Limits

Item = TypeVar("Item")
Row = dict[str, object]
"""A line, parsed, that has no member twice."""

Plain = Callable[[list[Row], Limits], list[Item]]
"""Makes the items of rows, if all are good and every member of them is a string; else none."""

One = Callable[[object, Limits, Place], Item]
"""Makes the item of one parsed line."""


@dataclass(frozen=True)
class Lines(Generic[Item]):
    """What a run of lines holds.

    Attributes:
        items: The keys or pairs of the good lines, up to the first bad one.
        numbers: Their line numbers, from 1.
        problem: What is wrong with the line after them; None where all are good.
    """

    items: list[Item]
    numbers: Sequence[int]
    problem: Problem | None = None


async def blocks(body: Body, limits: Limits) -> AsyncGenerator[tuple[int, bytes], None]:
    """The lines of a body as they arrive, in blocks: the number of the first, and whole lines.

    The last one may lack its newline. A line of which only a part came is never given out.

    Raises:
        Problem: `too-large`: a line is longer than any that could be good; `malformed-body`: the client broke
            off, or what it packed cannot be unpacked. With the `line`.
    """
    # A character of one byte may have been sent as an escape of six.
    longest = 6 * (limits.key_bytes + limits.value_bytes) + 1024
    number = 1
    parts: list[bytes] = []
    size = 0
    while True:
        try:
            chunk = await body.read()
        except BodyCutShort:
            raise Problem(
                "malformed-body",
                f"The body was cut short in line {number}: the connection closed before all of it had come.",
                line=number,
            ) from None
        except Problem as problem:
            raise Problem(problem.code, f"{problem.detail} It was line {number}.", line=number) from problem
        if not chunk:
            break
        lines, newline, rest = chunk.rpartition(b"\n")
        if newline:
            block = b"".join([*parts, lines, newline])
            yield number, block
            number += block.count(b"\n")
            parts, size = [], 0
        parts.append(rest)
        size += len(rest)
        if size > longest:
            raise Problem(
                "too-large",
                f"Line {number} is longer than {longest} bytes, more than any good pair takes "
                "(max_key_bytes, max_value_bytes). Is there a newline behind each?",
                line=number,
                limit=longest,
            )
    if size:
        yield number, b"".join(parts)


def decode_pairs(block: bytes, first: int, limits: Limits) -> Lines[Pair]:
    """The pairs of a block of lines, `{"key": K, "value": V}` each; `first` is the number of the first."""
    return _decode(block, first, limits, _plain_pairs, decode_pair)


def decode_keys(block: bytes, first: int, limits: Limits) -> Lines[str]:
    """The keys of a block of lines, `{"key": K}` each or a pair; `first` is the number of the first."""
    return _decode(block, first, limits, _plain_keys, decode_key)


def encode_pairs(pairs: Mapping[str, bytes | None], always_base64: bool) -> bytes:
    """The pairs as lines, each as it is in a JSON answer (`kv_batch.pairs.encode_pairs`)."""
    return json_pairs.encode_pairs(list(pairs.items()), always_base64, b"\n") + b"\n"


def _decode(block: bytes, first: int, limits: Limits, plain: Plain[Item], one: One[Item]) -> Lines[Item]:
    text = block.removesuffix(b"\n").replace(b"\r\n", b"\n")
    count = text.count(b"\n") + 1
    numbers = range(first, first + count)
    array = _array(text, count)
    if array and (items := plain(_rows(array, count), limits)):
        return Lines(items, numbers)
    items = []
    used: list[int] = []
    for number, row in zip(numbers, _apart(array, count) or text.split(b"\n"), strict=True):
        place = Line(number)
        try:
            if isinstance(row, bytes):
                if not row.strip(b" \t\r"):
                    continue
                items.append(one(parse(row, place), limits, place))
            else:
                items.append(one(row, limits, place))
        except Problem as problem:
            return Lines(items, used, problem)
        used.append(number)
    return Lines(items, used)


def _array(lines: bytes, count: int) -> str:
    """The lines as one JSON array; empty if they may not be parsed together.

    By its two ends each line looks like an object. No newline is within a string, where JSON has none, and
    so there may be a comma at each. But a line may hold two values, and two lines may be parts of one. Where
    no value is within another, all commas are between the values, so that no line lacks one; and if then
    there are as many values as lines, none has two. `_rows` and `_apart` see to that.
    """
    if not (lines.startswith(b"{") and lines.endswith(b"}") and lines.count(b"}\n{") == count - 1):
        return ""
    if (b"[" in lines or lines.count(b"{") != count) and too_deep(lines):
        return ""
    try:
        return "[" + lines.replace(b"\n", b",\n").decode() + "]"
    except UnicodeDecodeError:
        return ""


def _rows(array: str, count: int) -> list[Row]:
    """The lines parsed together, provided that every member of them is a string; none where some are not
    good, or have a member twice."""
    try:
        rows: list[Row] = decode_dicts(array)
        # A string is all that a member may be, so each has four quotes. More are those of a forgotten one.
        if "\\" in array:
            array = array.replace("\\\\", "").replace('\\"', "")
        whole = len(rows) == count and array.count('"') == 4 * sum(map(len, rows))
    except (ValueError, TypeError):  # no JSON, or values that have no length
        return []
    return rows if whole else []


def _apart(array: str, count: int) -> list[object]:
    """The lines parsed together, as `parse` does it with each; none where that cannot be shown."""
    try:
        rows: list[object] = decode(array) if array else []
    except ValueError:
        return []
    if len(rows) != count or set(map(type, rows)) != {tuple}:
        return []
    members: Iterator[tuple[str, object]] = chain.from_iterable(rows)  # type: ignore[arg-type]  # all are tuples
    return rows if {list, tuple}.isdisjoint(map(type, map(itemgetter(1), members))) else []


_key = itemgetter("key")
_value = itemgetter("value")


def _plain_pairs(rows: list[Row], limits: Limits) -> list[Pair]:
    try:
        keys = list(map(_key, rows))
        values = list(map(str.encode, map(_value, rows)))
    except (KeyError, TypeError, ValueError):  # no such member, no text, or a lone surrogate
        return []
    if set(map(len, rows)) == {2} and all_fit(keys, limits) and max(map(len, values)) <= limits.value_bytes:
        return list(zip(keys, values, strict=True))
    return []


def _plain_keys(rows: list[Row], limits: Limits) -> list[str]:
    try:
        keys = list(map(_key, rows))
        strings = set(map(type, chain.from_iterable(map(dict.values, rows)))) == {str}
    except (KeyError, TypeError):  # no such member, or no object
        return []
    if strings and set().union(*rows) <= set(PAIR) and all_fit(keys, limits):
        return keys
    return []
