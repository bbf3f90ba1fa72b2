"""How the peers *calls* and *straight* cross the boundary of the component: with the handles of kv-batch."""

from __future__ import annotations

import wit_world
from componentize_py_types import Ok
from wit_world.imports import wasi_http_types

from guests.handles import Future, Sending, read


async def read_body(request: wasi_http_types.Request) -> bytes:
    """The whole body of a request, which is not usable any more."""
    handled = Future(wit_world.result_unit_wasi_http_types_error_code_future)
    reader = wasi_http_types.Request.consume_body(request, handled.reader)[0]
    handled.resolve(Ok(None))
    sent = bytearray()
    with reader:
        while not reader.writer_dropped:
            sent += await read(reader, 256 * 1024)
    return bytes(sent)


def answered(content: bytes, *headers: tuple[str, bytes], status: int = 200) -> wasi_http_types.Response:
    """An answer in JSON, with these headers besides those of its body."""
    writer, body = wit_world.byte_stream()
    trailers = Future(wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future)
    fields = wasi_http_types.Fields.from_list(
        [("content-type", b"application/json"), ("content-length", b"%d" % len(content)), *headers]
    )
    response = wasi_http_types.Response.new(fields, body, trailers.reader)[0]
    if status != 200:
        response.set_status_code(status)
    Sending(writer, content, trailers)
    return response
