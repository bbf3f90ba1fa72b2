"""Requests that nobody sends in good faith, as bytes: what a client library would tidy up stays as it is.

The kinds of broken JSON are those of JSONTestSuite (https://github.com/nst/JSONTestSuite), written anew.
"""

from __future__ import annotations

import gzip
import re
import select
import socket
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain

import h11

from tests.servers import Server

SENTINEL = "sentinel"
"""A key that no request below may touch, though some of them try."""

STEAL = f"DELETE /v1/default?key={SENTINEL} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
"""A request that is hidden in the body of another."""

JSON = "content-type: application/json"
NDJSON = "content-type: application/x-ndjson"


@dataclass(frozen=True)
class Hostile:
    """A request.

    Attributes:
        name: What it tries.
        data: All of it, head and body.
    """

    name: str
    data: bytes


def request(line: str | bytes, *headers: str | bytes, body: bytes = b"", length: bool = True) -> bytes:
    """A request, with the length of its body unless that is left out."""
    fields = [line, "host: localhost", *headers]
    if length and body:
        fields.append(f"content-length: {len(body)}")
    top = b"\r\n".join(each.encode() if isinstance(each, str) else each for each in fields)
    return top + b"\r\n\r\n" + body


def post(operation: str, body: bytes, *headers: str) -> bytes:
    return request(f"POST /v1/default/{operation} HTTP/1.1", *(headers or (JSON,)), body=body)


KEYS = b'{"keys": ["a"]}'
CHUNKED = "transfer-encoding: chunked"


def chunked(body: bytes, *headers: str) -> bytes:
    line = "POST /v1/default/get-many HTTP/1.1"
    return request(line, JSON, *(headers or (CHUNKED,)), body=body, length=False)


def smuggling() -> dict[str, bytes]:
    """Two readings of where a request ends."""
    line = "POST /v1/default/get-many HTTP/1.1"
    hidden = b"0\r\n\r\n" + STEAL
    lengths = ["+15", "-15", "1e1", "0x0f", "15 15", "15, 16", "", " ", "9" * 40, "15;", "\x0b15"]
    return {
        "length and chunked": request(line, JSON, f"content-length: {len(hidden)}", CHUNKED, body=hidden),
        "length of the hidden, chunked": request(
            line, JSON, "content-length: 4", CHUNKED, body=b"5c\r\n" + STEAL, length=False
        ),
        "two lengths": request(
            line, JSON, "content-length: 15", "content-length: 0", body=KEYS, length=False
        ),
        "the same length twice": request(
            line, JSON, "content-length: 15", "content-length: 15", body=KEYS, length=False
        ),
        "chunked twice": chunked(b"f\r\n" + KEYS + b"\r\n" + hidden, CHUNKED, CHUNKED),
        "chunked and identity": chunked(hidden, "transfer-encoding: chunked, identity"),
        "not chunked": chunked(hidden, "transfer-encoding: xchunked"),
        "space before the colon": chunked(hidden, "transfer-encoding : chunked"),
        "a folded header": chunked(b"0\r\n\r\n", "transfer-encoding:\r\n chunked"),
        "a tab for a space": chunked(b"0\r\n\r\n", "transfer-encoding:\tchunked"),
        "a vertical tab": chunked(hidden, "transfer-encoding: \x0bchunked"),
        "HTTP/1.0 and chunked": request("POST /v1/default/get-many HTTP/1.0", JSON, CHUNKED, body=hidden),
        "a body for GET": request("GET /v1/default?key=a HTTP/1.1", body=STEAL),
        "a body for HEAD": request("HEAD /v1/default?key=a HTTP/1.1", body=STEAL),
        **{
            f"length {length!r:.10}": request(
                line, JSON, f"content-length: {length}", body=KEYS, length=False
            )
            for length in lengths
        },
    }


def chunks() -> dict[str, bytes]:
    """Bad chunks."""
    sizes = [b"-1", b"0xf", b"f f", b"g", b"", b"f" * 17, b"+f", b"\xff", b"f;" + b"x" * 70_000, b" f"]
    told = {f"chunk size {size!r:.20}": chunked(size + b"\r\n" + KEYS + b"\r\n0\r\n\r\n") for size in sizes}
    return told | {
        "no newline behind a chunk": chunked(b"f\r\n" + KEYS + b"0\r\n\r\n"),
        "a bare newline": chunked(b"f\n" + KEYS + b"\n0\n\n"),
        "a chunk that is too short": chunked(b"e\r\n" + KEYS + b"\r\n0\r\n\r\n"),
        "trailers": chunked(b"f\r\n" + KEYS + b"\r\n0\r\ncontent-length: 5\r\nx: y\r\n\r\n"),
        "many trailers": chunked(b"f\r\n" + KEYS + b"\r\n0\r\n" + b"x: y\r\n" * 5_000 + b"\r\n"),
        "chunks of one byte": chunked(b"".join(b"1\r\n%c\r\n" % byte for byte in KEYS) + b"0\r\n\r\n"),
    }


