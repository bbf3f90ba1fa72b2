"""No request of a usual size takes long, whatever is in it: a loop that is not linear would.

The bound is far from what is usual, a few milliseconds, so a busy machine does not exceed it.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.conftest import FIGURES
from tests.hostile.answers import seconds_until_closed
from tests.hostile.repeats import generated
from tests.servers import serving

SPOILED = 500
"""The number of requests beside those with one repeated fragment, of which there are 3,300."""

LONGEST = 1.0
"""The seconds that a request may take."""

AT_ONCE = 4


def test_no_body_of_64_kb_and_no_head_takes_a_second(
    host: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    requests = list(generated(SPOILED))
    assert len(requests) > 2_000
    with serving(host, tmp_path) as server:
        with ThreadPoolExecutor(AT_ONCE) as pool:
            taken = list(pool.map(lambda each: seconds_until_closed(server, each.data), requests))
        # A slow request delays those beside it, so each is sent again by itself.
        slow = [
            f"{each.kind}: {each.what}"
            for each, seconds in zip(requests, taken, strict=True)
            if seconds > LONGEST and min(seconds_until_closed(server, each.data) for _ in range(3)) > LONGEST
        ]
        assert httpx.get(f"{server.url}/v1/default?key=a", timeout=60).status_code == 200
    assert not slow, slow[:10]
    pytestconfig.stash[FIGURES].append(
        f"{host}: {len(requests)} requests of repeated fragments, the slowest took {max(taken):.2f} s"
    )
