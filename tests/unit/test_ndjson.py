"""Lines: taken together or one by one, a block says of each line what the line alone would say."""

from __future__ import annotations

import asyncio
import base64
import json
from unittest.mock import patch

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.http import BodyCutShort
from gateway.problems import Problem
from gateway.settings import Limits
from gateway.wire import bulk, ndjson
from gateway.wire.json_text import parse
from gateway.wire.mistaken import explain_line
from gateway.wire.pairs import Pair, decode_key, decode_pair
from gateway.wire.place import Line

LIMITS = Limits(key_bytes=40, value_bytes=60)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)

PIECES = [
    '{"key": "a", "value": "b"}',
    '{"key":"a","value":"b"}',
    '{"key": "a", "value": "YQ==", "encoding": "base64"}',
    '{"key": "a", "value": "Y", "encoding": "base64"}',
    '{"key": "a", "value": "b", "encoding": "hex"}',
    '{"key": "a", "value": null}',
    '{"key": "a"}',
    '{"value": "b", "key": "a"}',
    '{"key": "a", "value": 1}',
    '{"key": 1, "value": "b"}',
    '{"key": "a", "key": "a", "value": "b"}',
    '{"key": "a", "value": "b", "more": "c"}',
    '{"key": "\\u0041\\n\\"\\\\", "value": "\\ud83d\\ude00"}',
    '{"key": "\\ud800", "value": "b"}',
    '{"key": "a", "value": "\\udc00"}',
    '{"key": "a", "value": "\\x"}',
    '{"key": "a", "value": "\\u12g4"}',
    '{"key": "a", "value": "\\"}',
    '{"key": "a", "value": "tab\there"}',
    '{"key": "a",\t"value": "b"}',
    ' {"key": "a", "value": "b"} ',
    'junk{"key": "a", "value": "b"}',
    '{"key": "a", "value": "b"}junk',
    '{"key": "a", "value": "b"}, {"key": "c", "value": "d"}',
    '{"key": "a", "value": "b"} {"key": "c", "value": "d"}',
    # Two of these one after the other would be one good object.
    '{"key": "a", "value": "b"',
    "}",
    '{"key": "a"',
    ', "value": "b"}',
    '{"key": "a", "value": "b',
    'c"}',
    "[",
    "]",
    "[" * 1_000,
    "{}",
    "null",
    '"{"',
    "",
    "  ",
    "\r",
    '{"key": "a", "value": "b"}\r',
    '{"key": "a\r", "value": "b"}',
    "\ufeff{}",
    '{"key": "' + "k" * 41 + '", "value": "b"}',
    '{"key": "' + "é" * 20 + '", "value": "b"}',
    '{"key": "' + "é" * 21 + '", "value": "b"}',
    '{"key": "a", "value": "' + "v" * 61 + '"}',
    '{"key": "", "value": ""}',
    '{"end": {"pairs": 1}}',
    '{"end":{"pairs":1}}',
]

LINE = (
    st.sampled_from(PIECES).map(str.encode)
    | st.tuples(TEXT, TEXT, st.booleans()).map(
        lambda t: json.dumps({"key": t[0], "value": t[1]}, ensure_ascii=t[2]).encode()
    )
    | st.binary(max_size=8).filter(lambda raw: b"\n" not in raw)
)


def one_by_one(block: bytes, first: int, decode: object) -> tuple[list[object], list[int], str | None]:
    """What `block` holds, each line by itself."""
    items: list[object] = []
    numbers: list[int] = []
    for number, line in enumerate(block.split(b"\n"), first):
        text = line.removesuffix(b"\r")
        if not text.strip(b" \t\r"):
            continue
        try:
            document = parse(text, Line(number))
            if json.loads(text) == {"end": {"pairs": 1}}:
                continue
            items.append(decode(document, LIMITS, Line(number)))  # type: ignore[operator]
        except Problem as problem:
            return items, numbers, told(explain_line(problem, text, Line(number)))
        numbers.append(number)
    return items, numbers, None


def told(problem: Problem | None) -> str | None:
    return None if problem is None else f"{problem.code} {problem.detail} {sorted(problem.members.items())}"


