"""The memory of a Spin with the settings of deploy/kubernetes: `python -m bench.pod_memory [MANIFEST…]`.

It runs the component of each manifest with the settings of the pod, and prints the memory of Spin: over
Redis, idle and while a million pairs are imported and exported; over SQLite, which is faster, while 16 of the
worst requests that the settings allow are sent concurrently. Needs `spin` and `redis-server`. Linux only.
"""

from __future__ import annotations

import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.files import fetch, forget_peak, machine, peak, resident, write
from bench.files import send as send_file
from bench.limited import MIB, SETTINGS, cases, send
from tests.backends.engines import redis, why_not
from tests.servers import Server, serving

MANIFESTS = ("deploy/spin-4.0.toml", "spin.toml")

AT_ONCE = 16
"""Concurrent requests: what Spin gives to one instance."""

PAIRS = 1_000_000


def main() -> int:
    """Measures and prints the results. Returns 1 without `redis-server`, or if an answer was wrong."""
    if missing := why_not("Redis"):
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    wrong = 0
    for manifest in sys.argv[1:] or MANIFESTS:
        print(f"{machine()} and Redis, {manifest}; MiB of the process that serves")
        with tempfile.TemporaryDirectory() as name:
            many_pairs(manifest, Path(name))
            wrong += worst_requests(manifest, Path(name))
    return 1 if wrong else 0


def many_pairs(manifest: str, place: Path) -> None:
    """An import and an export over Redis."""
    with redis(place) as engine:
        config = place / "runtime-config.toml"
        config.write_text(engine.runtime_config)
        options = ("--runtime-config-file", str(config))
        with serving(
            "spin", place / "redis", *options, manifest=manifest, port=0, extra_environment={}, **SETTINGS
        ) as server:
            tell("idle", server)
            file, out = place / "in.ndjson", place / "out.ndjson"
            send_file(f"{server.url}/v1/default/set-many", write(file, range(PAIRS)), out)
            tell(f"import of {PAIRS:,} pairs", server)
            fetch(f"{server.url}/v1/default/export", out)
            tell(f"export of {PAIRS:,} pairs", server)


def worst_requests(manifest: str, place: Path) -> int:
    """The worst requests over SQLite. Returns the number of kinds that had wrong answers."""
    wrong = 0
    with (
        serving(
            "spin", place / "sqlite", manifest=manifest, port=0, extra_environment={}, **SETTINGS
        ) as server,
        ThreadPoolExecutor(AT_ONCE) as threads,
    ):
        for case in cases():
            statuses = {each[0] for each in threads.map(send, [server] * AT_ONCE, [case] * AT_ONCE)}
            tell(f"{AT_ONCE} times {case.what}", server, statuses)
            wrong += statuses != {case.status}
        time.sleep(3)  # Spin drops an instance a second after its last request
        tell("idle again", server)
    return wrong


def tell(what: str, server: Server, statuses: set[int] | None = None) -> None:
    """Prints the memory at its peak since the last call, and the current one."""
    told = "".join(f" {status}" for status in sorted(statuses or ()))
    print(f"{what:62}{peak(server) / MIB:8,.0f} now {resident(server) / MIB:6,.0f}{told}", flush=True)
    forget_peak(server)


if __name__ == "__main__":
    sys.exit(main())
