"""Keys, pairs, forms and queries: what is taken, what is refused and where it is said to be wrong."""

from __future__ import annotations

import base64
import json
import tracemalloc
from collections.abc import Callable, Sequence
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.problems import Problem
from gateway.settings import Limits
from gateway.wire import bulk, encoding, json_text, ndjson
from gateway.wire.bulk import body_keys, body_pairs
from gateway.wire.encoding import encode_pairs
from gateway.wire.form import FormDecoder
from gateway.wire.json_text import MAX_DEPTH, TooMany, min_content_bytes, outline, parse, too_deep
from gateway.wire.pairs import Pair, decode_keys, decode_pairs
from gateway.wire.query import parse_query

LIMITS = Limits(body_bytes=1_000_000, keys=50, key_bytes=20, value_bytes=100)
ROOMY = Limits(keys=10_000, key_bytes=10_000, value_bytes=100_000)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


def code_and_place(error: Problem) -> tuple[str, object]:
    return error.code, error.members.get("pointer")


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (b"", "malformed-body", ""),
        (b"{", "malformed-body", ""),
        (b"[]", "malformed-body", ""),
        (b"null", "malformed-body", ""),
        (b"{}", "malformed-body", ""),
        (b'{"keys": []} x', "malformed-body", ""),
        (b'{"keys": ["a",]}', "malformed-body", ""),
        (b"{'keys': []}", "malformed-body", ""),
        (b'\xef\xbb\xbf\xef\xbb\xbf{"keys": []}', "malformed-body", ""),
        (b'{"keys": \xef\xbb\xbf[]}', "malformed-body", ""),
        (b'{"keys": ["\xff"]}', "malformed-body", ""),
        (b'{"keys": ["\xc0\xaf"]}', "malformed-body", ""),  # overlong
        (b'{"keys": ["\xed\xa0\x80"]}', "malformed-body", ""),  # a surrogate in UTF-8
        (b'{"keys": ["a\nb"]}', "malformed-body", ""),
        (b'{"keys": NaN}', "malformed-body", ""),
        (b'{"keys": [Infinity]}', "malformed-body", ""),
        (b'{"keys": [-Infinity]}', "malformed-body", ""),
        (b'{"keys": null}', "malformed-body", "/keys"),
        (b'{"keys": "a"}', "malformed-body", "/keys"),
        (b'{"keys": {"0": "a"}}', "malformed-body", "/keys"),
        (b'{"keys": [], "keys": []}', "malformed-body", "/keys"),
        (b'{"keys": [], "a/b~c": 1}', "malformed-body", "/a~1b~0c"),
        (b'{"pairs": []}', "malformed-body", "/pairs"),
        (b'{"keys": ["a", 1]}', "invalid-key", "/keys/1"),
        (b'{"keys": ["a", ' + b"1" * 1_000_000 + b"]}", "invalid-key", "/keys/1"),
        (b'{"keys": ["a", 1e999]}', "invalid-key", "/keys/1"),
        (b'{"keys": [null]}', "invalid-key", "/keys/0"),
        (b'{"keys": [true]}', "invalid-key", "/keys/0"),
        (b'{"keys": [["a"]]}', "invalid-key", "/keys/0"),
        (b'{"keys": [{"key": "a"}]}', "invalid-key", "/keys/0"),
        (b'{"keys": ["a", "\\ud800"]}', "invalid-key", "/keys/1"),
        (b'{"keys": ["\\ud83d", "\\ude00"]}', "invalid-key", "/keys/0"),
        (b'{"keys": ["\\ude00\\ud83d"]}', "invalid-key", "/keys/0"),
        (b'{"keys": ["012345678901234567890"]}', "invalid-key", "/keys/0"),
        ('{"keys": ["' + "é" * 11 + '"]}', "invalid-key", "/keys/0"),
        (json.dumps({"keys": ["k"] * 51}), "too-large", None),
        (b"[" * 100_000, "malformed-body", ""),
        (b'{"a":' * 100_000, "malformed-body", ""),
        (b'[{"a":' * 50_000, "malformed-body", ""),
        (b'{"keys": [' + b"[" * 300 + b"]" * 300 + b"]}", "malformed-body", ""),
    ],
    ids=lambda value: repr(value[:30]) if isinstance(value, bytes | str) else repr(value),
)
def test_a_bad_keys_body_is_refused(body: bytes | str, code: str, pointer: str | None) -> None:
    with pytest.raises(Problem) as problem:
        decode_keys(body.encode() if isinstance(body, str) else body, LIMITS)
    assert code_and_place(problem.value) == (code, pointer)


