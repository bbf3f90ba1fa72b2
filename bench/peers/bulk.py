"""The peer *bulk*: the host calls of an import and an export of a million pairs, and nothing else.

It makes the pairs before it takes the time. An import reads the body and throws it away; an export sends a
constant. Between them are the calls of the store that kv-batch makes. No guest in Python can do with less.

An import at `/split` takes the pairs from the body with as little Python as there can be: it splits the text
at quotes, and checks nothing.
"""

from __future__ import annotations

import time

import guests.first  # noqa: F401 - first, see there

# isort: split
import wit_world.exports
from componentize_py_async_support.streams import ByteStreamReader, ByteStreamWriter
from wit_world.imports import batch, wasi_http_types, wasi_keyvalue_store

from bench.peers import wire
from guests import handles, snapshot

COUNT = 1_000_000
CALL = 25_600
"""Pairs of one call, as in kv-batch (`kv_batch.bucket.MOST_KEYS`)."""

LINE_BYTES = 136
"""The size of a line of `bench.files.lines`."""

PAIRS: list[tuple[str, bytes]] = []


class HttpHandler(wit_world.exports.HttpHandler):
    """The export `wasi:http/handler`. An answer ends with a line that has the seconds that it took."""

    async def handle(self, request: wasi_http_types.Request) -> wasi_http_types.Response:
        take = _split if request.get_path_with_query() == "/split" else _import
        return wire.transferred(request, take, _export)


async def _import(reader: ByteStreamReader, writer: ByteStreamWriter) -> None:
    _make_pairs()
    start = time.monotonic()
    bucket = wasi_keyvalue_store.open("default")
    read = written = 0
    with reader, writer:
        while not reader.writer_dropped:
            read += len(await handles.read(reader, 256 * 1024))
            while read >= LINE_BYTES * (written + CALL):
                batch.set_many(bucket, PAIRS[written : written + CALL])
                written += CALL
        batch.set_many(bucket, PAIRS[written : read // LINE_BYTES])
        await handles.write_all(writer, b"%.3f\n" % (time.monotonic() - start))


async def _split(reader: ByteStreamReader, writer: ByteStreamWriter) -> None:
    start = time.monotonic()
    bucket = wasi_keyvalue_store.open("default")
    rest = ""
    pairs: list[tuple[str, bytes]] = []
    with reader, writer:
        while not reader.writer_dropped:
            rest += (await handles.read(reader, 256 * 1024)).decode()
            whole, _, rest = rest.rpartition("\n")
            pieces = whole.split('"')
            pairs += zip(pieces[3::8], map(str.encode, pieces[7::8]), strict=True)
            if len(pairs) >= CALL:
                batch.set_many(bucket, pairs)
                pairs = []
        batch.set_many(bucket, pairs)
        await handles.write_all(writer, b"%.3f\n" % (time.monotonic() - start))


async def _export(reader: ByteStreamReader, writer: ByteStreamWriter) -> None:
    _make_pairs()
    keys = [key for key, _ in PAIRS]
    start = time.monotonic()
    bucket = wasi_keyvalue_store.open("default")
    found = len(bucket.list_keys(None).keys)
    with reader, writer:
        for first in range(0, found, CALL):
            got = len(batch.get_many(bucket, keys[first : first + CALL]))
            await handles.write_all(writer, bytes(LINE_BYTES * got))
        await handles.write_all(writer, b"%.3f\n" % (time.monotonic() - start))


def _make_pairs() -> None:
    if not PAIRS:
        PAIRS.extend((f"key:{number:07d}", b"%07d" % number * 14 + b"ab") for number in range(COUNT))


snapshot.settle()
