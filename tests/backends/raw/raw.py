"""The host's raw batch interface over HTTP: what kv-batch is compared with.

`POST /` with `{"get_many": [K, …]}`, `{"set_many": [[K, BASE64], …]}` or `{"delete_many": [K, …]}` makes the
one call of `wasi:keyvalue/batch`, with all that it was given, and answers with
`{"pairs": [[K, BASE64 or null], …]}` or `{"error": "…"}`.
"""

from __future__ import annotations

import base64
import json
from typing import Any

import componentize_py_async_support
import wit_world
import wit_world.exports
from componentize_py_async_support.streams import ByteStreamWriter
from componentize_py_types import Err, Ok
from wit_world.imports import batch, wasi_http_types, wasi_keyvalue_store
from wit_world.imports.wasi_http_types import Fields, Response


class HttpHandler(wit_world.exports.HttpHandler):
    """The export `wasi:http/handler`."""

    async def handle(self, request: wasi_http_types.Request) -> Response:
        done = wit_world.result_unit_wasi_http_types_error_code_future(lambda: Ok(None))[1]
        reader, _ = wasi_http_types.Request.consume_body(request, done)
        body = bytearray()
        with reader:
            while not reader.writer_dropped:
                body += await reader.read(1 << 20)
        try:
            answer = call(json.loads(bytes(body)))
        except Err as error:
            answer = {"error": str(getattr(error.value, "value", type(error.value).__name__))}
        content = json.dumps(answer).encode()
        writer, stream = wit_world.byte_stream()
        componentize_py_async_support.spawn(write(writer, content))
        trailers = wit_world.result_option_wasi_http_types_fields_wasi_http_types_error_code_future(
            lambda: Ok(None)
        )[1]
        fields = Fields.from_list([("content-length", str(len(content)).encode())])
        return Response.new(fields, stream, trailers)[0]


def call(asked: dict[str, Any]) -> dict[str, Any]:
    """Makes the one call."""
    bucket = wasi_keyvalue_store.open("default")
    if "get_many" in asked:
        pairs = batch.get_many(bucket, asked["get_many"])
        return {
            "pairs": [
                [key, None if value is None else base64.b64encode(value).decode()] for key, value in pairs
            ]
        }
    if "set_many" in asked:
        batch.set_many(bucket, [(key, base64.b64decode(value)) for key, value in asked["set_many"]])
    else:
        batch.delete_many(bucket, asked["delete_many"])
    return {"pairs": []}


async def write(writer: ByteStreamWriter, content: bytes) -> None:
    """Sends the answer's body."""
    with writer:
        await writer.write_all(content)