@pytest.mark.parametrize(
    ("pair", "code", "pointer"),
    [
        ('"a"', "malformed-body", "/pairs/1"),
        ('["a", "1"]', "malformed-body", "/pairs/1"),
        ("null", "malformed-body", "/pairs/1"),
        ("{}", "malformed-body", "/pairs/1"),
        ('{"key": "a"}', "malformed-body", "/pairs/1"),
        ('{"value": "1"}', "malformed-body", "/pairs/1"),
        ('{"key": "a", "value": "1", "key": "b"}', "malformed-body", "/pairs/1/key"),
        ('{"key": "a", "value": "1", "ttl": 3}', "malformed-body", "/pairs/1/ttl"),
        ('{"key": "a", "value": "1", "__proto__": {}}', "malformed-body", "/pairs/1/__proto__"),
        ('{"key": 1, "value": "1"}', "invalid-key", "/pairs/1/key"),
        ('{"key": "\\udfff", "value": "1"}', "invalid-key", "/pairs/1/key"),
        ('{"key": "a", "value": null}', "invalid-value", "/pairs/1/value"),
        ('{"key": "a", "value": 1}', "invalid-value", "/pairs/1/value"),
        ('{"key": "a", "value": []}', "invalid-value", "/pairs/1/value"),
        ('{"key": "a", "value": "\\ud800x"}', "invalid-value", "/pairs/1/value"),
        ('{"key": "a", "value": "1", "encoding": "utf-8"}', "invalid-value", "/pairs/1/encoding"),
        ('{"key": "a", "value": "1", "encoding": null}', "invalid-value", "/pairs/1/encoding"),
        ('{"key": "a", "value": "AA", "encoding": "base64"}', "invalid-value", "/pairs/1/value"),
        ('{"key": "a", "value": "AA=", "encoding": "base64"}', "invalid-value", "/pairs/1/value"),
        ('{"key": "a", "value": "AA==AA==", "encoding": "base64"}', "invalid-value", "/pairs/1/value"),
        ('{"key": "a", "value": "A A=", "encoding": "base64"}', "invalid-value", "/pairs/1/value"),
        ('{"key": "a", "value": "_-8=", "encoding": "base64"}', "invalid-value", "/pairs/1/value"),
        ('{"key": "a", "value": "é", "encoding": "base64"}', "invalid-value", "/pairs/1/value"),
        ('{"key": "a", "value": "=", "encoding": "base64"}', "invalid-value", "/pairs/1/value"),
        ('{"key": "a", "value": "%s"}' % ("x" * 101), "too-large", "/pairs/1/value"),
    ],
)
def test_a_bad_pair_is_refused_at_its_place(pair: str, code: str, pointer: str) -> None:
    with pytest.raises(Problem) as problem:
        decode_pairs(f'{{"pairs": [{{"key": "a", "value": "1"}}, {pair}]}}'.encode(), LIMITS)
    assert code_and_place(problem.value) == (code, pointer)


