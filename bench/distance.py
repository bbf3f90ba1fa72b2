"""The durations of requests at a distance: `python -m bench.distance [tries] [Redis] [DynamoDB (moto)]`.

`components` instead of an engine compares the three components: reads and writes of 100 keys on Redis.

Each figure is a median in milliseconds. For Redis it is followed by its bound (tests/backends/timing.py), and
it is bold if it exceeds the bound. Needs `spin`, the engines, and `go` to build toxiproxy.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import httpx

from tests.backends.behind_spin import spin_over
from tests.backends.engines import ENGINES
from tests.backends.network import network, why_not_away
from tests.backends.timing import REQUESTS, spins_over

ROUND_TRIPS = (0, 2, 20, 100, 200)
"""Round trip times in milliseconds."""


def main(arguments: list[str]) -> int:
    """Measures and prints the results. Returns 1 if the machine cannot run an engine."""
    tries = int(arguments[0]) if arguments else 9
    for name in arguments[1:] or ["Redis", "DynamoDB (moto)"]:
        if name == "components":
            compare(tries)
            continue
        if missing := why_not_away(name):
            print(f"{name} is not measured: {missing}", file=sys.stderr)
            return 1
        measure(name, tries)
    return 0


def compare(tries: int) -> None:
    """Measures the three components on Redis, and prints their table."""
    keys = [f"key {number}" for number in range(100)]
    requests: list[tuple[str, dict[str, object]]] = [
        ("get-many", {"keys": keys[:1]}),
        ("get-many", {"keys": keys}),
        ("set-many", {"pairs": [{"key": key, "value": key} for key in keys]}),
    ]
    print(f"Redis: medians of {tries}, ms\n")
    print("| component | round trip, ms | get-many of 1 key | get-many of 100 | set-many of 100 |")
    print("| --- | ---: | ---: | ---: | ---: |")
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = stack.enter_context(ENGINES["Redis"](data))
        link, engine = stack.enter_context(network(engine, data))
        for host in "spin", "spin-0.3-rc", "spin-0.2":
            server = spin_over(engine, data / host, stack, host=host)
            with httpx.Client(base_url=f"{server.url}/v1/default", timeout=60) as client:
                for round_trip in ROUND_TRIPS[:3]:
                    link.distance(round_trip / 1_000)
                    figures = [timed(client, path, body, tries) for path, body in requests]
                    cells = " | ".join(f"{seconds * 1_000:.0f}" for seconds in figures)
                    print(f"| {host} | {round_trip} | {cells} |", flush=True)


def timed(client: httpx.Client, path: str, body: dict[str, object], tries: int) -> float:
    """The median duration of a request in seconds, after one that is not counted."""
    durations = []
    for _ in range(tries + 1):
        start = time.perf_counter()
        client.post(f"/{path}", json=body).raise_for_status()
        durations.append(time.perf_counter() - start)
    return statistics.median(durations[1:])


def measure(name: str, tries: int) -> None:
    """Measures one engine, and prints its table."""
    columns: list[list[str]] = [["round trip, ms", "---", *(each.name for each in REQUESTS)]]
    with ExitStack() as stack:
        data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        engine = stack.enter_context(ENGINES[name](data))
        link, engine = stack.enter_context(network(engine, data))
        spins = stack.enter_context(spins_over(engine, data))
        spins.fill()
        for milliseconds in ROUND_TRIPS:
            link.distance(milliseconds / 1_000)
            spins.warm()
            column = [str(milliseconds), "---"]
            for each in REQUESTS:
                took = statistics.median(spins.seconds(each) for _ in range(tries))
                bound = each.bound(milliseconds / 1_000)
                figure = (
                    f"{took * 1_000:.0f} ({bound * 1_000:.0f})" if name == "Redis" else f"{took * 1_000:.0f}"
                )
                column.append(f"**{figure}**" if name == "Redis" and took > bound else figure)
            columns.append(column)
    print(f"{name}: medians of {tries}, ms" + (" (bound)" if name == "Redis" else "") + "\n")
    for line in zip(*columns, strict=True):
        print(f"| {' | '.join(line)} |")
    print()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
