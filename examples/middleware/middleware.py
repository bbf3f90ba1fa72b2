"""A middleware for Spin 4.1: CORS and a rate limit in front of kv-batch, or of any other component.

Spin calls this handler with each request. It answers the request itself, or passes it on to the next handler.
Bodies are passed on as streams: this component reads none of them.

Variables:
    cors_origins: The origins whose pages may use the API, separated by commas: `https://app.example`.
    requests_per_second: How many requests a client address may send per second, to one instance of this
        component; 0 for any number.
"""

from __future__ import annotations

import json
import time
from collections import OrderedDict

import componentize_py_async_support
import wit_world
import wit_world.exports
from componentize_py_async_support.futures import FutureReader
from componentize_py_async_support.streams import ByteStreamWriter
from componentize_py_types import Ok, Result
from wit_world.imports import next_handler, store
from wit_world.imports.wasi_http_types import ErrorCode, Fields, Method_Options, Request, Response

METHODS = b"GET, HEAD, POST, DELETE"
REQUEST_HEADERS = b"accept, authorization, content-encoding, content-type, traceparent, x-request-id"
RESPONSE_HEADERS = b"retry-after, server-timing, x-request-id"
MAX_AGE = b"600"
"""How long a browser may keep the answer to a preflight request, in seconds."""

MAX_CLIENTS = 10_000
"""The number of client addresses that are remembered. Beyond it, the one that was idle longest goes."""

Headers = list[tuple[str, bytes]]


class Buckets:
    """A token bucket for each client address, which holds the requests of one second."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # the tokens left, and when

    def take(self, client: str, rate: float) -> bool:
        """Takes a token from a client's bucket. Returns False if the bucket is empty."""
        now = time.monotonic()
        left, then = self._buckets.pop(client, (rate, now))
        left = min(rate, left + (now - then) * rate)
        allowed = left >= 1
        self._buckets[client] = (left - allowed, now)
        if len(self._buckets) > MAX_CLIENTS:
            self._buckets.popitem(last=False)
        return allowed


BUCKETS = Buckets()


class HttpHandler(wit_world.exports.HttpHandler):
    """The export `wasi:http/handler`."""

    async def handle(self, request: Request) -> Response:
        with request.get_headers() as fields:
            headers = fields.copy_all()
        cors = cors_headers(headers)
        if (
            has(cors, "access-control-allow-origin")
            and isinstance(request.get_method(), Method_Options)
            and has(headers, "access-control-request-method")
        ):
            preflight = [
                ("access-control-allow-methods", METHODS),
                ("access-control-allow-headers", REQUEST_HEADERS),
                ("access-control-max-age", MAX_AGE),
            ]
            return respond(204, [*cors, *preflight])
        rate = float(setting("requests_per_second") or 0)
        if rate and not BUCKETS.take(client_of(headers), max(rate, 1)):
            return respond(
                429, [*cors, ("retry-after", b"1")], "Too many requests from this address. Retry later."
            )
        response = await next_handler.handle(request)
        return with_headers(response, cors) if cors else response


def setting(name: str) -> str:
    """The value of a variable; empty if it is not set."""
    return store.get(name) or ""


def cors_headers(headers: Headers) -> Headers:
    """The headers that let the origin of a request read the answer.

    `vary` is there for every request: a cache must not give an answer for one origin to another.
    """
    origins = [value for name, value in headers if name.lower() == "origin"]
    allowed = [each.strip().encode() for each in setting("cors_origins").split(",") if each.strip()]
    if not allowed:
        return []
    if len(origins) != 1 or origins[0] not in allowed:
        return [("vary", b"origin")]
    return [
        ("access-control-allow-origin", origins[0]),
        ("access-control-expose-headers", RESPONSE_HEADERS),
        ("vary", b"origin"),
    ]


def has(headers: Headers, name: str) -> bool:
    """Whether there is a header of this name."""
    return any(each.lower() == name for each, _ in headers)


def client_of(headers: Headers) -> str:
    """The address of the client, without its port.

    Spin appends `spin-client-addr` to the headers of the client, so a value that a client sent is never the
    last one. Behind a proxy it is the address of the proxy.
    """
    addresses = [value.decode("latin-1") for name, value in headers if name.lower() == "spin-client-addr"]
    return addresses[-1].rpartition(":")[0] if addresses else ""


def respond(status: int, headers: Headers, detail: str = "") -> Response:
    """An answer of the middleware itself; with a detail, in the format of kv-batch's errors (RFC 9457)."""
    body = None
    if detail:
        content = json.dumps({"title": "Too many requests", "status": status, "detail": detail}).encode()
        length = str(len(content)).encode()
        headers = [*headers, ("content-type", b"application/problem+json"), ("content-length", length)]
        writer, body = wit_world.byte_stream()
        componentize_py_async_support.spawn(send(writer, content))
    response = Response.new(Fields.from_list(headers), body, no_trailers())[0]
    response.set_status_code(status)
    return response


async def send(writer: ByteStreamWriter, content: bytes) -> None:
    """Sends a body, and ends it."""
    with writer:
        await writer.write_all(content)


def with_headers(response: Response, headers: Headers) -> Response:
    """The same response with further headers. Its body and trailers are passed on unread."""
    status = response.get_status_code()
    with response.get_headers() as fields:
        kept = fields.copy_all()
    body, trailers = Response.consume_body(response, no_error())
    answer = Response.new(Fields.from_list([*kept, *headers]), body, trailers)[0]
    answer.set_status_code(status)
    return answer


def no_trailers() -> FutureReader[Result[Fields | None, ErrorCode]]:
    """The trailers of a response that has none."""
    return wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(lambda: Ok(None))[
        1
    ]


def no_error() -> FutureReader[Result[None, ErrorCode]]:
    """Tells the next handler that its response was received."""
    return wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))[1]
