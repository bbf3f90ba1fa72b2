"""Requests whose end is ambiguous: two possible lengths, bad chunks, and missing parts."""

from __future__ import annotations

from tests.hostile.requests import AS_JSON, AS_NDJSON, CHUNKED, KEYS, STEAL, chunked, request


def smuggling() -> dict[str, bytes]:
    """Requests whose end can be read in two ways (request smuggling)."""
    line = "POST /v1/default/get-many HTTP/1.1"
    hidden = b"0\r\n\r\n" + STEAL
    lengths = ["+15", "-15", "1e1", "0x0f", "15 15", "15, 16", "", " ", "9" * 40, "15;", "\x0b15"]
    return {
        "length and chunked": request(line, AS_JSON, f"content-length: {len(hidden)}", CHUNKED, body=hidden),
        "length of the hidden, chunked": request(
            line, AS_JSON, "content-length: 4", CHUNKED, body=b"5c\r\n" + STEAL, length=False
        ),
        "two lengths": request(
            line, AS_JSON, "content-length: 15", "content-length: 0", body=KEYS, length=False
        ),
        "the same length twice": request(
            line, AS_JSON, "content-length: 15", "content-length: 15", body=KEYS, length=False
        ),
        "chunked twice": chunked(b"f\r\n" + KEYS + b"\r\n" + hidden, CHUNKED, CHUNKED),
        "chunked and identity": chunked(hidden, "transfer-encoding: chunked, identity"),
        "not chunked": chunked(hidden, "transfer-encoding: xchunked"),
        "space before the colon": chunked(hidden, "transfer-encoding : chunked"),
        "a folded header": chunked(b"0\r\n\r\n", "transfer-encoding:\r\n chunked"),
        "a tab for a space": chunked(b"0\r\n\r\n", "transfer-encoding:\tchunked"),
        "a vertical tab": chunked(hidden, "transfer-encoding: \x0bchunked"),
        "HTTP/1.0 and chunked": request("POST /v1/default/get-many HTTP/1.0", AS_JSON, CHUNKED, body=hidden),
        "a body for GET": request("GET /v1/default?key=a HTTP/1.1", body=STEAL),
        "a body for HEAD": request("HEAD /v1/default?key=a HTTP/1.1", body=STEAL),
        **{
            f"length {length!r:.10}": request(
                line, AS_JSON, f"content-length: {length}", body=KEYS, length=False
            )
            for length in lengths
        },
    }


def chunks() -> dict[str, bytes]:
    """Malformed and unusual chunks."""
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


def cut_short() -> dict[str, bytes]:
    """Incomplete requests. The client closes its half of the connection after them."""
    line = "POST /v1/default/set-many HTTP/1.1"
    pairs = b'{"pairs": [{"key": "cut", "value": "1"}]}'
    return {
        "10 GB are said to come": request(
            line, AS_JSON, "content-length: 10000000000", body=pairs, length=False
        ),
        "more is said to come": request(line, AS_JSON, "content-length: 1000", body=pairs, length=False),
        "lines, and more is said to come": request(
            line, AS_NDJSON, "content-length: 1000", body=b'{"key": "cut-line"', length=False
        ),
        "no last chunk": request(line, AS_JSON, CHUNKED, body=b"29\r\n" + pairs + b"\r\n", length=False),
        "half a chunk": request(line, AS_JSON, CHUNKED, body=b"ff\r\n" + pairs, length=False),
        "a form": request(
            line,
            "content-type: multipart/form-data; boundary=b",
            "content-length: 1000",
            body=b'--b\r\ncontent-disposition: form-data; name="cut"\r\n\r\nv',
            length=False,
        ),
    }
