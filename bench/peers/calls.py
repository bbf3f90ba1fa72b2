"""The peer *calls*: the host calls of kv-batch, and nothing else: what no gateway in Python can do without.

It parses each body once and keeps the keys and the answer, so that a request costs only what crosses the
boundary of the component: the request, one batch call (calls of single keys side by side where the store
reads no batches, as on Redis), two yields, and the answer. The event loop and the handles are those of
kv-batch (`guests/`).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import guests.first  # noqa: F401 - first, see there

# isort: split
import wit_world.exports
from componentize_py_types import Err
from wit_world.imports import batch, key_value, wasi_http_types, wasi_keyvalue_store

from bench.peers import crossing
from guests import snapshot
from guests.handles import together
from guests.scheduling import yield_to_host

AT_ONCE = 512
"""Single keys that are read side by side, as in kv-batch (`kv_batch.reading.MAX_CONCURRENT_READS`)."""


@dataclass
class Asked:
    """A request that came before.

    Attributes:
        path: Its path.
        keys: Its keys.
        pairs: Its pairs, of a set-many.
        answer: Its answer.
    """

    path: str
    keys: list[str]
    pairs: list[tuple[str, bytes]]
    answer: bytes = b""


class Stores:
    """The stores of the instance, opened by its first request."""

    bucket: wasi_keyvalue_store.Bucket | None = None
    single: key_value.Store | None = None
    """For single keys, once a batch read has failed."""


ASKED: dict[tuple[str, bytes], Asked] = {}


class HttpHandler(wit_world.exports.HttpHandler):
    """The export `wasi:http/handler`."""

    async def handle(self, request: wasi_http_types.Request) -> wasi_http_types.Response:
        path = request.get_path_with_query() or ""
        sent = await crossing.read_body(request)
        asked = ASKED.get((path, sent))
        if asked is None:
            asked = ASKED[path, sent] = _parsed(path, json.loads(sent))
        values = await _call(asked)
        if not asked.answer:
            asked.answer = _answer(asked, values)
        await yield_to_host(2)
        return crossing.answered(asked.answer)


def _parsed(path: str, body: dict[str, list[Any]]) -> Asked:
    pairs = [(pair["key"], pair["value"].encode()) for pair in body.get("pairs", [])]
    return Asked(path, body.get("keys") or [key for key, _ in pairs], pairs)


async def _call(asked: Asked) -> dict[str, bytes | None]:
    """Makes the host calls. Returns what they read."""
    if Stores.bucket is None:
        Stores.bucket = wasi_keyvalue_store.open("default")
    if asked.pairs:
        batch.set_many(Stores.bucket, asked.pairs)
    elif asked.path.endswith("delete-many"):
        batch.delete_many(Stores.bucket, asked.keys)
    elif Stores.single is not None:
        values: dict[str, bytes | None] = {}
        get = Stores.single.get

        async def one(key: str) -> None:
            values[key] = await get(key)

        for start in range(0, len(asked.keys), AT_ONCE):
            await together(map(one, asked.keys[start : start + AT_ONCE]))
        return values
    elif len(asked.keys) == 1:
        return {asked.keys[0]: Stores.bucket.get(asked.keys[0])}
    else:
        try:
            return dict(batch.get_many(Stores.bucket, asked.keys))
        except Err:
            Stores.single = await key_value.Store.open("default")
            return await _call(asked)
    return {}


def _answer(asked: Asked, values: dict[str, bytes | None]) -> bytes:
    pairs = [{"key": key, "value": (values.get(key) or b"").decode()} for key in asked.keys]
    return json.dumps({"pairs": pairs}, ensure_ascii=False).encode() + b"\n"


snapshot.settle()
