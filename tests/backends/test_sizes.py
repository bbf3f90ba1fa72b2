"""Values that are much larger than usual, on a store whose keys are read one by one."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import httpx
import pytest

from bench.files import forget_peak, peak, resident
from tests.backends.behind_spin import spin_over
from tests.backends.engines import redis, why_not
from tests.conftest import FIGURES
from tests.servers import why_not as why_no_host

MIB = 1024 * 1024
COUNT = 100
KEYS = [f"k{number:02}" for number in range(COUNT)]
NDJSON = {"content-type": "application/x-ndjson"}
ANSWER_BYTES = 64 * MIB


def lines_of(keys: list[str]) -> bytes:
    return b"".join(b'{"key": "%b"}\n' % key.encode() for key in keys)


def export(url: str) -> tuple[int, int]:
    return asked(httpx.stream("GET", f"{url}/export", timeout=120))


def as_lines(url: str) -> tuple[int, int]:
    return asked(httpx.stream("POST", f"{url}/get-many", content=lines_of(KEYS), headers=NDJSON, timeout=120))


def as_json(url: str) -> tuple[int, int]:
    return asked(httpx.stream("POST", f"{url}/get-many", json={"keys": KEYS}, timeout=120))


def repeated(url: str) -> tuple[int, int]:
    body = gzip.compress(lines_of(KEYS[:1] * 10_000))
    headers = NDJSON | {"content-encoding": "gzip"}
    return asked(httpx.stream("POST", f"{url}/get-many", content=body, headers=headers, timeout=120))


def asked(answer: AbstractContextManager[httpx.Response]) -> tuple[int, int]:
    """The status of an answer, and the number of its bytes."""
    with answer as opened:
        return opened.status_code, sum(map(len, opened.iter_bytes()))


@pytest.mark.parametrize(
    ("ask", "status", "most"),
    [
        (export, 200, 400 * MIB),
        (as_lines, 200, 400 * MIB),
        (as_json, 413, 300 * MIB),
        (repeated, 413, 100 * MIB),
    ],
)
def test_large_values_are_read_from_redis_in_bounded_memory(
    ask: Callable[[str], tuple[int, int]], status: int, most: int, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if missing := why_no_host("spin") or why_not("Redis"):
        pytest.skip(f"Redis: {missing}")
    value = "v" * (8 * MIB)
    with ExitStack() as stack:
        engine = stack.enter_context(redis(tmp_path))
        with ExitStack() as filling:
            url = spin_over(engine, tmp_path, filling).url
            pairs = (json.dumps({"key": key, "value": value}).encode() + b"\n" for key in KEYS)
            sent = httpx.post(f"{url}/v1/default/set-many", content=pairs, headers=NDJSON, timeout=120)
            assert sent.json() == {"pairs": COUNT}
        server = spin_over(engine, tmp_path, stack, max_answer_bytes=str(ANSWER_BYTES))
        assert httpx.get(f"{server.url}/v1/default?key=none").status_code == 200
        before = resident(server)
        forget_peak(server)
        told, size = ask(f"{server.url}/v1/default")
        assert (told, size > COUNT * len(value)) == (status, status == 200)
        grown = peak(server) - before
        assert grown < most
        assert httpx.get(f"{server.url}/v1/default?key=none").status_code == 200
    pytestconfig.stash[FIGURES].append(
        f"Redis: {COUNT} values of {len(value) // MIB} MiB, {ask.__name__}: Spin grew by {grown // MIB} MiB"
    )
