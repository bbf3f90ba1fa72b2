"""NDJSON: one JSON object per line (https://github.com/ndjson/ndjson-spec). Blank lines are skipped.

Parsing line by line is slow, since every line costs several calls of Python. So lines are decoded in pieces.
If all lines of a piece have the shape that the gateway writes, with or without spaces, the piece is decoded
in bulk (`gateway.wire.bulk`). Any other piece is parsed line by line, which also finds a line that is not
valid.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from gateway.http import Body, BodyCutShort
from gateway.problems import Problem
from gateway.settings import Limits
from gateway.wire.bulk import LONG_LINE_BYTES, bulk_keys, bulk_pairs, end_of_piece
from gateway.wire.encoding import NEWLINE, encode_pairs
from gateway.wire.json_text import TooMany, min_content_bytes, parse
from gateway.wire.mistaken import BOM, ONE_A_LINE, explain_line
from gateway.wire.pairs import Pair, decode_key, decode_pair
from gateway.wire.place import Line, Place

Item = TypeVar("Item")
DecodeBulk = Callable[[bytes, int, Limits], list[Item]]
"""Decodes the items of so many lines; returns none if a line has another shape or is not valid."""

DecodeOne = Callable[[object, Limits, Place], Item]
"""Decodes the item of one parsed line."""


@dataclass(frozen=True)
class End:
    """An end line: `{"end": {"pairs": N}}`. It closes the lines since the start or the last end line.

    Attributes:
        pairs: The number of these lines, as the end line says it.
        items_before: The number of items of its block that come before it.
        number: Its line number, from 1.
    """

    pairs: int
    items_before: int
    number: int


@dataclass(frozen=True)
class Lines(Generic[Item]):
    """The content of a block of lines.

    Attributes:
        items: The keys or pairs of the valid lines, up to the first that is not valid.
        numbers: Their line numbers, from 1.
        size: The size of the whole block in bytes.
        next_number: The number of the line after the block.
        problem: The problem of the line after the valid ones; None if all are valid.
        ends: The end lines among the valid ones.
    """

    items: list[Item]
    numbers: Sequence[int]
    size: int
    next_number: int
    problem: Problem | None = None
    ends: Sequence[End] = ()


Decode = Callable[[bytes, int, Limits], Lines[Item]]
"""`decode_pair_lines` or `decode_key_lines`."""


async def read(
    body: Body, limits: Limits, decode: Decode[Item], *, ended: bool = False
) -> AsyncGenerator[Lines[Item], None]:
    """Decodes the lines of a body as they arrive, in blocks of whole lines, and checks its end lines.

    The last line may lack its newline. A line of which only a part has arrived is never decoded.

    Args:
        body: NDJSON.
        limits: The limits of keys and values.
        decode: Decodes the items of a block.
        ended: Whether the last line must be an end line.

    Raises:
        Problem: `too-large`: a line is longer than any valid one. `malformed-body`: the client disconnected,
            the body cannot be decompressed, or the end line is missing. Each has the member `line`.
    """
    end_lines = _EndLineChecker()
    partial = _PartialLine(limits)
    number = 1
    while chunk := await _next_chunk(body, number):
        end = chunk.rfind(b"\n") + 1
        if end:
            lines = end_lines.checked(decode(partial.completed(chunk[:end]), number, limits))
            yield lines
            number = lines.next_number
        partial.add(chunk[end:], number)
    if partial:
        lines = end_lines.checked(decode(partial.completed(b"\n"), number, limits))
        yield lines
        number = lines.next_number
    if ended and not end_lines.closed:
        raise Problem(
            "malformed-body",
            "The body does not end with an end line, which ?end=true requires: it was cut, or written "
            f"without one. The end line was expected in line {number}.",
            line=number,
        )


async def _next_chunk(body: Body, number: int) -> bytes:
    """The next chunk of a body, of which line `number` is incomplete; empty at the end.

    Raises:
        Problem: `malformed-body`: the client disconnected, or the body cannot be decompressed.
    """
    try:
        return await body.read()
    except BodyCutShort:
        raise Problem(
            "malformed-body",
            f"The body was cut short in line {number}: the connection closed before the body was complete.",
            line=number,
        ) from None
    except Problem as problem:
        raise Problem(
            problem.code, f"{problem.detail} This happened in line {number}.", line=number
        ) from problem


class _PartialLine:
    """The start of a line whose end has not arrived; false if it is empty."""

    def __init__(self, limits: Limits) -> None:
        # The longest valid line has its value as base64. The other 1,024 bytes are for the member names.
        self._most = limits.key_bytes + 4 * (limits.value_bytes // 3 + 1) + 1024
        self._held = bytearray()
        self._content_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._held)

    def completed(self, rest: bytes) -> bytes:
        """The line with its rest. Nothing is held any more, so that memory has the line only once."""
        line = b"".join((self._held, rest)) if self._held else rest
        self._held, self._content_bytes = bytearray(), 0
        return line

    def add(self, start: bytes, number: int) -> None:
        """Holds more of the line, which is line `number`.

        Raises:
            Problem: `too-large`: the line is longer than any valid one. Each byte of a valid line may have
                been sent as an escape of six bytes.
        """
        self._held += start
        self._content_bytes += min_content_bytes(start)
        if self._content_bytes > self._most or len(self._held) > 6 * self._most:
            raise Problem(
                "too-large",
                f"Line {number} is longer than {self._most} bytes after decoding its escapes. No valid pair "
                "is so long (max_key_bytes, max_value_bytes). Either its value is too large, or the newline "
                "between two pairs is missing.",
                line=number,
                limit=self._most,
            )


class _EndLineChecker:
    """Compares each end line with the number of lines since the start of the body, or the last end line.

    Attributes:
        closed: Whether the last line so far is an end line.
    """

    def __init__(self) -> None:
        self.closed = False
        self._count = 0

    def checked(self, lines: Lines[Item]) -> Lines[Item]:
        """The lines, up to the first end line with a wrong number."""
        start = 0
        for end in lines.ends:
            count = self._count + end.items_before - start
            if count != end.pairs:
                problem = Problem(
                    "malformed-body",
                    f"Line {end.number} says that {end.pairs} lines end here, but there are {count}: "
                    "lines were lost or added. Get the file again, or remove this line.",
                    line=end.number,
                )
                return replace(
                    lines,
                    items=lines.items[: end.items_before],
                    numbers=lines.numbers[: end.items_before],
                    problem=problem,
                )
            self._count, start = 0, end.items_before
        left = len(lines.items) - start
        self._count += left
        self.closed = (self.closed or bool(lines.ends)) and not left
        return lines


def decode_pair_lines(block: bytes, first: int, limits: Limits) -> Lines[Pair]:
    """Decodes the pairs of a block: `{"key": K, "value": V}` per line. `first` is the first line's number."""
    return _decode(block, first, limits, bulk_pairs, decode_pair)


