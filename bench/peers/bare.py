"""The peer *bare*: the least guest that makes the host calls of kv-batch: the bound for a gateway in Python.

One call of the batch interface (`bucket.get` for one key), one suspension before the answer, and nothing
else: no check, no contract, no log. Only keys that are in the store may be asked for.
"""

from __future__ import annotations

import json
from typing import Any

import wit_world.exports
from wit_world.imports import batch, monotonic_clock, wasi_http_types, wasi_keyvalue_store
from wit_world.imports.wasi_keyvalue_store import Bucket

from bench.peers import wire

BUCKETS: list[Bucket] = []
"""The open bucket of the instance, after its first request."""


class HttpHandler(wit_world.exports.HttpHandler):
    """The export `wasi:http/handler`."""

    async def handle(self, request: wasi_http_types.Request) -> wasi_http_types.Response:
        path = request.get_path_with_query() or ""
        sent = await wire.read(request)
        answer = json.dumps(_answer(path, json.loads(sent)), ensure_ascii=False).encode() + b"\n"
        await monotonic_clock.wait_for(1)
        return wire.answer(answer)


def _answer(path: str, asked: dict[str, list[Any]]) -> dict[str, object]:
    if not BUCKETS:
        BUCKETS.append(wasi_keyvalue_store.open("default"))
    bucket = BUCKETS[0]
    if path.endswith("get-many"):
        keys = asked["keys"]
        values = {keys[0]: bucket.get(keys[0])} if len(keys) == 1 else dict(batch.get_many(bucket, keys))
        return {"pairs": [{"key": key, "value": (values[key] or b"").decode()} for key in keys]}
    if path.endswith("set-many"):
        batch.set_many(bucket, [(pair["key"], pair["value"].encode()) for pair in asked["pairs"]])
        return {"pairs": len(asked["pairs"])}
    batch.delete_many(bucket, asked["keys"])
    return {"keys": len(asked["keys"])}
