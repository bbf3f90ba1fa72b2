"""Bodies that are something else: the refusal names what was met, where, and the way out."""

from __future__ import annotations

import gzip
import json

import pytest

from gateway.wire.media import JSON, NDJSON
from tests.buckets import Sqlite
from tests.unit.test_gateway import SmallBody, SmallHost, ask, problem

PAIRS = '{"pairs": [{"key": "a", "value": "1"}]}'
LINE = '{"key": "a", "value": "1"}\n'
ONE = LINE.strip().encode()
CONSUL = b'[\n\t{\n\t\t"key": "a",\n\t\t"flags": 0,\n\t\t"value": "MQ=="\n\t}\n]'

CASES: list[tuple[str, str, bytes, str, str]] = [
    # operation, content-type, body, what is told of the thing met, and of the way out
    ("set-many", JSON, b"\xff\xfe" + PAIRS.encode("utf-16-le"), "UTF-16 byte order mark (FF FE)", "iconv -f"),
    ("set-many", JSON, b"\xfe\xff" + PAIRS.encode("utf-16-be"), "UTF-16 byte order mark (FE FF)", "iconv -f"),
    ("set-many", JSON, PAIRS.encode("utf-16-le"), "looks like UTF-16", "iconv -f UTF-16LE"),
    ("set-many", JSON, gzip.compress(PAIRS.encode()), "gzip data (1F 8B)", "content-encoding: gzip"),
    ("set-many", JSON, b"\xef\xbb\xbf" * 2 + PAIRS.encode(), "byte order mark (EF BB BF)", "Remove it"),
    ("set-many", JSON, b"", "The body is empty", '{"pairs": […]}'),
    ("get-many", JSON, b" \n", "The body is empty", '{"keys": […]}'),
    ("set-many", JSON, (LINE * 2).encode(), "that is NDJSON", f"content-type: {NDJSON}"),
    ("set-many", JSON, (LINE * 20_000).encode(), "that is NDJSON", f"content-type: {NDJSON}"),
    ("delete-many", JSON, b'{"key": "a"}\r\n{"key": "b"}\r\n', "that is NDJSON", f"content-type: {NDJSON}"),
    ("set-many", JSON, LINE.encode(), "single pair", f"content-type: {NDJSON}"),
    ("set-many", JSON, f"[{LINE}]".encode(), "wrangler kv bulk put", "jq '{pairs: [.[] | {key, value}"),
    ("set-many", JSON, b"[]", "is an array", "jq '{pairs:"),
    ("set-many", JSON, CONSUL, "consul kv export", 'encoding: "base64"'),
    ("delete-many", JSON, b'["a", "b"]', "wrangler kv", "jq '{keys: [.[] | .name? // .key? // .]}'"),
    ("delete-many", JSON, b'[{"key": "a"}]', "is an array", "jq '{keys: [.[] |"),
    ("set-many", JSON, b"key,value\na,1\n", "looks like CSV", "kvb import --from csv"),
    ("set-many", JSON, b'"key","value"\r\n"a","1"\r\n', "looks like CSV", "kvb import --from csv"),
    ("get-many", JSON, b"a,b", "looks like CSV", '{"keys": […]}'),
    ("set-many", NDJSON, b"key,value\na,1\n", "Line 1 looks like CSV", "kvb import --from csv"),
    ("set-many", NDJSON, LINE.encode() + b'"b","1"\n', "Line 2 looks like CSV", "kvb import --from csv"),
    ("set-many", NDJSON, b"\xff\xfe" + LINE.encode("utf-16-le"), "Line 1 starts with a UTF-16", "iconv -f"),
    ("set-many", NDJSON, LINE.encode("utf-16-le"), "Line 1 looks like UTF-16", "iconv -f UTF-16LE"),
    ("set-many", NDJSON, gzip.compress(LINE.encode()), "Line 1 starts with gzip", "content-encoding: gzip"),
    ("set-many", NDJSON, b"[" + b",".join([ONE] * 2) + b"]", "Line 1 starts an array", "jq -c '.[]'"),
    ("set-many", NDJSON, b"[" + b",".join([ONE] * 99) + b"]", "starts an array", "jq -c '.[]'"),
    ("set-many", NDJSON, json.dumps([json.loads(LINE)], indent=2).encode(), "starts an array", "jq -c '.[]'"),
    ("set-many", NDJSON, json.dumps(json.loads(LINE), indent=2).encode(), "continues on the next", "jq -c ."),
    ("set-many", NDJSON, PAIRS.encode(), "Line 1 is a JSON body", "jq -c '.pairs[]'"),
    ("get-many", NDJSON, b'{"keys": ["a"]}', "Line 1 is a JSON body", "jq -c '.keys[] | {key: .}'"),
    ("set-many", NDJSON, ONE * 2, "Line 1 has more", "--data-binary"),
    ("set-many", NDJSON, ONE * 200, "Line 1 has more", "--data-binary"),
    ("set-many", NDJSON, ONE + b", " + ONE, "Line 1 has more", "--data-binary"),
    ("set-many", NDJSON, LINE.encode() + b"\xef\xbb\xbf" + ONE, "Line 2 starts with a byte", "Remove it"),
]