@pytest.mark.parametrize(
    ("body", "pairs"),
    [
        ('{"pairs": []}', []),
        ('{"pairs": [{"value": "1", "key": "a"}]}', [("a", b"1")]),
        ('{"pairs": [{"key": "", "value": ""}]}', [("", b"")]),
        ('{"pairs": [{"key": "\\ud83d\\ude00", "value": "é"}]}', [("😀", "é".encode())]),
        ('{"pairs": [{"key": "\\u0000", "value": "\\u0000"}]}', [("\0", b"\0")]),
        ('{"pairs": [{"key": "a", "value": "", "encoding": "base64"}]}', [("a", b"")]),
        ('{"pairs": [{"encoding": "base64", "key": "a", "value": "AAH/"}]}', [("a", b"\x00\x01\xff")]),
        ('{"pairs": [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]}', [("a", b"1"), ("a", b"2")]),
        (' \t\r\n{ "pairs" : [ ] } \n', []),
    ],
)
def test_good_pairs_are_taken_as_they_stand(body: str, pairs: list[Pair]) -> None:
    assert decode_pairs(body.encode(), LIMITS) == pairs


def test_a_byte_order_mark_is_skipped() -> None:
    assert decode_keys(b'\xef\xbb\xbf{"keys": ["\xef\xbb\xbf"]}', LIMITS) == ["\ufeff"]
    assert decode_pairs(b'\xef\xbb\xbf {"pairs": []}', LIMITS) == []


def test_a_syntax_error_says_where_it_is() -> None:
    with pytest.raises(Problem, match="line 2, column 7"):
        parse(b'{\n  "a" 1}')


@given(st.lists(TEXT, max_size=30))
def test_any_keys_survive_the_wire(keys: list[str]) -> None:
    assert decode_keys(json.dumps({"keys": keys}).encode(), ROOMY) == keys
    assert decode_keys(json.dumps({"keys": keys}, ensure_ascii=False).encode(), ROOMY) == keys


LARGE_PAIRS = [
    ("text", 'aé€😀\0"'.encode() * 7),
    ("bytes", bytes(range(256))),
    ("missing", None),
    ("small", b"v"),
    ("cut", b"a" + "😀".encode() * 9 + b"\xf0\x9f"),
    ("empty", b""),
]


@pytest.mark.parametrize("always_base64", [False, True])
@pytest.mark.parametrize("step", [6, 9, 300])
@pytest.mark.parametrize("large", [0, 10, 60, 200])
def test_large_values_are_encoded_as_small_ones_are(always_base64: bool, step: int, large: int) -> None:
    keys, values = columns(LARGE_PAIRS * 3)
    expected = b"".join(encode_pairs(keys, values, always_base64))
    with patch.object(encoding, "ENCODING_STEP", step), patch.object(encoding, "ENCODING_RUN", large):
        pieces = list(encode_pairs(keys, values, always_base64))
        lines = list(ndjson.encode_lines(dict(zip(keys, values, strict=True)), always_base64))
    assert b"".join(pieces) == expected
    assert b"".join(lines) == b"".join(ndjson.encode_lines(dict(LARGE_PAIRS), always_base64))
    assert all(pieces + lines)


