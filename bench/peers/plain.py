"""The peer *plain*: get-many, set-many and delete-many as a Python user of Spin writes them first.

The SDK's handler, its store, and one call a key. It checks nothing.
"""

from __future__ import annotations

import json

from spin_sdk import http, key_value
from spin_sdk.http import Request, Response


class HttpHandler(http.Handler):
    """The export `wasi:http/handler`."""

    async def handle_request(self, request: Request) -> Response:
        asked = json.loads(request.body or b"{}")
        with await key_value.open_default() as store:
            match request.uri.rsplit("/", 1)[1]:
                case "get-many":
                    pairs = []
                    for key in asked["keys"]:
                        value = await store.get(key)
                        pairs.append({"key": key, "value": None if value is None else value.decode()})
                    answer: dict[str, object] = {"pairs": pairs}
                case "set-many":
                    for pair in asked["pairs"]:
                        await store.set(pair["key"], pair["value"].encode())
                    answer = {"pairs": len(asked["pairs"])}
                case _:
                    for key in asked["keys"]:
                        await store.delete(key)
                    answer = {"keys": len(asked["keys"])}
        return Response(200, {"content-type": "application/json"}, json.dumps(answer).encode())
