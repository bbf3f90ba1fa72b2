"""The component for the embedded host, whose calls all block: a coroutine ends in its first step."""

from __future__ import annotations

import wit_world.exports
from componentize_py_types import Err
from lookup import lookup
from wit_world.imports import batch, exchange, wasi_keyvalue_store

from kv_batch.wit import Wit, open_bucket

WIT = Wit(wasi_keyvalue_store, batch, Err)


class Gateway(wit_world.exports.Gateway):
    """The export `gateway`."""

    def handle(self, method: str, target: str, headers: list[tuple[str, str]]) -> None:
        async def answer() -> None:
            content = await lookup(await open_bucket(WIT, "default"), target)
            exchange.respond(200, [("content-type", "application/json")], True)
            exchange.write(content.decode("latin-1"))

        try:
            answer().send(None)
        except StopIteration:
            return
        raise RuntimeError("the coroutine waits, and nothing will wake it")