@pytest.mark.parametrize(
    "value", [b"\0", "é".encode(), b"\xff", "😀".encode()], ids=["six", "text", "bytes", "wide"]
)
def test_a_large_value_is_encoded_in_little_memory(value: bytes) -> None:
    """Six bytes for each, of ten values of four megabytes, would be 240 megabytes."""
    values = [value * (4_000_000 // len(value))] * 10
    tracemalloc.start()
    try:
        for piece in encode_pairs([f"k{number}" for number in range(10)], values, False):
            assert len(piece) < 2_000_000
        assert tracemalloc.get_traced_memory()[1] < 6_000_000
    finally:
        tracemalloc.stop()


def columns(pairs: Sequence[tuple[str, bytes | None]]) -> tuple[list[str], list[bytes | None]]:
    return [key for key, _ in pairs], [value for _, value in pairs]


@given(st.lists(st.tuples(TEXT, st.binary() | TEXT.map(str.encode)), max_size=30), st.booleans())
@example([("k", bytes(range(256))), ("", b"")], True)
@example([("k", b"\xef\xbb\xbf"), ("\ufeff", b"\xff")], False)
def test_an_answer_is_a_body_that_sets_the_same_bytes(pairs: list[Pair], always_base64: bool) -> None:
    answer = b'{"pairs": [' + b"".join(encode_pairs(*columns(pairs), always_base64)) + b"]}"
    assert decode_pairs(answer, ROOMY) == pairs


@given(st.lists(st.tuples(TEXT, st.none() | st.binary() | TEXT.map(str.encode)), max_size=9), st.booleans())
def test_an_answer_says_what_it_must(pairs: list[tuple[str, bytes | None]], always_base64: bool) -> None:
    objects = json.loads(b"[" + b"".join(encode_pairs(*columns(pairs), always_base64)) + b"]")
    for (key, value), member in zip(pairs, objects, strict=True):
        assert member["key"] == key
        if value is None:
            assert member == {"key": key, "value": None}
        elif "encoding" in member:
            assert (member["encoding"], base64.b64decode(member["value"], validate=True)) == ("base64", value)
        else:
            assert not always_base64
            assert member["value"].encode() == value


PIECES = st.sampled_from(
    [
        *(
            '{"keys": ["',
            '{"keys":["',
            '{"pairs": [',
            '{"pairs":[',
            "]}",
            '"]}',
            '"}]}',
            '", "',
            '","',
            "},{",
        ),
        *('{"key": "', '{"key":"', '", "value": "', '","value":"', '"}', "}, {", '", "encoding": "base64"}'),
        *(
            "a",
            "b",
            "YQ==",
            "é",
            '"',
            "\\",
            '\\"',
            "\n",
            "\t",
            "\\u0041",
            "\\ud800",
            "{",
            "}",
            "[",
            "]",
            ",",
            " ",
        ),
    ]
)
"""Pieces that make bodies that are nearly as the bulk decoder expects them."""


def decoded(decode: Callable[[bytes, Limits], list[Any]], body: bytes, limits: Limits) -> list[Any]:
    """What was decoded; empty if the body is not valid."""
    try:
        return decode(body, limits)
    except Problem:
        return []


@pytest.mark.parametrize("separators", [None, (",", ":")])
@pytest.mark.parametrize("packed", [False, True])
def test_bodies_of_many_pairs_are_decoded_in_bulk(separators: tuple[str, str] | None, packed: bool) -> None:
    pairs = [(f"clé:{number}", b"YQ==" + b"x" * 4 * number) for number in range(200)]
    encoding = {"encoding": "base64"} if packed else {}
    texts = [(base64.b64encode(value) if packed else value).decode() for _, value in pairs]
    members = [{"key": key, "value": text, **encoding} for (key, _), text in zip(pairs, texts, strict=True)]
    body = json.dumps({"pairs": members}, separators=separators, ensure_ascii=False).encode()
    assert body_pairs(body, ROOMY) == decode_pairs(body, ROOMY) == pairs
    keys = [key for key, _ in pairs]
    body_of_keys = json.dumps({"keys": keys}, separators=separators, ensure_ascii=False).encode()
    assert body_keys(body_of_keys + b"\n", ROOMY) == keys
    assert body_keys(body_of_keys, Limits(keys=199)) == []
    assert body_pairs(body, Limits(keys=199)) == []


@given(
    st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=9),
    st.sampled_from([None, (",", ":")]),
    st.booleans(),
)
@example([("a", "}, {"), ('"}, {"', ", ")], None, True)
def test_the_bulk_decoder_of_bodies_finds_what_the_parser_finds(
    pairs: list[tuple[str, str]], separators: tuple[str, str] | None, ascii_only: bool
) -> None:
    members = [{"key": key, "value": value} for key, value in pairs]
    keys = {"keys": [key for key, _ in pairs]}
    with patch.object(bulk, "BULK_PIECE_BYTES", 50):
        body = json.dumps({"pairs": members}, separators=separators, ensure_ascii=ascii_only).encode()
        assert body_pairs(body, ROOMY) in ([], decode_pairs(body, ROOMY))
        body = json.dumps(keys, separators=separators, ensure_ascii=ascii_only).encode()
        assert body_keys(body, ROOMY) in ([], decode_keys(body, ROOMY))


@given(st.lists(PIECES, max_size=14).map("".join), st.sampled_from([0, 20, bulk.BULK_PIECE_BYTES]))
@example('{"keys": ["a", "b"]}', 0)
@example('{"keys": [", ", "", ", "]}', 0)
@example('{"pairs": [{"key": "a", "value": "b"}, {"key": "}, {", "value": "b"}]}', 20)
@example('{"pairs": [{"key": "a\\"}, {\\"key", "value": "b"}]}', 0)
def test_the_bulk_decoder_of_bodies_accepts_nothing_else(text: str, piece: int) -> None:
    body = text.encode()
    limits = Limits(keys=3, key_bytes=8, value_bytes=4, refused_characters="b")
    with patch.object(bulk, "BULK_PIECE_BYTES", piece):
        assert body_pairs(body, limits) in ([], decoded(decode_pairs, body, limits))
        assert body_keys(body, limits) in ([], decoded(decode_keys, body, limits))


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text('"\\[]{}a', max_size=6),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text('"\\[]{}', max_size=4), inner, max_size=4)
    ),
)