def decode_key_lines(block: bytes, first: int, limits: Limits) -> Lines[str]:
    """Decodes the keys of a block: `{"key": K}` or a pair per line. `first` is the first line's number."""
    return _decode(block, first, limits, bulk_keys, decode_key)


def encode_lines(pairs: Mapping[str, bytes | None], always_base64: bool) -> Iterator[bytes]:
    """Encodes pairs as lines, each as in a JSON answer. Yields pieces, as `encode_pairs` does."""
    held = b""
    for piece in encode_pairs(pairs.keys(), pairs.values(), always_base64, NEWLINE):
        if held:
            yield held
        held = piece
    yield held + b"\n"


def _decode(
    block: bytes, first: int, limits: Limits, bulk: DecodeBulk[Item], one: DecodeOne[Item]
) -> Lines[Item]:
    text = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    if first == 1:
        text = text.removeprefix(BOM)
    if not text.endswith(b"\n"):
        text += b"\n"
    items: list[Item] = []
    ends: list[End] = []
    line_numbers: list[int] | None = None  # of all items, once a piece could not be decoded in bulk
    number, start = first, 0
    while start < len(text):
        end = end_of_piece(text, start)
        piece = text[start:end]
        count = piece.count(b"\n")
        found = bulk(piece, count, limits) if len(piece) < LONG_LINE_BYTES or b"\\" not in piece else []
        if found:
            items += found
            if line_numbers is not None:
                line_numbers += range(number, number + count)
        else:
            line_numbers = list(range(first, number)) if line_numbers is None else line_numbers
            for index, line in _numbered(piece, number):
                place = Line(index)
                try:
                    document = _parsed(line, place)
                    if isinstance(document, tuple) and len(document) == 1 and document[0][0] == "end":
                        ends.append(End(_ended(document, place), len(items), index))
                        continue
                    items.append(one(document, limits, place))
                except Problem as problem:
                    problem = explain_line(problem, line, place)
                    return Lines(items, line_numbers, len(block), number + count, problem, ends)
                line_numbers.append(index)
        number += count
        start = end
    return Lines(
        items, range(first, number) if line_numbers is None else line_numbers, len(block), number, None, ends
    )


def _ended(document: object, place: Line) -> int:
    """The number of lines that an end line says."""
    match document:
        case (("end", (("pairs", float(count)),)),) if count >= 0 and count.is_integer():
            return int(count)
    raise Problem(
        "malformed-body",
        f'{place} is an end line. It must be {{"end": {{"pairs": N}}}}, where N is a whole number.',
        place.where(),
    )


def end_line(pairs: int) -> bytes:
    """The end line of an answer with so many pairs."""
    return b'{"end": {"pairs": %d}}\n' % pairs


async def with_end(chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The chunks of an answer, each of whole lines, followed by its end line."""
    count = 0
    async with aclosing(chunks):
        async for chunk in chunks:
            count += chunk.count(b"\n")  # a newline in a string is escaped
            yield chunk
    yield end_line(count)


def _numbered(piece: bytes, number: int) -> Iterator[tuple[int, bytes]]:
    """The lines of a piece that are not blank, with their numbers. Blank lines cost no step of Python."""
    if len(piece) >= LONG_LINE_BYTES:  # one line, which is not copied
        if _NOT_BLANK.search(piece):
            yield number, piece
        return
    previous = 0
    for match in _NOT_BLANK.finditer(piece) if piece.translate(None, b" \t\r\n") else ():
        start = piece.rfind(b"\n", previous, match.start()) + 1 or previous
        number += piece.count(b"\n", previous, start)
        yield number, piece[start : match.end()]
        previous = start


def _parsed(line: bytes, place: Line) -> object:
    try:
        return parse(line, place, MAX_LINE_MARKS)
    except TooMany:
        raise Problem(
            "malformed-body",
            f"{place} has more values than any pair. {ONE_A_LINE}",
            place.where(),
        ) from None


_NOT_BLANK = re.compile(rb"[^ \t\r\n][^\n]*+")

MAX_LINE_MARKS = 1_000
"""The maximum number of marks (`json_text.outline`) of a line that is parsed.

A valid line has at most 16: 12 quotes, 2 brackets and 2 commas. The limit is higher, so that a line that is
not valid is parsed as well, and its error is specific."""
