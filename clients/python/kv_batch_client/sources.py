"""The files of an import: NDJSON, and the formats of other tools, as lines of pairs.

A wrangler or consul file is one JSON array and is held in memory as a whole.
"""

from __future__ import annotations

import base64
import binascii
import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from typing import BinaryIO, cast

from kv_batch_client.errors import BadInput
from kv_batch_client.lines import pair_line

GZIP_MAGIC = b"\x1f\x8b"


def unpacked(file: BinaryIO) -> io.BufferedReader:
    """The file, decompressed if it starts as gzip does."""
    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(cast("io.RawIOBase", file))
    if buffered.peek(2)[:2] == GZIP_MAGIC:
        return io.BufferedReader(cast("io.RawIOBase", gzip.GzipFile(fileobj=buffered)))
    return buffered


def ndjson(file: BinaryIO) -> Iterator[bytes]:
    """The lines of an NDJSON file, without line ends.

    Raises:
        BadInput: the gzip data is damaged or cut.
    """
    try:
        for line in unpacked(file):
            yield line.rstrip(b"\r\n")
    except (EOFError, gzip.BadGzipFile, binascii.Error) as error:
        raise BadInput(f"The gzip data is damaged or was cut: {error}. Get the file again.") from error


def wrangler(file: BinaryIO, say: Callable[[str], None]) -> Iterator[bytes]:
    """The pairs of a file for `wrangler kv bulk put`."""
    dropped = dict.fromkeys(("expiration", "expiration_ttl", "metadata"), 0)
    for number, item in _array(file):
        key, value = item.get("key"), item.get("value")
        if not isinstance(key, str) or not isinstance(value, str):
            raise BadInput(f"Entry {number} has no key or no value that is a string.")
        for member in dropped:
            dropped[member] += item.get(member) is not None
        yield pair_line(key, _base64(value, number) if item.get("base64") else value.encode())
    for member, count in dropped.items():
        if count:
            say(f"{count} entries had {member}. A store has none, so it was dropped.")


def consul(file: BinaryIO, say: Callable[[str], None]) -> Iterator[bytes]:
    """The pairs of a file of `consul kv export`."""
    flagged = 0
    for number, item in _array(file):
        key, value = item.get("key"), item.get("value") or ""
        if not isinstance(key, str) or not isinstance(value, str):
            raise BadInput(f"Entry {number} has no key or no value that is a string.")
        flagged += bool(item.get("flags"))
        yield pair_line(key, _base64(value, number))
    if flagged:
        say(f"{flagged} entries had flags other than 0. A store has none, so they were dropped.")


def comma_separated(file: BinaryIO, say: Callable[[str], None]) -> Iterator[bytes]:
    """The pairs of a CSV file with the header key,value. Other columns are dropped."""
    text = io.TextIOWrapper(unpacked(file), encoding="utf-8-sig", newline="")
    try:
        rows = csv.DictReader(text, strict=True)
        names = list(rows.fieldnames or [])
        if "key" not in names or "value" not in names:
            raise BadInput(f"The header of the CSV file is {','.join(names)!r}. It must have key and value.")
        others = [name for name in names if name not in {"key", "value"}]
        if others:
            say(f"The columns {', '.join(others)} were dropped.")
        for number, row in enumerate(rows, 1):
            if row["key"] is None or row["value"] is None or None in row:
                raise BadInput(f"Row {number} (line {rows.line_num}) has not {len(names)} columns.")
            yield pair_line(row["key"], row["value"].encode())
    except (csv.Error, UnicodeDecodeError, EOFError, gzip.BadGzipFile) as error:
        raise BadInput(f"The CSV file cannot be read: {error}.") from error


FORMATS: dict[str, tuple[Callable[[BinaryIO, Callable[[str], None]], Iterator[bytes]], str]] = {
    "wrangler": (wrangler, "entry"),
    "consul": (consul, "entry"),
    "csv": (comma_separated, "row"),
}
"""Format to its reader, and the word for one pair of it."""

STREAMED = {"ndjson", "csv"}
"""The formats that are read line by line."""


def _array(file: BinaryIO) -> Iterator[tuple[int, dict[str, object]]]:
    try:
        document = json.load(unpacked(file))
    except (ValueError, EOFError, gzip.BadGzipFile) as error:
        raise BadInput(f"The file is not JSON: {error}.") from error
    if not isinstance(document, list):
        raise BadInput("The file is not a JSON array.")
    for number, item in enumerate(document, 1):
        if not isinstance(item, dict):
            raise BadInput(f"Entry {number} is not an object.")
        yield number, item


def _base64(value: str, number: int) -> bytes:
    try:
        return base64.b64decode(value, validate=True)
    except ValueError as error:
        raise BadInput(f"The value of entry {number} is not base64: {error}.") from error
