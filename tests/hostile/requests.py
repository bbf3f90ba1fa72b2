"""The parts of hostile requests: header lines, and functions that join a head and a body."""

from __future__ import annotations

from dataclasses import dataclass

SENTINEL = "sentinel"
"""A key that no hostile request may change, although some try."""

STEAL = f"DELETE /v1/default?key={SENTINEL} HTTP/1.1\r\nhost: x\r\n\r\n".encode()
"""A request that is hidden in the body of another one."""

AS_JSON = "content-type: application/json"
AS_NDJSON = "content-type: application/x-ndjson"


@dataclass(frozen=True)
class Hostile:
    """A hostile request.

    Attributes:
        name: What is wrong with it.
        data: The whole request, head and body.
    """

    name: str
    data: bytes


def request(line: str | bytes, *headers: str | bytes, body: bytes = b"", length: bool = True) -> bytes:
    """A request. It has a content-length if it has a body, unless `length` is false."""
    fields = [line, "host: localhost", *headers]
    if length and body:
        fields.append(f"content-length: {len(body)}")
    top = b"\r\n".join(each.encode() if isinstance(each, str) else each for each in fields)
    return top + b"\r\n\r\n" + body


def post(operation: str, body: bytes, *headers: str) -> bytes:
    return request(f"POST /v1/default/{operation} HTTP/1.1", *(headers or (AS_JSON,)), body=body)


KEYS = b'{"keys": ["a"]}'
CHUNKED = "transfer-encoding: chunked"


def chunked(body: bytes, *headers: str) -> bytes:
    line = "POST /v1/default/get-many HTTP/1.1"
    return request(line, AS_JSON, *(headers or (CHUNKED,)), body=body, length=False)
