"""Malformed and unusual heads, paths and queries."""

from __future__ import annotations

from tests.hostile.requests import request


def heads() -> dict[str, bytes]:
    """Malformed request lines, and malformed or unusual headers."""
    line = "GET /v1/default?key=a HTTP/1.1"
    lines = [
        b"GET /v1/default?key=a HTTP/9.9",
        b"GET /v1/default?key=a HTTP/1.1 HTTP/1.1",
        b"GET  /v1/default?key=a  HTTP/1.1",
        b"get /v1/default?key=a HTTP/1.1",
        b"G\x00T /v1/default?key=a HTTP/1.1",
        b"PRI * HTTP/2.0",
        b"OPTIONS * HTTP/1.1",
        b"CONNECT localhost:80 HTTP/1.1",
        b"TRACE /v1/default HTTP/1.1",
        b"M" * 10_000 + b" /v1/default HTTP/1.1",
        b"GET v1/default HTTP/1.1",
        b"GET http://elsewhere/v1/default?key=a HTTP/1.1",
        b"GET /v1/default?key=\xff\xfe HTTP/1.1",
        "GET /v1/défaut?key=ü HTTP/1.1".encode(),
        b"GET /v1/default\x00 HTTP/1.1",
        b"GET /v1/default#fragment HTTP/1.1",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"",
    ]
    fields: dict[str, list[str | bytes]] = {
        "60 KB in one header": ["x: " + "y" * 60_000],
        "60 KB in 90 headers": [f"x-{number}: " + "y" * 650 for number in range(90)],
        "1,000 headers": [f"x-{number}: y" for number in range(1_000)],
        "the same header 90 times": ["accept: application/json"] * 90,
        "NUL in a header": [b"x: a\x00b"],
        "Latin-1 in a header": [b"x: \xe9\xff"],
        "a header without a name": [": y"],
        "a header without a colon": ["xyz"],
        "a space in a name": ["x y: z"],
        "brackets in a name": ["x(y): z"],
        "a bare return": [b"x: a\rb: c"],
        "two hosts": ["host: elsewhere"],
        "two tokens": ["authorization: Bearer a", "authorization: Bearer b"],
        "a token of 50 KB": ["authorization: Bearer " + "t" * 50_000],
        "a token of odd bytes": [b"authorization: Bearer \xff\xfe\x01"],
        "Accept of 50 KB": ["accept: " + "a/b;q=0.1," * 5_000],
        "odd Accept": ["accept: ;;;,,,q=*/q=;q=NaN, application/json;q=1e999"],
        "odd ids": ["x-request-id: " + "\t" * 50, "traceparent: 00-" + "0" * 32 + "-" + "0" * 16 + "-00"],
        "100 expectations": ["expect: 100-continue, 100-continue"],
        "an upgrade": ["connection: upgrade", "upgrade: h2c", "http2-settings: AAMAAABkAAQAAP__"],
        "proto": ["__proto__: x", "constructor: y"],
    }
    return {
        **{f"line {start[:30]!r}": request(start) for start in lines},
        **{name: request(line, *headers) for name, headers in fields.items()},
    }


TARGETS = [
    "/v1/%2e%2e/default",
    "/v1/../v1/default",
    "/v1/./default",
    "//v1/default",
    "/v1//default",
    "/v1//",
    "/v1/default/",
    "/v1/default//keys",
    "/v1/default%2fkeys",
    "/v1/default%00",
    "/v1/%ff",
    "/v1/%",
    "/v1/%zz/keys",
    "/v1/%c0%ae%c0%ae/keys",
    "/v1/%ed%a0%80/keys",
    "/v1/" + "s" * 10_000,
    "/v1/" + "%41" * 10_000 + "/keys",
    "/v1/default/keys/..",
    "/v1/default;x=1/keys",
    "/%76%31/default?key=a",
    "/V1/default",
    "/v1",
    "/v1/",
    "/v1/__proto__/keys",
    "/v1/default/__class__",
    "/v1/..%5c..%5cdefault",
    "/etc/passwd",
    "/" + "../" * 1_000 + "etc/passwd",
    "/" + "/" * 10_000,
    "/v1/default?" + "&" * 60_000,
    "/v1/default?" + "key=a&" * 10_000,
    "/v1/default?key=" + "a" * 60_000,
    "/v1/default?" + "%" * 1_000,
    "/v1/default?key=%ed%a0%80",
    "/v1/default?key=%c0%80",
    "/v1/default?key=%00&key=%01",
    "/v1/default?key=__proto__&key=constructor",
    "/v1/default?key[]=a&key[0]=b",
    "/v1/default?key=a;key=b",
    "/v1/default?encoding=base64&encoding=base64",
    "/v1/default?=&==&key",
    "/v1/default??key=a",
    "/v1/default/keys?limit=99999999999999999999",
    "/v1/default/keys?limit=-1",
    "/v1/default/keys?limit=%D9%A1",
    "/v1/default/keys?prefix=" + "p" * 60_000,
    "/v1/default?" + "key=a&" * 100_000,
    "/v1/default?" + "key&" * 1_000_000,
    "/v1/default?key=" + "a" * 1_000_000,
]
"""Path tricks, and queries that are malformed or too long."""


def paths() -> dict[str, bytes]:
    """A GET request for each of TARGETS."""
    return {f"GET {target[:40]} ({len(target)})": request(f"GET {target} HTTP/1.1") for target in TARGETS}
