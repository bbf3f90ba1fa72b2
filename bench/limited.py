"""Requests that use the most memory that a gateway for values of 1 MB allows.

The measurements of deployments send them: `bench/akamai_limits.py` and `bench/pod_memory.py`.
"""

from __future__ import annotations

import base64
import gzip
import json
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import httpx

from bench.files import lines
from gateway.wire.media import JSON, NDJSON
from tests.servers import Server

SETTINGS = {"max_body_bytes": "10485760", "max_value_bytes": "1000000", "max_answer_bytes": "10485760"}
"""The limits of the gateway that these requests are for. Limits that are not here are the defaults."""

MIB = 1024 * 1024
BODY = int(SETTINGS["max_body_bytes"])
VALUE = int(SETTINGS["max_value_bytes"])
KEYS = 1_000
"""Keys in one request."""


@dataclass(frozen=True)
class Case:
    """A request.

    Attributes:
        what: Its name.
        status: The expected status.
        path: Behind `/v1/default`.
        content: The body; None for a GET request.
        kind: The media type of the body.
        packed: Whether the body is sent as gzip.
    """

    what: str
    status: int
    path: str
    content: bytes | None = None
    kind: str = NDJSON
    packed: bool = False


def cases() -> Iterator[Case]:
    """All requests, in an order in which those that read find what others wrote."""
    yield Case("a get-many of one key", 200, "?key=a")
    yield from streams()
    yield from bodies()
    yield from reads()


def streams() -> Iterator[Case]:
    """Imports and exports."""
    path = "/set-many"
    small = cut(lines(range(100_000)), BODY)
    yield Case("an import: 10 MiB, values of 100 bytes", 200, path, small)
    yield Case("its export", 200, "/export?prefix=key:")
    large = b"".join(pair(f"large:{number}", "v" * VALUE) for number in range(10))
    yield Case("an import: 10 MB, values of 1 MB", 200, path, large)
    yield Case("its export", 200, "/export?prefix=large:")
    escaped = pair("escaped", "\0" * VALUE)
    yield Case("an import: a value of 1 MB as 6 MB of escapes", 200, path, escaped)
    zeros = base64.b64encode(bytes(VALUE)).decode()
    binary = b"".join(pair(f"zeros:{number}", zeros, encoding="base64") for number in range(7))
    yield Case("an import: 7 values of 1 MB as base64", 200, path, binary)
    yield Case("its export: 42 MB of escapes", 200, "/export?prefix=zeros:")
    yield Case("an import: 600 MB of escapes, as 600 KB", 200, path, escaped * 100, packed=True)
    odd = b'{"value":"","key":""}\n' * 280_000
    yield Case("an import: 280,000 lines as 15 KB", 200, path, odd, packed=True)
    quotes = b"[" * 65 + b'"' * 60 * MIB
    yield Case("a line of 60 MB of quotes, as 60 KB", 413, path, quotes, packed=True)


def bodies() -> Iterator[Case]:
    """JSON and forms of the greatest size."""
    path = "/set-many"
    value = "v" * (BODY // KEYS - 50)
    yield Case("a JSON set-many of 10 MiB", 200, path, pairs(KEYS, value), JSON)
    value = "\0" * ((BODY // 11 - 60) // 6)
    yield Case("a JSON set-many: 10 MiB of escapes", 200, path, pairs(11, value), JSON)
    nested = b'{"pairs": [' + b"[]," * ((BODY - 20) // 3) + b"[]]}"
    yield Case("a JSON set-many: 10 MiB of empty arrays", 413, path, nested, JSON)
    numbers = b'{"pairs": [' + b"1," * (BODY // 2 - 20)
    yield Case("a JSON set-many: 10 MiB of numbers, as 10 KB", 413, path, numbers, JSON, packed=True)
    part = b'--b\r\ncontent-disposition: form-data; name="%d"\r\n\r\n' + b"v" * VALUE + b"\r\n"
    form = b"".join(part % number for number in range(10)) + b"--b--\r\n"
    yield Case("a form of 10 MB", 200, path, form, "multipart/form-data; boundary=b")


def reads() -> Iterator[Case]:
    """get-many of large values."""
    yield Case("a JSON get-many of 9 MB", 200, query("large", 9))
    yield Case("a JSON get-many: a value of 1 MB as 6 MB of escapes", 200, query("zeros", 1))
    yield Case("a JSON get-many: 42 MB of escapes, refused", 413, query("zeros", 7))
    repeats = json.dumps({"keys": ["large:0"] * KEYS}).encode()
    yield Case("a JSON get-many: 1,000 times one key of 1 MB", 413, "/get-many", repeats, JSON)
    wanted = b"".join(b'{"key": "large:%d"}\n' % (number % 10) for number in range(KEYS))
    yield Case("a get-many of 1,000 lines: 1 GB", 200, "/get-many", wanted)


def cut(parts: Iterable[bytes], size: int) -> bytes:
    """The whole lines of these parts that fit into a size."""
    body = b"".join(parts)
    return body[: body.rindex(b"\n", 0, size) + 1]


def pair(key: str, value: str, **more: str) -> bytes:
    """A line of NDJSON."""
    return json.dumps({"key": key, "value": value, **more}).encode() + b"\n"


def pairs(count: int, value: str) -> bytes:
    """The body of a JSON set-many."""
    return json.dumps({"pairs": [{"key": f"{number}", "value": value} for number in range(count)]}).encode()


def query(name: str, count: int) -> str:
    """A get-many of the first keys of a name."""
    return "?" + "&".join(f"key={name}:{number}" for number in range(count))


def send(server: Server, case: Case) -> tuple[int, float]:
    """Sends a request, and reads and discards its answer.

    Returns:
        The status, or 0 for a stream that ended with a problem; and the seconds.
    """
    content, headers = case.content, {"content-type": case.kind}
    if content is not None and case.packed:
        content = gzip.compress(content)
        headers["content-encoding"] = "gzip"
    method = "GET" if content is None else "POST"
    start = time.perf_counter()
    url = f"{server.url}/v1/default{case.path}"
    with httpx.stream(method, url, content=content, headers=headers, timeout=300) as answer:
        tail = b""
        for chunk in answer.iter_raw():
            tail = (tail + chunk)[-2_000:]
    failed = b'\n{"problem": ' in tail
    return 0 if failed else answer.status_code, time.perf_counter() - start
