"""The time that one request can take a host, whatever is in it: `python -m bench.hostile_time [SPOILED]`.

Sends the requests of `tests/hostile/repeats.py` one after another to each host that this machine has: one or
two fragments repeated in a body of 64 KiB, which half of them send in gzip, in a header or in a target.
SPOILED is the number of those with random changes. Prints the median and the slowest of each kind in
milliseconds. SECURITY.md has the table.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

from tests.component.test_hostile import BROKEN
from tests.hostile.answers import seconds_until_closed
from tests.hostile.repeats import HEADERS, Repeat, generated
from tests.servers import Server, serving, why_not

HOSTS = ("spin", "embedded")
SPOILED = 5_000

SENT_AGAIN = 10
"""So many of the slowest requests of each kind are sent again, since other programs may have delayed them."""

Times = dict[str, list[tuple[float, str]]]
"""The times in milliseconds by kind, each with how its request was made."""


def measured(server: Server, requests: list[Repeat]) -> Times:
    """Sends all requests. The slowest of each kind are sent three more times, and the least time counts."""
    times: dict[str, list[tuple[float, Repeat]]] = {}
    for each in requests:
        kind = "a header" if each.kind in HEADERS else each.kind
        times.setdefault(kind, []).append((seconds_until_closed(server, each.data), each))
    found: Times = {}
    for kind, taken in times.items():
        taken.sort(key=lambda timed: timed[0], reverse=True)
        for index, (seconds, each) in enumerate(taken[:SENT_AGAIN]):
            again = min(seconds_until_closed(server, each.data) for _ in range(3))
            taken[index] = min(seconds, again), each
        found[kind] = [(1000 * seconds, f"{each.kind}: {each.what}") for seconds, each in taken]
    return found


def main() -> int:
    """Measures and prints. Returns 1 if a host broke or is missing."""
    requests = list(generated(int(sys.argv[1]) if len(sys.argv) > 1 else SPOILED))
    results: dict[str, Times] = {}
    wrong = 0
    for host in HOSTS:
        if missing := why_not(host):
            print(f"{host} was not measured: {missing}", file=sys.stderr)
            wrong += 1
            continue
        with tempfile.TemporaryDirectory() as name, serving(host, Path(name)) as server:
            results[host] = measured(server, requests)
            if broken := BROKEN.search(server.logged()):
                print(f"{host}: the host broke: {broken}", file=sys.stderr)
                wrong += 1
    print(f"| kind | requests |{''.join(f' {host}: median | slowest |' for host in results)}")
    print(f"| --- | ---: |{' ---: | ---: |' * len(results)}")
    for kind in next(iter(results.values()), {}):
        columns = [times[kind] for times in results.values()]
        figures = [
            f" {statistics.median(ms for ms, _ in taken):.1f} | {max(taken)[0]:.0f} |" for taken in columns
        ]
        print(f"| {kind} | {len(columns[0])} |{''.join(figures)}")
    for host, times in results.items():
        slowest, what = max(timed for taken in times.values() for timed in taken)
        print(f"{host}: the slowest took {slowest:.0f} ms: {what}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