def untupled(value: object) -> object:
    if isinstance(value, tuple):
        return {name: untupled(member) for name, member in value}
    return [untupled(member) for member in value] if isinstance(value, list) else value


@given(JSON_VALUES)
def test_brackets_and_quotes_in_strings_mean_nothing(value: object) -> None:
    text = json.dumps(value)
    assert untupled(parse(text.encode())) == value
    assert not too_deep(json.dumps([text * 3] * 70).encode())


OPENERS = [("[", 1), ('{"a":', 1), ('{"\\"]":[', 2), ('{"\\\\":[', 2), ('["]",{"}":', 2)]


@given(st.sampled_from(OPENERS), st.integers(0, 400), st.text('[]{}"\\ax:,', max_size=300))
def test_what_is_called_shallow_is_safe_to_parse(opener: tuple[str, int], times: int, noise: str) -> None:
    """Whatever follows them, no more than 3 x MAX_DEPTH open brackets get to the parser."""
    text, levels = opener
    if not too_deep((text * times + noise).encode()):
        assert levels * times <= 3 * MAX_DEPTH


@pytest.mark.parametrize(("text", "levels"), OPENERS)
def test_depth_is_measured_outside_strings(text: str, levels: int) -> None:
    assert too_deep((text * 400).encode())
    assert not too_deep((text * (MAX_DEPTH // levels)).encode())


JSON_VALUES = st.recursive(
    st.none() | st.text(st.sampled_from('",\\[]{} a'), max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
)


def marks(value: object) -> str:
    """The brackets and commas that JSON has outside of strings; S for each string."""
    if isinstance(value, dict):
        members = [f"S{marks(member)}" for member in value.values()]
        return "{" + ",".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(marks, value)) + "]"
    return "S" * isinstance(value, str)


@given(JSON_VALUES, st.integers(1, 20), st.integers(0, 60))
def test_marks_are_found_outside_strings_wherever_the_text_is_cut(
    value: object, piece: int, most: int
) -> None:
    text = json.dumps(value).encode()
    expected = marks(value)
    with patch.object(json_text, "SCAN_PIECE_BYTES", piece):
        assert outline(text).decode() == expected.replace("S", "")
        if len(expected.replace("S", "SS")) > most:
            with pytest.raises(TooMany):
                outline(text, most)
        else:
            assert outline(text, most) == outline(text)


@given(st.text('"\\u0aé', max_size=40), st.lists(st.integers(0, 200), max_size=8).map(sorted))
@example('\\u0000"', [1])
def test_a_line_is_never_said_to_be_longer_than_it_is(value: str, cuts: list[int]) -> None:
    for text in json.dumps(value), json.dumps(value, ensure_ascii=False), json.dumps("\0" + value):
        line = text.encode()
        pieces = [line[start:end] for start, end in zip([0, *cuts], [*cuts, len(line)], strict=True)]
        assert sum(map(min_content_bytes, pieces)) <= len(json.loads(text).encode()) + 2
    said = sum(map(min_content_bytes, [b"\\\\" * 1_000, b"\\u0000" * 1_000, b'\\"' * 1_000]))
    assert 2_990 < said <= 3_000


QUOTES = 1_000_000


@pytest.mark.parametrize(
    "text",
    [
        b"[" * 65 + b'""' * QUOTES,
        b"[" + b"," * 101 + b'""' * QUOTES,
        b"[" * 65 + b'"\\\\' * QUOTES,
        b"[" * 65 + b'"[[,,' * QUOTES,
        b"[" * 65 + b'"a",' * QUOTES,
        b"[]" * QUOTES,
        b"[" * QUOTES,
        b"," * QUOTES,
    ],
    ids=range(8),
)
def test_a_measure_takes_no_memory_to_speak_of(text: bytes) -> None:
    """Whatever the text: a list of its quotes would be ten times its size."""
    tracemalloc.start()
    try:
        with pytest.raises(TooMany):
            outline(text, 1_000)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
        tracemalloc.reset_peak()
        too_deep(text)
        assert tracemalloc.get_traced_memory()[1] < 3 * len(text) + 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("values", [b"[],", b"1,", b'{"a":1,"b":2},'], ids=["arrays", "numbers", "objects"])
def test_more_values_than_a_request_may_have_are_never_parsed(values: bytes) -> None:
    limits = Limits(keys=100)
    with pytest.raises(Problem) as refusal:
        decode_keys(b'{"keys": [' + values * 100_000 + b'"a"]}', limits)
    assert (refusal.value.code, refusal.value.members["limit"]) == ("too-large", 100)
    with pytest.raises(Problem) as refusal:
        decode_pairs(b'{"pairs": [' + values * 100_000 + b"1]}", limits)
    assert refusal.value.code == "too-large"


def test_the_longest_good_body_is_parsed() -> None:
    pairs = [{"key": f"k{number}", "value": "AA==", "encoding": "base64"} for number in range(100)]
    limits = Limits(keys=100)
    assert len(decode_pairs(json.dumps({"pairs": pairs}).encode(), limits)) == 100
    with pytest.raises(Problem) as refusal:
        decode_pairs(json.dumps({"pairs": [*pairs, pairs[0]]}).encode(), limits)
    assert refusal.value.members["actual"] == 101


def form(parts: list[tuple[str, bytes]], boundary: str = "xyz") -> bytes:
    body = b""
    for name, value in parts:
        quoted = name.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22")
        body += f'--{boundary}\r\nContent-Disposition: form-data; name="{quoted}"\r\n\r\n'.encode()
        body += value + b"\r\n"
    return body + f"--{boundary}--\r\n".encode()


def decode_form(chunks: list[bytes], limits: Limits = LIMITS, boundary: str = "boundary=xyz") -> list[Pair]:
    decoder = FormDecoder(f"multipart/form-data; {boundary}", limits)
    for chunk in chunks:
        decoder.feed(chunk)
    return decoder.pairs()


FORM_NAMES = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters='"\\%'), max_size=20)


@given(st.lists(st.tuples(FORM_NAMES, st.binary(max_size=50)), max_size=9), st.integers(1, 60))
def test_a_form_is_read_however_it_is_cut(parts: list[Pair], step: int) -> None:
    body = form(parts)
    pieces = [body[start : start + step] for start in range(0, len(body), step)]
    assert decode_form(pieces, ROOMY) == decode_form([body], ROOMY) == parts


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        (b"", "malformed-body", "/pairs/0"),
        (b"hello", "malformed-body", "/pairs/0"),
        (form([("a", b"1"), ("b", b"2")])[:-8], "malformed-body", "/pairs/1"),
        (b"--xyz\r\nContent-Disposition: form-data\r\n\r\n1\r\n--xyz--", "malformed-body", "/pairs/0"),
        (b"--xyz\r\nContent-Type: text/plain\r\n\r\n1\r\n--xyz--", "malformed-body", "/pairs/0"),
        (b"--xyz\r\nnonsense\r\n\r\n1\r\n--xyz--", "malformed-body", "/pairs/0"),
        (
            b'--xyz\r\nContent-Disposition: form-data; name="\xff"\r\n\r\n1\r\n--xyz--',
            "malformed-body",
            "/pairs/0",
        ),
        (form([("a", b"1"), ("k" * 21, b"2")]), "invalid-key", "/pairs/1/key"),
        (form([("k" * 5_000, b"2")]), "malformed-body", "/pairs/0"),
        (form([('a"b', b"1")]), "malformed-body", "/pairs/0"),
        (form([("a", b"1")]).replace(b"\r\n\r\n", b"\r\nX: y\r\n z\r\n\r\n"), "malformed-body", "/pairs/0"),
        (form([("a", b"1")]).replace(b'"a"', b'"a\r\n b"'), "malformed-body", "/pairs/0"),
        (form([("a", b"1")]).replace(b'"a"', b'"a\r\nb: c"'), "malformed-body", "/pairs/0"),
        (
            form([("a", b"1")]).replace(b"Content", b"Content-Disposition: form-data; name=b\r\nContent"),
            "malformed-body",
            "/pairs/0",
        ),
        (form([("a", b"x" * 101)]), "too-large", "/pairs/0/value"),
        (form([("a", b"x")]).replace(b"form-data; ", b"form-data;\r\n "), "malformed-body", "/pairs/0"),
        (form([("a", b"1")] * 51), "too-large", None),
    ],
)
def test_a_bad_form_is_refused(body: bytes, code: str, pointer: str | None) -> None:
    with pytest.raises(Problem) as problem:
        decode_form([body])
    assert code_and_place(problem.value) == (code, pointer)


