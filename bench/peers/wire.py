"""What the peers of `bench/peers/` share: a request's body, and an answer."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import componentize_py_async_support
import wit_world
from componentize_py_async_support.futures import FutureReader
from componentize_py_async_support.streams import ByteStreamReader, ByteStreamWriter
from componentize_py_types import Ok, Result
from wit_world.imports import wasi_http_types
from wit_world.imports.wasi_http_types import ErrorCode, Fields, Request, Response


def body_of(request: Request) -> ByteStreamReader:
    """The body of a request, which is not usable any more."""
    finished: FutureReader[Result[None, ErrorCode]] = wit_world.result_unit_wasi_http_types_error_code_future(
        lambda: Ok(None)
    )[1]
    return wasi_http_types.Request.consume_body(request, finished)[0]


async def read(request: Request) -> bytes:
    """The whole body of a request, which is not usable any more."""
    sent = bytearray()
    with body_of(request) as reader:
        while not reader.writer_dropped:
            sent += await reader.read(256 * 1024)
    return bytes(sent)


def begun(headers: list[tuple[str, bytes]]) -> tuple[Response, ByteStreamWriter]:
    """An answer, and where its body is to be written."""
    writer, body = wit_world.byte_stream()
    trailers: FutureReader[Result[Fields | None, ErrorCode]] = (
        wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(lambda: Ok(None))[1]
    )
    return Response.new(Fields.from_list(headers), body, trailers)[0], writer


def answer(content: bytes) -> Response:
    """An answer in JSON."""
    response, writer = begun(
        [("content-type", b"application/json"), ("content-length", b"%d" % len(content))]
    )
    componentize_py_async_support.spawn(_send(writer, content))
    return response


async def _send(writer: ByteStreamWriter, content: bytes) -> None:
    with writer:
        await writer.write_all(content)


Transfer = Callable[[ByteStreamReader, ByteStreamWriter], Coroutine[Any, Any, None]]
"""Transfers pairs from the body of a request, or to that of its answer."""


def transferred(request: Request, take: Transfer, give: Transfer) -> Response:
    """The answer to an import, which is a POST, or to an export. It has begun."""
    transfer = take if type(request.get_method()).__name__ == "Method_Post" else give
    reader = body_of(request)
    response, writer = begun([])
    componentize_py_async_support.spawn(transfer(reader, writer))
    return response