def heads() -> dict[str, bytes]:
    """Heads that are none, or hardly."""
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


def paths() -> dict[str, bytes]:
    """Path tricks, and queries that are too much."""
    targets = [
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
    return {f"GET {target[:40]} ({len(target)})": request(f"GET {target} HTTP/1.1") for target in targets}


BROKEN_JSON = [
    *(b"[1,]", b"[,1]", b"[1,,2]", b"[", b"]", b"[1", b"[1 2]", b"[]]", b"[][]", b"[1}", b"[\x00]", b"[*]"),
    *(b'{"a":1,}', b'{,"a":1}', b'{"a" 1}', b'{"a"}', b'{"a":}', b"{:1}", b"{a:1}", b"{'a':1}", b"{1:1}"),
    *(b'{"a":1', b'{"a":1]', b'{"a":1}}', b'{"a":1}#', b'{"a":1}//', b'{"a"::1}', b'{"a":1;"b":2}', b"{{}}"),
    *(b'"', b'"\\"', b'"\\', b'"\\x00"', b'"\\u"', b'"\\u00"', b'"\\u00g0"', b'"\\a"', b'"\n"', b'"\t"'),
    *(
        b'"\x00"',
        b'"\x1f"',
        b"'a'",
        b"`a`",
        b'"\\\xe9"',
        b'"\\u\xff"',
        b'"\xff"',
        b'"\xc0\xaf"',
        b'"\xed\xa0\x80"',
    ),
    *(
        b'"\xf4\xbf\xbf\xbf"',
        b'"\xe2\x82"',
        b'"\xf8\x88\x80\x80\x80"',
        b"\xef\xbb\xbf\xef\xbb\xbf[]",
        b"\xff\xfe[\x00",
    ),
    *(
        b"01",
        b"+1",
        b"-",
        b"-01",
        b".5",
        b"5.",
        b"1e",
        b"1e+",
        b"0x1",
        b"1_000",
        b"1,000",
        b"--1",
        b"1a",
        b"0e",
    ),
    *(
        b"NaN",
        b"-NaN",
        b"Infinity",
        b"-Infinity",
        b"inf",
        b"1.0.0",
        b"1e1.5",
        b"\xef\xbc\x91",
        b"- 1",
        b"1 000",
    ),
    *(
        b"nul",
        b"nulll",
        b"True",
        b"FALSE",
        b"tru",
        b"undefined",
        b"None",
        b"a",
        b"\x0c[]",
        b"\xe2\x81\xa0[]",
        b"",
    ),
    *(
        b"\xc2\xa0[]",
        b"/*x*/[]",
        b"[]/**/",
        b"[] x",
        b"[1]\x00",
        b"<a/>",
        b"---",
        b'"a" "b"',
        b"[\x0b]",
        b"@",
        b"$",
    ),
]
"""No JSON by RFC 8259, of each kind."""

ODD_JSON = [
    *(
        b"[]",
        b"{}",
        b'""',
        b"null",
        b"true",
        b"0",
        b"-0",
        b"1e400",
        b"-1e-400",
        b"1" * 1_000_000,
        b"0." + b"1" * 9_999,
    ),
    *(
        b"1e" + b"9" * 1_000,
        b'"\\ud800"',
        b'"\\udfff\\ud800"',
        b'"\\ud83d\\ude00"',
        b'"\\u0000"',
        b'"\\u2028"',
        b"[1]",
    ),
    *(
        b"[" * 60 + b"]" * 60,
        b"[" * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b"[{" * 50_000,
    ),
    *(
        b'{"a":' * 60 + b"1" + b"}" * 60,
        b'[[],"' * 30_000,
        b'"' + b"[" * 100_000 + b'"',
        b"[" + b"[]," * 200_000 + b"[]]",
    ),
    *(
        b'{"a":1,"a":2}',
        b'{"__proto__":{"x":1}}',
        b'{"keys":["a"],"keys":["b"]}',
        b'{"keys":{"0":"a","length":1}}',
    ),
    *(
        b'{"keys":null}',
        b'{"keys":"a"}',
        b'{"keys":[["a"]]}',
        b'{"Keys":["a"]}',
        b'{"keys":["a"],"x":1}',
        b"1" * 2_000_000,
    ),
    *(
        b" " * 1_000_000,
        b"\n" * 100_000,
        b"[" + b" " * 1_000_000 + b"]",
        b'{"' + b"k" * 1_000_000 + b'":1}',
        b"\xef\xbb\xbf{}",
    ),
]
"""JSON that is no good body of get-many, and what comes near it."""


def bodies() -> dict[str, bytes]:
    """Bodies of JSON and NDJSON."""
    told: dict[str, bytes] = {}
    for number, text in enumerate(chain(BROKEN_JSON, ODD_JSON)):
        name = f"{number}: {text[:20]!r}"
        told[f"JSON {name}"] = post("get-many", text)
        told[f"JSON key {name}"] = post("get-many", b'{"keys": [' + text + b"]}")
        told[f"JSON pair {name}"] = post("set-many", b'{"pairs": [{"key": "odd", "value": ' + text + b"}]}")
        told[f"line {name}"] = post("get-many", b'{"key": "a"}\n' + text + b'\n{"key": "b"}\n', NDJSON)
        told[f"pair line {name}"] = post("set-many", b'{"key": "odd", "value": ' + text + b"}", NDJSON)
    return told


def forms() -> dict[str, bytes]:
    """Forms, their boundaries broken or by the thousand."""
    head = "content-type: multipart/form-data; boundary="
    part = b'--b\r\ncontent-disposition: form-data; name="odd"\r\n\r\nv\r\n'
    each = {
        "no boundary": ("content-type: multipart/form-data", part + b"--b--\r\n"),
        "an empty boundary": (head, part + b"--b--\r\n"),
        "a boundary of 10 KB": (head + "b" * 10_000, part),
        "a boundary of quotes": (head + '"' * 9, part),
        "another boundary": (head + "c", part + b"--b--\r\n"),
        "no end": (head + "b", part),
        "no part": (head + "b", b"--b--\r\n"),
        "nothing": (head + "b", b"x"),
        "only the boundary": (head + "b", b"--b"),
        "a part without a head": (head + "b", b"--b\r\n\r\nv\r\n--b--\r\n"),
        "a part without a name": (head + "b", b"--b\r\ncontent-disposition: form-data\r\n\r\nv\r\n--b--\r\n"),
        "a head without an end": (head + "b", b"--b\r\ncontent-disposition: " + b"x" * 100_000),
        "1,000 headers in a part": (head + "b", b"--b\r\n" + b"x: y\r\n" * 1_000 + b"\r\nv\r\n--b--\r\n"),
        "a name of odd bytes": (
            head + "b",
            b'--b\r\ncontent-disposition: form-data; name="\xff\x00"\r\n\r\nv\r\n--b--\r\n',
        ),
        "20,000 parts": (head + "b", part * 20_000 + b"--b--\r\n"),
        "a million boundaries": (head + "b", b"--b\r\n" * 1_000_000),
        "almost boundaries": (head + "b" * 70, (b"\r\n--" + b"b" * 69) * 100_000),
        "bare newlines": (head + "b", part.replace(b"\r\n", b"\n")),
        "text behind the end": (head + "b", part + b"--b--\r\n" + STEAL),
        "nested": (head + "b", b"--b\r\ncontent-type: multipart/mixed; boundary=c\r\n\r\n--c\r\n--b--\r\n"),
        "a transfer encoding": (
            head + "b",
            part.replace(b"\r\n\r\n", b"\r\ncontent-transfer-encoding: base64\r\n\r\n") + b"--b--\r\n",
        ),
    }
    return {f"form: {name}": post("set-many", body, kind) for name, (kind, body) in each.items()}


def packed() -> dict[str, bytes]:
    """gzip: bombs, and what only looks like it."""
    coding = "content-encoding: gzip"
    bomb = gzip.compress(bytes(100_000_000), 9)
    lines = gzip.compress(b'{"key": "' + b"a" * 100_000_000, 9)
    return {
        "a JSON bomb": post("get-many", bomb, JSON, coding),
        "an NDJSON bomb": post("get-many", bomb, NDJSON, coding),
        "one line of 100 MB": post("set-many", lines, NDJSON, coding),
        "a form bomb": post("set-many", bomb, "content-type: multipart/form-data; boundary=b", coding),
        "a bomb in a bomb": post("get-many", gzip.compress(bomb), JSON, coding),
        "10,000 members": post("get-many", gzip.compress(b"") * 10_000, JSON, coding),
        "no gzip": post("get-many", KEYS, JSON, coding),
        "half of it": post("get-many", gzip.compress(KEYS)[:20], JSON, coding),
        "more behind it": post("get-many", gzip.compress(KEYS) + STEAL, JSON, coding),
        "a wrong sum": post("get-many", gzip.compress(KEYS)[:-8] + bytes(8), JSON, coding),
        "gzip of gzip, said twice": post(
            "get-many", gzip.compress(gzip.compress(KEYS)), JSON, "content-encoding: gzip, gzip"
        ),
        "deflate": post("get-many", KEYS, JSON, "content-encoding: deflate"),
        "br": post("get-many", KEYS, JSON, "content-encoding: br"),
    }


def cut_short() -> dict[str, bytes]:
    """Requests of which a part is missing. The client closes its half behind them."""
    line = "POST /v1/default/set-many HTTP/1.1"
    pairs = b'{"pairs": [{"key": "cut", "value": "1"}]}'
    return {
        "10 GB are said to come": request(
            line, JSON, "content-length: 10000000000", body=pairs, length=False
        ),
        "more is said to come": request(line, JSON, "content-length: 1000", body=pairs, length=False),
        "lines, and more is said to come": request(
            line, NDJSON, "content-length: 1000", body=b'{"key": "cut-line"', length=False
        ),
        "no last chunk": request(line, JSON, CHUNKED, body=b"29\r\n" + pairs + b"\r\n", length=False),
        "half a chunk": request(line, JSON, CHUNKED, body=b"ff\r\n" + pairs, length=False),
        "a form": request(
            line,
            "content-type: multipart/form-data; boundary=b",
            "content-length: 1000",
            body=b'--b\r\ncontent-disposition: form-data; name="cut"\r\n\r\nv',
            length=False,
        ),
    }


CORPUS = [
    Hostile(f"{kind.__name__}: {name}", data)
    for kind in (smuggling, chunks, heads, paths, bodies, forms, packed, cut_short)
    for name, data in kind().items()
]

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
        "set-many", b'{"key": "fuzz", "value": "1"}\r\n\n{"key":"b","value":"","encoding":"base64"}\n', NDJSON
    ),
    post("get-many", b'{"key": "fuzz"}\n{"key": "b", "value": null}', NDJSON),
    post("delete-many", gzip.compress(b'{"key": "fuzz"}\n', mtime=0), NDJSON, "content-encoding: gzip"),
    post(
        "set-many",
        b'--b\r\ncontent-disposition: form-data; name="fuzz"; filename="x"\r\n\r\nvalue\r\n--b--\r\n',
        "content-type: multipart/form-data; boundary=b",
    ),
    chunked(b"f\r\n" + KEYS + b"\r\n0\r\n\r\n"),
]
"""Requests that are good, for a fuzzer to spoil."""

