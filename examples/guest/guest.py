"""A Spin component that reads in batches through `kv_batch`, with spin-sdk's HTTP handler."""

from __future__ import annotations

from componentize_py_types import Err
from lookup import lookup
from spin_sdk import http
from spin_sdk.http import Request, Response
from spin_sdk.wit.imports import wasi_keyvalue_batch_0_2_0_draft2 as batch
from spin_sdk.wit.imports import wasi_keyvalue_store_0_2_0_draft2 as store

from kv_batch.errors import StoreError
from kv_batch.wit import Wit, open_bucket

WIT = Wit(store, batch, Err)


class HttpHandler(http.Handler):
    """The export `wasi:http/handler`."""

    async def handle_request(self, request: Request) -> Response:
        try:
            answer = await lookup(await open_bucket(WIT, "default"), request.uri)
        except StoreError as error:
            return Response(502, {"content-type": "text/plain"}, f"{error}\n".encode())
        return Response(200, {"content-type": "application/json"}, answer)
