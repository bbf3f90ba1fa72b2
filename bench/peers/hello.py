"""The peer *hello*: the SDK's first example. It is what an answer costs that does nothing."""

from __future__ import annotations

from spin_sdk import http
from spin_sdk.http import Request, Response


class HttpHandler(http.Handler):
    """The export `wasi:http/handler`."""

    async def handle_request(self, _: Request) -> Response:
        return Response(200, {"content-type": "text/plain"}, b"Hello from Python!")