@pytest.mark.parametrize(
    "boundary", ["", "boundary=", 'boundary=""', "boundary=" + "x" * 71, "charset=utf-8"]
)
def test_a_form_needs_its_boundary(boundary: str) -> None:
    with pytest.raises(Problem, match="boundary"):
        decode_form([], boundary=boundary)


def test_a_part_may_have_an_empty_name_and_a_file() -> None:
    body = (
        b'--xyz\r\nContent-Disposition: form-data; name=""\r\n\r\n\r\n'
        b'--xyz\r\nContent-Disposition: form-data; name="f"; filename="x.png"\r\n'
        b"Content-Type: image/png\r\n\r\n\x00\xff\r\n--xyz--\r\n"
    )
    assert decode_form([body]) == [("", b""), ("f", b"\x00\xff")]


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ("", {}),
        ("key=a&key=b", {"key": ["a", "b"]}),
        ("key=a+b%20c%2Bd", {"key": ["a b c+d"]}),
        ("key", {"key": [""]}),
        ("key=&&key==x", {"key": ["", "=x"]}),
        ("key=%F0%9F%98%80", {"key": ["😀"]}),
        ("key=😀", {"key": ["😀"]}),
        ("key=%00", {"key": ["\0"]}),
        ("%6bey=a", {"key": ["a"]}),
        ("key=a;key=b", {"key": ["a;key=b"]}),
    ],
)
def test_a_query_is_read_as_a_form_is(query: str, values: dict[str, list[str]]) -> None:
    assert parse_query(query, {"key", "other"}) == values


@pytest.mark.parametrize(
    ("query", "parameter"),
    [("x=1", "x"), ("KEY=a", "KEY"), ("=a", ""), ("key=%", "key"), ("key=%f", "key"), ("key=%zz", "key"),
     ("key=%ff", "key"), ("key=%ed%a0%80", "key"), ("%zz=1", "%zz")],
)  # fmt: skip
def test_a_bad_query_names_the_parameter(query: str, parameter: str) -> None:
    with pytest.raises(Problem) as problem:
        parse_query(query, {"key"})
    assert (problem.value.code, problem.value.members["parameter"]) == ("malformed-query", parameter)
