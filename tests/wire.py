"""Pairs on the wire, as a client writes and reads them."""

from __future__ import annotations

import base64
from typing import Any


def wire_pair(key: str, value: bytes) -> dict[str, str]:
    """A pair of a set-many body, with any bytes as base64."""
    return {"key": key, "value": base64.b64encode(value).decode(), "encoding": "base64"}


def value_of(pair: dict[str, Any]) -> bytes | None:
    """The value of a pair of an answer; None for a missing key."""
    if pair["value"] is None:
        return None
    return (
        base64.b64decode(pair["value"]) if pair.get("encoding") == "base64" else str(pair["value"]).encode()
    )
