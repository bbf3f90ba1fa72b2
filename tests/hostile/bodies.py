"""Malformed, oversized and packed bodies: JSON, NDJSON, forms and gzip."""

from __future__ import annotations

import gzip
from itertools import chain

from tests.hostile.requests import AS_JSON, AS_NDJSON, KEYS, STEAL, post

BROKEN_JSON = [
    b"[1,]", b"[,1]", b"[1,,2]", b"[", b"]", b"[1", b"[1 2]", b"[]]", b"[][]", b"[1}", b"[\x00]", b"[*]",
    b'{"a":1,}', b'{,"a":1}', b'{"a" 1}', b'{"a"}', b'{"a":}', b"{:1}", b"{a:1}", b"{'a':1}", b"{1:1}",
    b'{"a":1', b'{"a":1]', b'{"a":1}}', b'{"a":1}#', b'{"a":1}//', b'{"a"::1}', b'{"a":1;"b":2}', b"{{}}",
    b'"', b'"\\"', b'"\\', b'"\\x00"', b'"\\u"', b'"\\u00"', b'"\\u00g0"', b'"\\a"', b'"\n"', b'"\t"',
    b'"\x00"', b'"\x1f"', b"'a'", b"`a`", b'"\\\xe9"', b'"\\u\xff"', b'"\xff"', b'"\xc0\xaf"',
    b'"\xed\xa0\x80"', b'"\xf4\xbf\xbf\xbf"', b'"\xe2\x82"', b'"\xf8\x88\x80\x80\x80"',
    b"\xef\xbb\xbf\xef\xbb\xbf[]", b"\xff\xfe[\x00",
    b"01", b"+1", b"-", b"-01", b".5", b"5.", b"1e", b"1e+", b"0x1", b"1_000", b"1,000", b"--1", b"1a", b"0e",
    b"NaN", b"-NaN", b"Infinity", b"-Infinity", b"inf", b"1.0.0", b"1e1.5", b"\xef\xbc\x91", b"- 1", b"1 000",
    b"nul", b"nulll", b"True", b"FALSE", b"tru", b"undefined", b"None", b"a", b"\x0c[]", b"\xe2\x81\xa0[]",
    b"", b"\xc2\xa0[]", b"/*x*/[]", b"[]/**/", b"[] x", b"[1]\x00", b"<a/>", b"---", b'"a" "b"', b"[\x0b]",
    b"@", b"$",
]  # fmt: skip
"""Texts that are not JSON by RFC 8259, of each kind."""

ODD_JSON = [
    b"[]", b"{}", b'""', b"null", b"true", b"0", b"-0", b"1e400", b"-1e-400", b"1" * 1_000_000,
    b"0." + b"1" * 9_999, b"1e" + b"9" * 1_000,
    b'"\\ud800"', b'"\\udfff\\ud800"', b'"\\ud83d\\ude00"', b'"\\u0000"', b'"\\u2028"', b"[1]",
    b"[" * 60 + b"]" * 60, b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000,
    b"[{" * 50_000, b'{"a":' * 60 + b"1" + b"}" * 60, b'[[],"' * 30_000, b'"' + b"[" * 100_000 + b'"',
    b"[" + b"[]," * 200_000 + b"[]]",
    b'{"a":1,"a":2}', b'{"__proto__":{"x":1}}', b'{"keys":["a"],"keys":["b"]}',
    b'{"keys":{"0":"a","length":1}}', b'{"keys":null}', b'{"keys":"a"}', b'{"keys":[["a"]]}',
    b'{"Keys":["a"]}', b'{"keys":["a"],"x":1}',
    b"1" * 2_000_000, b" " * 1_000_000, b"\n" * 100_000, b"[" + b" " * 1_000_000 + b"]",
    b'{"' + b"k" * 1_000_000 + b'":1}', b"\xef\xbb\xbf{}",
]  # fmt: skip
"""JSON, or almost JSON, that is not a valid body of get-many."""


def bodies() -> dict[str, bytes]:
    """Each of BROKEN_JSON and ODD_JSON as a body, a key, a value and a line."""
    told: dict[str, bytes] = {}
    for number, text in enumerate(chain(BROKEN_JSON, ODD_JSON)):
        name = f"{number}: {text[:20]!r}"
        told[f"JSON {name}"] = post("get-many", text)
        told[f"JSON key {name}"] = post("get-many", b'{"keys": [' + text + b"]}")
        told[f"JSON pair {name}"] = post("set-many", b'{"pairs": [{"key": "odd", "value": ' + text + b"}]}")
        told[f"line {name}"] = post("get-many", b'{"key": "a"}\n' + text + b'\n{"key": "b"}\n', AS_NDJSON)
        told[f"pair line {name}"] = post("set-many", b'{"key": "odd", "value": ' + text + b"}", AS_NDJSON)
    return told


def forms() -> dict[str, bytes]:
    """Forms with malformed boundaries and parts, or with thousands of them."""
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
    """Bodies with a content-encoding: gzip bombs, malformed gzip, and other codings."""
    coding = "content-encoding: gzip"
    bomb = gzip.compress(bytes(100_000_000), 9)
    lines = gzip.compress(b'{"key": "' + b"a" * 100_000_000, 9)
    return {
        "a JSON bomb": post("get-many", bomb, AS_JSON, coding),
        "an NDJSON bomb": post("get-many", bomb, AS_NDJSON, coding),
        "one line of 100 MB": post("set-many", lines, AS_NDJSON, coding),
        "a form bomb": post("set-many", bomb, "content-type: multipart/form-data; boundary=b", coding),
        "a bomb in a bomb": post("get-many", gzip.compress(bomb), AS_JSON, coding),
        "10,000 members": post("get-many", gzip.compress(b"") * 10_000, AS_JSON, coding),
        "no gzip": post("get-many", KEYS, AS_JSON, coding),
        "half of it": post("get-many", gzip.compress(KEYS)[:20], AS_JSON, coding),
        "more behind it": post("get-many", gzip.compress(KEYS) + STEAL, AS_JSON, coding),
        "a wrong sum": post("get-many", gzip.compress(KEYS)[:-8] + bytes(8), AS_JSON, coding),
        "gzip of gzip, said twice": post(
            "get-many", gzip.compress(gzip.compress(KEYS)), AS_JSON, "content-encoding: gzip, gzip"
        ),
        "deflate": post("get-many", KEYS, AS_JSON, "content-encoding: deflate"),
        "br": post("get-many", KEYS, AS_JSON, "content-encoding: br"),
    }