@given(st.lists(LINE, max_size=8), st.booleans(), st.sampled_from([0, 30, bulk.BULK_PIECE_BYTES]))
@example([b'{"key": "a", "value": "b"', b"}"], True, bulk.BULK_PIECE_BYTES)
@example([b'{"key": "a", "value": "b', b'c"}', b'{"key": "a", "value": "b"}'], True, bulk.BULK_PIECE_BYTES)
@example([b'{"key": "a", "value": "b"}', b'{"key": "\xff", "value": "b"}'], True, bulk.BULK_PIECE_BYTES)
@example([b'{"key": "\xc3", "value": "\xa9"}'], True, bulk.BULK_PIECE_BYTES)
@example([b'{"key": "a", "value": "b"}', b"", b'{"key": "c", "value": "d"}'], True, 0)
def test_a_block_says_what_its_lines_say_alone(lines: list[bytes], ended: bool, piece: int) -> None:
    block = b"\n".join(lines) + b"\n" * ended
    for together, alone in (ndjson.decode_pair_lines, decode_pair), (ndjson.decode_key_lines, decode_key):
        with patch.object(bulk, "BULK_PIECE_BYTES", piece):
            got = together(block, 7, LIMITS)
        assert (list(got.items), list(got.numbers), told(got.problem)) == one_by_one(block, 7, alone)


FRAGMENTS = [
    *('{"key": "', '", "value": "', '"}\n', '", "encoding": "base64"}\n', '{"key": "a", "value": "'),
    *('{"key":"', '","value":"', '","encoding":"base64"}\n', '"}\n{"key": "', '", "value": "\n'),
    *('"', "\n", "a", "é", "YQ==", ", ", "}\n", '{"key": "a"}\n', '{"key": "a", "value": "b"}\n', "\\", "\0"),
]
"""What lines of one style are split at, and what may be taken for it."""

ENDS = [("", ""), *((FRAGMENTS[0], FRAGMENTS[tail]) for tail in (2, 3)), (FRAGMENTS[5], FRAGMENTS[7])]


@given(st.sampled_from(ENDS), st.lists(st.sampled_from(FRAGMENTS), max_size=16))
@example(ENDS[1], ["a", *FRAGMENTS[1:3], FRAGMENTS[0], "b", FRAGMENTS[1], "c", FRAGMENTS[1]])
@example(ENDS[1], ["a", FRAGMENTS[1], "b", FRAGMENTS[1], "c", FRAGMENTS[8], "d"])
@example(ENDS[1], ["a", FRAGMENTS[1], "b", FRAGMENTS[1], "c", "\n", "d", FRAGMENTS[1], "e"])
@example(ENDS[1], ["a", FRAGMENTS[1], '}\n{"key": "', "c", FRAGMENTS[1], '"'])
@example(ENDS[1], ["a", FRAGMENTS[9], "b", FRAGMENTS[8], "c", FRAGMENTS[1]])
@settings(max_examples=1_000)
def test_no_fragments_are_taken_for_what_they_are_not(ends: tuple[str, str], fragments: list[str]) -> None:
    block = "".join([ends[0], *fragments, ends[1]]).encode()
    for together, alone in (ndjson.decode_pair_lines, decode_pair), (ndjson.decode_key_lines, decode_key):
        got = together(block, 1, LIMITS)
        assert (list(got.items), list(got.numbers), told(got.problem)) == one_by_one(block, 1, alone)


@pytest.mark.parametrize("encoding", ["", ', "encoding": "base64"'])
@pytest.mark.parametrize("compact", [False, True])
@pytest.mark.parametrize("value", ["YWI=", "é", "a\\n", 'a"b', "a\tb", "a\0b", "a\x7fb", "\udc80", ""])
@pytest.mark.parametrize("crlf", [False, True])
def test_lines_of_one_style(encoding: str, compact: bool, value: str, crlf: bool) -> None:
    lines = [f'{{"key": "k{number}", "value": "{value}"{encoding}}}\n' for number in range(3)]
    text = "".join(lines).replace(" ", "" if compact else " ").replace("\n", "\r\n" if crlf else "\n")
    block = text.encode(errors="surrogateescape")
    got = ndjson.decode_pair_lines(block, 1, LIMITS)
    assert (list(got.items), list(got.numbers), told(got.problem)) == one_by_one(block, 1, decode_pair)