SPICES = [
    *(
        b"\x00",
        b"\r\n",
        b"\n",
        b"\r",
        b"\t",
        b" ",
        b'"',
        b"\\",
        b"\\u",
        b"\\ud800",
        b"\xff",
        b"\xc0\x80",
        b"\xed\xa0\x80",
    ),
    *(
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"%",
        b"%00",
        b"%ff",
        b"&",
        b"=",
        b"?",
        b"#",
        b"/",
        b"//",
        b"..",
        b";",
        b"+",
    ),
    *(
        b"null",
        b"true",
        b"1e999",
        b"NaN",
        b"-1",
        b"0",
        b"\xf0\x9f\x98\x80",
        b"a" * 5_000,
        b"[" * 3_000,
        b"__proto__",
    ),
    *(
        b"--b",
        b"--b--\r\n",
        b"0\r\n\r\n",
        b"ffffffff",
        b"HTTP/1.1",
        b"chunked",
        b"content-length: 5\r\n",
        b"Bearer ",
    ),
]
"""What a fuzzer strews in."""


PATIENCE = 10.0
"""Seconds that a server has to begin an answer, before our half of the connection is closed."""


def whole(data: bytes) -> bool:
    """Whether these bytes are a whole request, or more: then there must be an answer.

    Of what is no HTTP, or not yet a request, none can be expected: the server may wait for more.
    """
    reader = h11.Connection(h11.SERVER, max_incomplete_event_size=200_000)
    reader.receive_data(data)
    try:
        while not isinstance(event := reader.next_event(), h11.EndOfMessage):
            if event in (h11.NEED_DATA, h11.PAUSED) or isinstance(event, h11.ConnectionClosed):
                return False
    except h11.RemoteProtocolError:
        return False
    return True


def answers(server: Server, data: bytes) -> list[int]:
    """The statuses that are answered to these bytes, until the server closes.

    Our half of the connection is closed behind a request that is not whole, and behind the first of an
    answer: a server may take a client that closes it earlier for one that is gone.

    Raises:
        ConnectionResetError: the server would not have all of a long request, and closed; its answer was
            lost on the way, as that of any server is then (RFC 9112 section 9.6).
    """
    told = b""
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
        try:
            connection.sendall(data)
            if not whole(data):
                connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # refused before it was all sent: the answer may still be there
        try:
            if not select.select([connection], [], [], PATIENCE)[0]:
                connection.shutdown(socket.SHUT_WR)  # it waits for more: there is none
            while chunk := connection.recv(65_536):
                told += chunk
                with suppress(OSError):  # it has closed already
                    connection.shutdown(socket.SHUT_WR)
        except ConnectionResetError:
            if not told and len(data) > 16_384:
                raise
    return [int(status) for status in re.findall(rb"(?:^|\n)HTTP/1\.[01] (\d{3}) ", told)]
