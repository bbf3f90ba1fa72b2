"""Requests per second, by the requests that an instance may answer: `python -m bench.instance_reuse`.

It runs each component under `spin up --max-instance-reuse-count N`, for N = 128 (Spin's default) and 10,000
(`make up`), and sends get-many requests of one key with wrk. The runs of one component alternate between the
two counts. The program prints the medians of the requests per second, and the memory of Spin at its peak.
SQLite is the store. Needs `spin` and `wrk`. DURATION, ROUNDS and CONNECTIONS change the runs; manifests may
be given as arguments.
"""

from __future__ import annotations

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import httpx

from bench.files import machine, peak
from tests.servers import serving

MANIFESTS = ("spin.toml", "deploy/spin-4.0.toml", "deploy/spin-3.toml")

COUNTS = ("128", "10000")

DURATION = int(os.environ.get("DURATION", "5"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
CONNECTIONS = int(os.environ.get("CONNECTIONS", "16"))

MIB = 1024 * 1024


def main() -> int:
    """Measures and prints the results. Returns 1 if the machine has no `wrk`."""
    if shutil.which("wrk") is None:
        print("not measured: no wrk on PATH", file=sys.stderr)
        return 1
    print(f"{machine()}; {ROUNDS} runs of {DURATION} s with {CONNECTIONS} connections, in turn")
    print(
        f"{'manifest':22} {'count':>6} {'requests/s':>11} {'lowest':>8} {'highest':>8} {'MiB':>6}", flush=True
    )
    for manifest in sys.argv[1:] or MANIFESTS:
        rates: dict[str, list[float]] = {count: [] for count in COUNTS}
        memory: dict[str, list[float]] = {count: [] for count in COUNTS}
        for _ in range(ROUNDS):
            for count in COUNTS:
                rate, held = run(manifest, count)
                rates[count].append(rate)
                memory[count].append(held)
        for count in COUNTS:
            each = rates[count]
            figures = f"{statistics.median(each):11,.0f} {min(each):8,.0f} {max(each):8,.0f}"
            held = statistics.median(memory[count])
            print(f"{manifest:22} {count:>6} {figures} {held:6,.0f}", flush=True)
    return 0


def run(manifest: str, count: str) -> tuple[float, float]:
    """The requests per second of one run, and the peak of Spin's memory in MiB."""
    options = ("--max-instance-reuse-count", count)
    with (
        tempfile.TemporaryDirectory() as name,
        serving("spin", Path(name), *options, manifest=manifest) as server,
    ):
        body = {"pairs": [{"key": "a", "value": "v" * 100}]}
        httpx.post(f"{server.url}/v1/default/set-many", json=body).raise_for_status()
        wrk = [
            "wrk",
            "-t",
            "1",
            "-c",
            str(CONNECTIONS),
            "-d",
            f"{DURATION}s",
            f"{server.url}/v1/default?key=a",
        ]
        answer = subprocess.run(wrk, capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in answer or "Socket errors" in answer:
            raise RuntimeError(answer)
        match = re.search(r"Requests/sec:\s+([\d.]+)", answer)
        assert match, answer
        return float(match[1]), peak(server) / MIB


if __name__ == "__main__":
    sys.exit(main())
