"""The duration of get-many on a distant Redis: `python -m bench.redis_latency`.

Spin's batch read does not work on Redis, so single keys are read there. Concurrent reads should take about
one round trip for any number of keys; sequential reads would take one round trip per key. Needs `spin` and
`redis-server`.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.backends.behind_spin import spin_over
from tests.backends.contract import Gateway, numbered
from tests.backends.delay import delayed
from tests.backends.engines import redis, why_not
from tests.servers import why_not as why_no_host

EACH_WAY = 0.001
"""The delay in each direction, in seconds."""

TURNS = 50


def main() -> int:
    """Measures and prints the results. Returns 1 if the machine has no `spin` or no `redis-server`."""
    missing = why_no_host("spin") or why_not("Redis")
    if missing:
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = stack.enter_context(redis(data))
        port = stack.enter_context(delayed(engine.port, EACH_WAY))
        away = replace(engine, runtime_config=engine.runtime_config.replace(str(engine.port), str(port)))
        gateway = Gateway(spin_over(away, data, stack).url)
        pairs = numbered(1_000)
        gateway.call("set_many", list(pairs.items()))
        one = milliseconds(gateway, list(pairs)[:1])
        print(f"Redis, {2_000 * EACH_WAY:.0f} ms of round trip; medians of {TURNS} requests")
        print("keys   get-many   to one key   in a row, one request each")
        for count in (1, 10, 100, 1_000):
            took = milliseconds(gateway, list(pairs)[:count])
            print(f"{count:5,} {took:7.1f} ms {took / one:9.1f} x {one * count:12,.0f} ms")
    return 0


def milliseconds(gateway: Gateway, keys: list[str]) -> float:
    """The median duration of a get-many of these keys, in milliseconds."""
    took = []
    for _ in range(TURNS):
        start = time.perf_counter()
        gateway.call("get_many", keys)
        took.append(time.perf_counter() - start)
    return statistics.median(took) * 1_000


if __name__ == "__main__":
    sys.exit(main())