@pytest.mark.parametrize("line", PIECES, ids=range(len(PIECES)))
def test_one_odd_line_changes_nothing_of_the_others(line: str) -> None:
    good = b'{"key": "k", "value": "v"}'
    block = b"\n".join([good, line.encode(), good, b""])
    got = ndjson.decode_pair_lines(block, 1, LIMITS)
    assert (list(got.items), list(got.numbers), told(got.problem)) == one_by_one(block, 1, decode_pair)


@given(st.dictionaries(TEXT, st.binary(max_size=40) | TEXT.map(str.encode), min_size=1), st.booleans())
@example({"a": b"\xc3", "b": b"\xa9"}, False)
def test_what_is_written_is_read(pairs: dict[str, bytes], always_base64: bool) -> None:
    lines = b"".join(ndjson.encode_lines(pairs, always_base64))
    limits = Limits()
    assert ndjson.decode_pair_lines(lines, 1, limits).items == list(pairs.items())
    assert ndjson.decode_key_lines(lines, 1, limits).items == list(pairs)
    assert lines.count(b"\n") == len(pairs)
    for key, line in zip(pairs, lines.split(b"\n"), strict=False):
        assert json.loads(line)["key"] == key


class Pieces:
    """A body that comes in these pieces, and then ends or breaks off."""

    def __init__(self, pieces: list[bytes], *, breaks: bool = False) -> None:
        self.pieces = [piece for piece in pieces if piece]
        self.breaks = breaks
        self.ended = False

    async def read(self) -> bytes:
        if self.pieces:
            return self.pieces.pop(0)
        if self.breaks:
            raise BodyCutShort
        return b""

    async def grew(self, size: int) -> None:
        pass


def read_all(
    body: Pieces, limits: Limits = LIMITS, *, ended: bool = False
) -> tuple[list[Pair], Problem | None]:
    """The pairs of a body, and what ended it."""
    pairs: list[Pair] = []

    async def read() -> None:
        async for lines in ndjson.read(body, limits, ndjson.decode_pair_lines, ended=ended):
            pairs.extend(lines.items)
            if lines.problem:
                raise lines.problem

    try:
        asyncio.run(read())
    except Problem as problem:
        return pairs, problem
    return pairs, None


BODY = '{"key": "é", "value": "😀"}\r\n\n{"key": "b", "value": "c\\n"}\n \n{"key": "d", "value": ""}'.encode()


@given(st.lists(st.integers(0, len(BODY)), max_size=6).map(sorted))
def test_a_body_may_come_in_any_pieces(cuts: list[int]) -> None:
    pieces = [BODY[start:end] for start, end in zip([0, *cuts], [*cuts, len(BODY)], strict=True)]
    assert read_all(Pieces(pieces)) == ([("é", "😀".encode()), ("b", b"c\n"), ("d", b"")], None)


@pytest.mark.parametrize("cut", range(len(BODY) + 1))
def test_of_a_body_cut_short_only_whole_lines_are_taken(cut: int) -> None:
    pairs, problem = read_all(Pieces([BODY[:cut]], breaks=True))
    assert len(pairs) == sum(BODY[:cut].count(end) for end in (b"}\r\n", b'"}\n')), BODY[:cut]
    assert problem is not None
    assert (problem.code, problem.members) == ("malformed-body", {"line": 1 + BODY[:cut].count(b"\n")})


A = '{"key": "a", "value": "1"}\n'
END = '{"end": {"pairs": %d}}\n'


