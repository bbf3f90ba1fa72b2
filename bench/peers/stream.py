"""The peer *stream*, the baseline of `bench/million_pairs.py`: import and export as a plain loop.

It is a Spin component like that of the gateway, on the same host and the same store, written as most people
would write it first: one line at a time, with `json.loads` and `json.dumps`, and 1,000 pairs per store call.
It checks nothing, and implements none of the contract.
"""

from __future__ import annotations

import json

import wit_world.exports
from componentize_py_async_support.streams import ByteStreamReader, ByteStreamWriter
from wit_world.imports import batch, wasi_http_types, wasi_keyvalue_store

from bench.peers import wire

PAIRS = 1_000


class HttpHandler(wit_world.exports.HttpHandler):
    """The export `wasi:http/handler`."""

    async def handle(self, request: wasi_http_types.Request) -> wasi_http_types.Response:
        return wire.transferred(request, _import, _export)


async def _import(reader: ByteStreamReader, writer: ByteStreamWriter) -> None:
    bucket = wasi_keyvalue_store.open("default")
    pairs = []
    count = 0
    rest = b""
    with reader, writer:
        while not reader.writer_dropped:
            *lines, rest = (rest + await reader.read(256 * 1024)).split(b"\n")
            for line in lines:
                pair = json.loads(line)
                pairs.append((pair["key"], pair["value"].encode()))
                if len(pairs) == PAIRS:
                    batch.set_many(bucket, pairs)
                    count += len(pairs)
                    pairs = []
        batch.set_many(bucket, pairs)
        count += len(pairs)
        await writer.write_all(b'{"pairs": %d}\n' % count)


async def _export(reader: ByteStreamReader, writer: ByteStreamWriter) -> None:
    bucket = wasi_keyvalue_store.open("default")
    keys = sorted(bucket.list_keys(None).keys)
    with reader, writer:
        for start in range(0, len(keys), PAIRS):
            part = keys[start : start + PAIRS]
            values = dict(batch.get_many(bucket, part))
            lines = [
                json.dumps({"key": key, "value": value.decode()}, ensure_ascii=False)
                for key in part
                if (value := values[key]) is not None
            ]
            await writer.write_all("\n".join(lines).encode() + b"\n")
