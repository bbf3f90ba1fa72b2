"""The embedded component: the same gateway behind plain functions, for hosts that know no async export.

Every function that it imports blocks, so nothing in the core ever has to wait, and its coroutines run to
their end at the first step.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TypeVar

import wit_world.exports
from componentize_py_types import Err
from wit_world.exports.gateway import Request as WitRequest
from wit_world.imports import batch, exchange, wasi_config_store, wasi_keyvalue_store

from kv_batch.gateway import Gateway as Core
from kv_batch.http import BodyCutShort, Request, Response, header_map
from kv_batch.wit import Wit, WitBucket, open_bucket

WIT = Wit(wasi_keyvalue_store, batch, Err)

WRITE_BYTES = 64 * 1024
"""The most that one write of an answer's body takes: the host unpacks a list many times as large."""

Result = TypeVar("Result")


class EmbeddedHost:
    """The host of `kv_batch.host`, as the embedded one is."""

    def config(self, name: str) -> str | None:
        return wasi_config_store.get(name)

    async def open(self, label: str) -> WitBucket:
        return await open_bucket(WIT, label)


class EmbeddedBody:
    """The body of the request under way."""

    def __init__(self) -> None:
        self._ended = False

    async def read(self) -> bytes:
        if self._ended:
            return b""
        try:
            chunk = exchange.read()
        except Err as error:
            raise BodyCutShort(str(error.value)) from None
        self._ended = not chunk
        return chunk


CORE = Core(EmbeddedHost())


class Gateway(wit_world.exports.Gateway):
    """The export `gateway`."""

    def handle(self, request: WitRequest) -> None:
        run(_handle(request))


async def _handle(request: WitRequest) -> None:
    headers = header_map(request.headers)
    response: Response = await CORE.handle(Request(request.method, request.target, headers, EmbeddedBody()))
    exchange.respond(response.status, response.headers)
    if request.method == "HEAD":
        return
    if isinstance(response.body, bytes):
        _write(response.body)
        return
    async for chunk in response.body:
        if not _write(chunk):
            return


def _write(data: bytes) -> bool:
    return all(
        exchange.write(data[start : start + WRITE_BYTES]) for start in range(0, len(data), WRITE_BYTES)
    )


def run(coroutine: Coroutine[None, None, Result]) -> Result:
    """Runs a coroutine that never waits, and returns its result."""
    try:
        coroutine.send(None)
    except StopIteration as stop:
        result: Result = stop.value
        return result
    raise RuntimeError("a coroutine of the embedded guest tried to wait: there is nothing to wait for")