@pytest.mark.parametrize(
    ("body", "pairs", "line", "without_demand"),
    [
        # What is said of the line where `?end=true` was given, and what where it was not.
        ("", 0, 1, None),
        (A, 1, 2, None),
        (A * 2 + A.rstrip(), 3, 4, None),
        (END % 0, 0, None, None),
        (A * 3 + END % 3, 3, None, None),
        (A * 3 + END.rstrip() % 3, 3, None, None),
        (A + "\n \n" + A + END % 2 + "\n\n", 2, None, None),
        (A * 2 + END % 2 + A + END % 1, 3, None, None),
        (A * 2 + END % 2 + END % 0, 2, None, None),
        (A * 2 + END % 2 + A, 3, 5, None),
        (A * 2 + END % 3, 2, 3, 3),
        (A * 2 + END % 1 + A, 2, 3, 3),
        (A + END % 1 + A * 2 + END % 3 + A, 3, 5, 5),
        (A + END % 0 + A, 1, 2, 2),
        (A + '{"end": {"pairs": 1.5}}\n', 1, 2, 2),
        (A + '{"end": {"pairs": -1}}\n', 1, 2, 2),
        (A + '{"end": {"pairs": true}}\n', 1, 2, 2),
        (A + '{"end": {"pairs": "1"}}\n', 1, 2, 2),
        (A + '{"end": {"pairs": 1%s}}\n' % ("0" * 400), 1, 2, 2),
        (A + '{"end": {"pairs": 1, "more": 1}}\n', 1, 2, 2),
        (A + '{"end": {"pairs": 1, "pairs": 1}}\n', 1, 2, 2),
        (A + '{"end": {}}\n', 1, 2, 2),
        (A + '{"end": 1}\n', 1, 2, 2),
        (A + '{"end": {"pairs": 1}, "key": "a", "value": "b"}\n', 1, 2, 2),
        (A + '{"end": {"pairs": 1', 1, 2, 2),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1_000])
@pytest.mark.parametrize("crlf", [False, True])
def test_an_end_line_closes_what_stands_before_it(
    body: str, pairs: int, line: int | None, without_demand: int | None, step: int, crlf: bool
) -> None:
    text = body.replace("\n", "\r\n" if crlf else "\n").encode()
    for ended, expected in (True, line), (False, without_demand):
        pieces = [text[start : start + step] for start in range(0, len(text), step)]
        got, problem = read_all(Pieces(pieces), ended=ended)
        assert len(got) == pairs
        assert (problem and problem.members["line"]) == expected
        assert problem is None or problem.code == "malformed-body"


