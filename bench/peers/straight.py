"""The peer *straight*: get-many of JSON as the API promises it, written straight, in few steps of Python.

It makes the host calls of *calls*, checks the head, the token, the body and the keys, answers what kv-batch
answers, and writes the line of the log. It does nothing else: it has no other route, media type or store, no
retries, no problem that says what is wrong. It shows what any gateway with these promises costs.
"""

from __future__ import annotations

import base64
import hmac
import json
import os
import sys
from time import perf_counter
from typing import Any

import guests.first  # noqa: F401 - first, see there

# isort: split
import wit_world.exports
from wit_world.imports import batch, wasi_config_store, wasi_http_types, wasi_keyvalue_store

from bench.peers import crossing
from guests import snapshot
from guests.scheduling import yield_to_host

MAX_KEYS = 100_000
MAX_KEY_BYTES = 1024
LINE = (
    '{"request_id": "%s", "method": "POST", "route": "/v1/{store}/get-many", "store": "%s", "status": %d, '
    '"keys": %d, "bytes_in": %d, "bytes_out": %d, "ms": %.3f, "decode_ms": %.3f, "store_ms": %.3f, '
    '"encode_ms": %.3f}\n'
)

TOKENS: list[bytes] = []
BUCKETS: dict[str, wasi_keyvalue_store.Bucket] = {}


class HttpHandler(wit_world.exports.HttpHandler):
    """The export `wasi:http/handler`."""

    async def handle(self, request: wasi_http_types.Request) -> wasi_http_types.Response:
        start = perf_counter()
        path = request.get_path_with_query() or ""
        headers = dict(request.get_headers().copy_all())
        sent = await crossing.read_body(request)
        if path == "/v1/default/set-many":
            return crossing.answered(_written(json.loads(sent)["pairs"]))
        status, content, keys = 400, b"{}", 0
        decoded = stored = start
        label = path[4:-9]
        if path == f"/v1/{label}/get-many" and _is_granted(headers) and _is_json(headers):
            names = json.loads(sent, object_pairs_hook=_once)["keys"]
            if _are_keys(names):
                decoded = perf_counter()
                bucket = _opened(label)
                values = [bucket.get(names[0])] if len(names) == 1 else _values(bucket, names)
                stored = perf_counter()
                pairs = list(map(_pair, names, values))
                content = json.dumps({"pairs": pairs}, ensure_ascii=False).encode() + b"\n"
                status, keys = 200, len(names)
        end = perf_counter()
        request_id = headers.get("x-request-id", b"").decode() or os.urandom(16).hex()
        phases = 1000 * (decoded - start), 1000 * (stored - decoded), 1000 * (end - stored)
        whole = 1000 * (end - start)
        sys.stderr.write(LINE % (request_id, label, status, keys, len(sent), len(content), whole, *phases))
        await yield_to_host(2)
        return crossing.answered(
            content,
            ("vary", b"accept"),
            ("x-request-id", request_id.encode()),
            ("server-timing", b"decode;dur=%.3f, store;dur=%.3f, encode;dur=%.3f" % phases),
            status=status,
        )


def _opened(label: str) -> wasi_keyvalue_store.Bucket:
    return BUCKETS.get(label) or BUCKETS.setdefault(label, wasi_keyvalue_store.open(label))


def _written(pairs: list[dict[str, str]]) -> bytes:
    """Writes what is read later. Not a part of what is measured."""
    batch.set_many(_opened("default"), [(pair["key"], pair["value"].encode()) for pair in pairs])
    return b'{"pairs": %d}\n' % len(pairs)


def _is_granted(headers: dict[str, bytes]) -> bool:
    if not TOKENS:
        TOKENS.append(("Bearer " + (wasi_config_store.get("write_token") or "")).encode())
    given = headers.get("authorization", b"Bearer ")
    return any(hmac.compare_digest(given, token) for token in TOKENS)


def _is_json(headers: dict[str, bytes]) -> bool:
    return headers.get("content-type") == b"application/json" and headers.get("accept", b"*/*") in (
        b"*/*",
        b"application/json",
    )


def _once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(members)
    if len(found) < len(members):
        raise ValueError("a member is there twice")
    return found


def _are_keys(names: object) -> bool:
    if not isinstance(names, list) or len(names) > MAX_KEYS or set(map(type, names)) != {str}:
        return False
    return max(map(len, map(str.encode, names))) <= MAX_KEY_BYTES


def _values(bucket: wasi_keyvalue_store.Bucket, names: list[str]) -> list[bytes | None]:
    found = dict(batch.get_many(bucket, list(dict.fromkeys(names))))
    return list(map(found.get, names))


def _pair(name: str, value: bytes | None) -> dict[str, str | None]:
    if value is None:
        return {"key": name, "value": None}
    try:
        return {"key": name, "value": value.decode()}
    except UnicodeDecodeError:
        return {"key": name, "value": base64.b64encode(value).decode(), "encoding": "base64"}


snapshot.settle()
