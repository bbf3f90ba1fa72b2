"""Looks up the keys of a query. This module is the same for both hosts."""

from __future__ import annotations

import json
from urllib.parse import parse_qs

from kv_batch.batch import get_many
from kv_batch.bucket import Bucket


async def lookup(bucket: Bucket, target: str) -> bytes:
    """The values of the keys in a target, as JSON: `{"a": "1", "b": null}` for `/?key=a&key=b`.

    Raises:
        kv_batch.errors.StoreError: a key could not be read.
    """
    keys = parse_qs(target.partition("?")[2]).get("key", [])
    pairs = await get_many(bucket, keys)
    values = {key: None if value is None else value.decode(errors="replace") for key, value in pairs}
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"
