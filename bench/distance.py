"""The durations of requests at a distance: `python -m bench.distance [tries] [Redis] [DynamoDB (moto)]`.

Each figure is a median in milliseconds. For Redis it is followed by its bound (tests/backends/timing.py), and
it is bold if it exceeds the bound. Needs `spin`, the engines, and `go` to build toxiproxy.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.backends.engines import ENGINES
from tests.backends.network import network, why_not_away
from tests.backends.timing import REQUESTS, spins_over

ROUND_TRIPS = (0, 2, 20, 100, 200)
"""Round trip times in milliseconds."""


def main(arguments: list[str]) -> int:
    """Measures and prints the results. Returns 1 if the machine cannot run an engine."""
    tries = int(arguments[0]) if arguments else 9
    for name in arguments[1:] or ["Redis", "DynamoDB (moto)"]:
        if missing := why_not_away(name):
            print(f"{name} is not measured: {missing}", file=sys.stderr)
            return 1
        measure(name, tries)
    return 0


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