@given(st.integers(0, 40), st.data())
def test_a_body_that_was_cut_anywhere_is_found_out(count: int, data: st.DataObject) -> None:
    text = (A * count + END % count).encode()
    cut = data.draw(st.integers(0, len(text) - 2))  # the last newline may be missing
    got, problem = read_all(Pieces([text[:cut]]), ended=True)
    assert problem is not None
    assert (problem.code, problem.members["line"]) == ("malformed-body", len(got) + 1)
    assert len(got) == min(count, (cut + 1) // len(A))


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85"])
def test_what_readers_of_lines_take_for_the_end_of_one_is_escaped(character: str) -> None:
    pairs: dict[str, bytes | None] = {f"k{character}": f"v{character}\\{character}".encode(), "é": b"plain"}
    for missing in {}, {"no": None}:
        asked = {**pairs, **missing}
        lines = b"".join(ndjson.encode_lines(asked, always_base64=False))
        assert lines.decode().splitlines() == lines.decode().split("\n")[:-1]
        assert [json.loads(line)["key"] for line in lines.decode().splitlines()] == list(asked)
    lines = b"".join(ndjson.encode_lines(pairs, always_base64=False))
    assert ndjson.decode_pair_lines(lines, 1, Limits()).items == list(pairs.items())
    lines = b"".join(ndjson.encode_lines(pairs, always_base64=True))
    assert len(lines.decode().splitlines()) == 2
    large = {character: character.encode() * 800_000, "a": b"b"}
    lines = b"".join(ndjson.encode_lines(large, always_base64=False))
    assert len(lines.decode().splitlines()) == 2
    assert ndjson.decode_pair_lines(lines, 1, Limits()).items == list(large.items())


def test_a_byte_order_mark_is_skipped_at_the_start_alone() -> None:
    mark, line = b"\xef\xbb\xbf", b'{"key": "a", "value": "1"}\n'
    for step in 1, 2, 100:
        text = mark + line * 2 + mark + line
        got, problem = read_all(Pieces([text[start : start + step] for start in range(0, len(text), step)]))
        assert got == [("a", b"1")] * 2
        assert problem is not None
        assert str(problem).startswith("Line 3 starts with a byte order mark (EF BB BF)")


def test_a_line_that_cannot_be_good_is_not_waited_for() -> None:
    limits = Limits(key_bytes=10, value_bytes=100)
    body = Pieces([b'{"key": "a", "value": "1"}\n', *[b"x" * 100] * 1_000])
    pairs, problem = read_all(body, limits)
    assert pairs == [("a", b"1")]
    assert problem is not None
    assert (problem.code, problem.members["line"]) == ("too-large", 2)
    assert len(body.pieces) > 900
    # Both are possible: the rest of the line was not awaited.
    assert "its value is too large, or the newline between two pairs is missing" in str(problem)


@pytest.mark.parametrize("value", ["\0", '"', "\\", "é", "😀", "v"])
def test_the_longest_good_line_is_taken_however_it_is_written(value: str) -> None:
    limits = Limits(key_bytes=40, value_bytes=300_000)
    value *= limits.value_bytes // len(value.encode())
    pair = {"key": "\0" * 40, "value": value}
    for line in json.dumps(pair), json.dumps(pair, ensure_ascii=False):
        pieces = [line.encode()[start : start + 1_000] for start in range(0, len(line.encode()), 1_000)]
        assert read_all(Pieces(pieces), limits) == ([("\0" * 40, value.encode())], None)
    packed = json.dumps(
        {"key": "\0" * 40, "value": base64.b64encode(value.encode()).decode(), "encoding": "base64"}
    )
    assert read_all(Pieces([packed.encode()]), limits) == ([("\0" * 40, value.encode())], None)


@pytest.mark.parametrize("filler", [b"x", b'"', b"\\\\", b'\\"', b"\\u0000", b'"\\\\', b"[,"])
def test_a_line_that_says_too_much_is_not_waited_for(filler: bytes) -> None:
    """A line without escapes is not given the room that escapes would take."""
    limits = Limits(key_bytes=10, value_bytes=300_000)
    body = Pieces([filler * (12_000 // len(filler))] * 1_000)
    pairs, problem = read_all(body, limits)
    assert (pairs, problem and problem.code) == ([], "too-large")
    taken = 12_000 * (1_000 - len(body.pieces))
    said = {b"\\u0000": 6, b"\\\\": 2, b'\\"': 2, b'"\\\\': 1.5}.get(filler, 1)
    assert taken <= said * 1.4 * limits.value_bytes + 12_000


def test_long_lines_among_short_ones_keep_their_numbers() -> None:
    limits = Limits()
    short = b'{"key": "a", "value": "b"}\n\n'
    long = b'{"key": "l", "value": "%s"}\n' % (b"v" * bulk.LONG_LINE_BYTES)
    block = short * 3 + long + short * 2_000 + long + b"\n" * 3 + long + b" \n"
    lines = ndjson.decode_pair_lines(block, 1, limits)
    numbers = [1, 3, 5, 7, *range(8, 4_008, 2), 4_008, 4_012]
    assert (lines.problem, list(lines.numbers), lines.next_number) == (None, numbers, 4_014)
    assert [key for key, _ in lines.items] == ["a"] * 3 + ["l"] + ["a"] * 2_000 + ["l"] * 2
    blank = ndjson.decode_pair_lines(b" " * bulk.LONG_LINE_BYTES + b"\n" + b"{", 1, limits)
    assert blank.problem is not None
    assert (blank.items, blank.problem.members["line"]) == ([], 2)


def test_a_line_of_many_values_is_not_parsed() -> None:
    line = b'{"key": "a", "value": [' + b"[]," * 10_000 + b"[]]}\n"
    lines = ndjson.decode_pair_lines(b'{"key": "a", "value": "b"}\n' + line, 1, LIMITS)
    assert lines.items == [("a", b"b")]
    assert lines.problem is not None
    assert (lines.problem.code, lines.problem.members["line"]) == ("malformed-body", 2)
    assert "not a list" in lines.problem.detail
