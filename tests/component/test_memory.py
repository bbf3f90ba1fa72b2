"""A few kilobytes of gzip, six times at once: answered soon, in little memory, and nothing breaks.

`python -m bench.hostile_memory` measures these and many more; SECURITY.md has the figures.
"""

from __future__ import annotations

import gzip
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from bench.files import forget_peak, peak, processor_seconds, resident
from tests.component.test_hostile import BROKEN
from tests.conftest import FIGURES
from tests.servers import Server, serving

MIB = 1024 * 1024

AT_ONCE = 6

SECONDS = 5.0
"""Of the processor, for all of one kind together: the last answer takes no longer where nothing else runs, on
however few cores. They take 2 to 3."""

MEMORY = 1024 * MIB
"""Bytes that the host may grow by. It grew by 500 MiB at the most; by 11,000 of the first of these bodies
when the text was split at every quote."""

NDJSON, JSON, FORM = "application/x-ndjson", "application/json", "multipart/form-data; boundary=b"

BODIES = [
    ("brackets and quotes", NDJSON, 413, b"[" * 65 + b'"' * 60_000_000),
    ("commas and quotes", NDJSON, 413, b"[" + b"," * 101 + b'"' * 60_000_000),
    ("quotes that a line may have room for", NDJSON, 400, b"[" * 65 + b'"' * 13_000_000),
    ("escapes and quotes", NDJSON, 400, b"[" * 65 + b'"\\\\' * 6_000_000),
    ("blank lines", NDJSON, 200, b"\n" * 60_000_000),
    ("quotes in JSON", JSON, 413, b"[" + b"[]," * 65 + b'"' * 16_000_000),
    ("numbers in JSON", JSON, 413, b'{"keys": [' + b"1," * 8_000_000),
    (
        "folds in a form",
        FORM,
        400,
        b'--b\r\ncontent-disposition: form-data; name="k"\r\n' + b" a\r\n" * 4_000_000,
    ),
]


def post(server: Server, body: bytes, kind: str) -> int:
    """The status of the answer to a packed body."""
    headers = {"content-type": kind, "content-encoding": "gzip"}
    url = f"{server.url}/v1/default/set-many"
    return httpx.post(url, content=body, headers=headers, timeout=120).status_code


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read in /proc")
def test_few_bytes_do_not_become_many_objects(host: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    with serving(host, tmp_path) as server, ThreadPoolExecutor(AT_ONCE) as threads:
        url = f"{server.url}/v1/default?key=a"
        assert httpx.get(url).status_code == 200
        held = resident(server)
        forget_peak(server)
        longest = 0.0
        for name, kind, status, body in BODIES:
            packed = gzip.compress(body)
            assert len(packed) < 300_000
            before = processor_seconds(server)
            answers = list(threads.map(post, [server] * AT_ONCE, [packed] * AT_ONCE, [kind] * AT_ONCE))
            assert set(answers) == {status}, name
            longest = max(longest, processor_seconds(server) - before)
            assert longest < SECONDS, name
            grown = peak(server) - held
            assert grown < MEMORY, name
        assert httpx.get(url).status_code == 200
        assert not BROKEN.search(server.logged()), BROKEN.search(server.logged())
    pytestconfig.stash[FIGURES].append(
        f"{host}: {AT_ONCE} hostile bodies at once grew it by {grown // MIB} MiB, "
        f"the slowest kind took {longest:.1f} s of the processor"
    )