@pytest.mark.parametrize(
    ("operation", "content_type", "body", "met", "way_out"), CASES, ids=range(len(CASES))
)
def test_a_body_that_is_something_else_is_named(
    operation: str, content_type: str, body: bytes, met: str, way_out: str
) -> None:
    bucket = Sqlite()
    answer = ask(SmallHost(bucket), "POST", f"/v1/default/{operation}", body, content_type=content_type)
    told = problem(answer)
    assert (told["status"], told["type"]) == (400, "/problems/malformed-body")
    assert met in told["detail"]
    assert way_out in told["detail"]
    assert len(told["detail"]) < 400
    assert ("line" in told) is (content_type == NDJSON)
    assert list(bucket.data) == (["a"] if told.get("line") == 2 else [])


BASE64: list[tuple[str, str]] = [
    ("QUJD\nQUJD", "base64 -w 0"),
    ("QUJD\r\nQUJD", "base64 -w 0"),
    ("_-8=", "tr '_-' '/+'"),
    ("_-8", "tr '_-' '/+'"),
    ("QQ", "Pad it with ="),
    ("Q*==", "RFC 4648 section 4"),
]


@pytest.mark.parametrize(("value", "way_out"), BASE64)
def test_a_value_that_is_not_base64_is_told_why(value: str, way_out: str) -> None:
    body = {"pairs": [{"key": "a", "value": value, "encoding": "base64"}]}
    told = problem(ask(SmallHost(), "POST", "/v1/default/set-many", body))
    assert (told["type"], told["pointer"]) == ("/problems/invalid-value", "/pairs/0/value")
    assert way_out in told["detail"]


def test_an_answer_with_nulls_is_no_body_and_the_filter_is_told() -> None:
    body = {"pairs": [{"key": "a", "value": None}]}
    told = problem(ask(SmallHost(), "POST", "/v1/default/set-many", body))
    assert "select(.value == null)" in told["detail"]


@pytest.mark.parametrize("content_type", [JSON, NDJSON, "multipart/form-data; boundary=x"])
@pytest.mark.parametrize("charset", ["utf-16", "ISO-8859-1", '"windows-1252"', "nonsense"])
def test_a_charset_that_is_not_utf_8_is_refused_unread(content_type: str, charset: str) -> None:
    """`Ã©` in latin-1 is `é` in UTF-8: another text, without an error."""
    body = SmallBody([b"x"])
    sent = f"{content_type}; Charset={charset}"
    answer = ask(SmallHost(), "POST", "/v1/default/set-many", body, content_type=sent)
    told = problem(answer)
    assert (told["type"], body.reads) == ("/problems/unsupported-media-type", 0)
    assert charset.strip('"') in told["detail"]
    assert "accept-post" in dict(answer.headers)


@pytest.mark.parametrize("parameter", ["", "; charset=utf-8", "; charset=UTF8", '; charset="utf-8"', "; x"])
def test_utf_8_is_taken_by_any_of_its_names(parameter: str) -> None:
    answer = ask(SmallHost(), "POST", "/v1/default/set-many", PAIRS.encode(), content_type=JSON + parameter)
    assert answer.status == 200


@pytest.mark.parametrize(
    "name", ["application/ndjson", "application/jsonl", "Application/X-JSONLines; charset=utf-8"]
)
def test_other_names_of_ndjson_are_taken(name: str) -> None:
    bucket = Sqlite()
    answer = ask(SmallHost(bucket), "POST", "/v1/default/set-many", LINE.encode(), content_type=name)
    assert (answer.status, dict(answer.headers)["content-type"], bucket.data) == (200, NDJSON, {"a": b"1"})
    asked = ask(SmallHost(bucket), "GET", "/v1/default?key=a", accept=name)
    assert dict(asked.headers)["content-type"] == NDJSON
