"""The material of the fuzzer: valid requests, and fragments to insert into them."""

from __future__ import annotations

import gzip

from tests.hostile.requests import AS_NDJSON, KEYS, chunked, post, request

VALID = [
    request("GET /v1/default?key=a&key=b&encoding=base64 HTTP/1.1", "accept: application/json;q=0.5, */*"),
    request("GET /v1/default/keys?prefix=a&limit=3 HTTP/1.1"),
    request("GET /v1/default/export?prefix=fuzz HTTP/1.1", "accept-encoding: gzip"),
    request("HEAD /v1/default?key=a HTTP/1.1"),
    request("DELETE /v1/default?key=fuzz%201&key=b HTTP/1.1", "authorization: Bearer token"),
    post("get-many", b'{"keys": ["a", "\\u00e9", "\xf0\x9f\x98\x80", ""]}'),
    post(
        "set-many",
        b'{"pairs": [{"key": "fuzz", "value": "1"}, {"key": "b", "value": "AAE=", "encoding": "base64"}]}',
    ),
    post("delete-many", b'{"keys": ["fuzz", "fuzz"]}'),
    post(
        "set-many",
        b'{"key": "fuzz", "value": "1"}\r\n\n{"key":"b","value":"","encoding":"base64"}\n',
        AS_NDJSON,
    ),
    post("get-many", b'{"key": "fuzz"}\n{"key": "b", "value": null}', AS_NDJSON),
    post("delete-many", gzip.compress(b'{"key": "fuzz"}\n', mtime=0), AS_NDJSON, "content-encoding: gzip"),
    post(
        "set-many",
        b'--b\r\ncontent-disposition: form-data; name="fuzz"; filename="x"\r\n\r\nvalue\r\n--b--\r\n',
        "content-type: multipart/form-data; boundary=b",
    ),
    chunked(b"f\r\n" + KEYS + b"\r\n0\r\n\r\n"),
]
"""Valid requests, which the fuzzer changes."""

SPICES = [
    b"\x00", b"\r\n", b"\n", b"\r", b"\t", b" ", b'"', b"\\", b"\\u", b"\\ud800", b"\xff", b"\xc0\x80",
    b"\xed\xa0\x80",
    b"{", b"}", b"[", b"]", b",", b":", b"%", b"%00", b"%ff", b"&", b"=", b"?", b"#", b"/", b"//", b"..",
    b";", b"+",
    b"null", b"true", b"1e999", b"NaN", b"-1", b"0", b"\xf0\x9f\x98\x80", b"a" * 5_000, b"[" * 3_000,
    b"__proto__",
    b"--b", b"--b--\r\n", b"0\r\n\r\n", b"ffffffff", b"HTTP/1.1", b"chunked", b"content-length: 5\r\n",
    b"Bearer ",
]  # fmt: skip
"""Fragments that the fuzzer inserts."""
