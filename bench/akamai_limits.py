"""The memory of the component within the limits of Akamai Functions: `python -m bench.akamai_limits`.

It runs the component of deploy/spin-4.0.toml under `spin up --max-instance-memory` with 128 MiB and with
the settings of deploy/akamai.md, and sends an import and an export of 10 MiB, the worst requests that the
settings allow, and requests to a store of many keys. Spin reports the linear memory of each instance as the
metric `spin.component_memory_used` when it drops the instance. An instance answers one request here
(`--max-instance-reuse-count 1`; Spin 4.1 does not reuse instances of this component anyway). The program
prints that memory for each request. It returns 1 if an answer was not the expected one, or a request needed
more. SQLite is the store. `SPIN_4_0=PROGRAM` names a Spin 4.0; otherwise the `spin` on PATH is measured.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

from bench.files import machine
from bench.limited import MIB, SETTINGS, Case, cases, send
from tests.otlp import Received, receiver
from tests.servers import Server, serving

MEMORY = 128 * MIB
"""The limit of Akamai Functions for the memory of one execution, in bytes."""

LIMITS = SETTINGS | {"max_keys": "1000", "retry_seconds": "20"}
"""The settings of deploy/akamai.md."""

KEYS = (100_000, 400_000, 1_000_000)
"""Numbers of keys in the store, for the requests that list them."""

AT_ONCE = 50_000
"""Keys that one request writes."""


class Memory:
    """The linear memory of instances, as Spin reports it when it drops them."""

    def __init__(self, received: Received) -> None:
        self._received = received
        self._last = (0, 0.0)

    def of_next(self) -> float:
        """The memory in bytes of the instances that Spin has dropped since the last call: the mean.

        Raises:
            TimeoutError: No instance was dropped within ten seconds.
        """
        end = time.monotonic() + 10
        while (now := self._total())[0] == self._last[0]:
            if time.monotonic() > end:
                raise TimeoutError("Spin reported no memory")
            time.sleep(0.05)
        used = (now[1] - self._last[1]) / (now[0] - self._last[0])
        self._last = now
        return used

    def _total(self) -> tuple[int, float]:
        """The number of instances that were dropped, and the sum of their memories."""
        for metric in reversed(self._received.metrics):
            if metric.name == "spin.component_memory_used":
                points = metric.histogram.data_points
                return sum(each.count for each in points), sum(each.sum for each in points)
        return 0, 0.0


def fill(server: Server, memory: Memory, start: int, end: int) -> None:
    """Writes keys with these numbers."""
    for first in range(start, end, AT_ONCE):
        numbers = range(first, first + AT_ONCE)
        keys = b"".join(b'{"key": "many:%010d", "value": ""}\n' % number for number in numbers)
        send(server, Case("", 200, "/set-many", keys))
        memory.of_next()


def measure(server: Server, memory: Memory, case: Case) -> bool:
    """Sends a request, and prints its results. Returns whether the answer is the expected one."""
    status, seconds = send(server, case)
    used = memory.of_next()
    print(f"{case.what:52} {status:8} {used / MIB:6.1f} {seconds:7.2f}", flush=True)
    return status == case.status


def main() -> int:
    """Measures and prints the results. Returns 1 if an answer was wrong or a memory was too small."""
    host = "spin-4.0" if "SPIN_4_0" in os.environ else "spin-0.3-rc"
    print(f"{machine(host)}, instances of at most {MEMORY // MIB} MiB")
    print(f"{'request':52} answered    MiB seconds")
    options = ("--max-instance-reuse-count", "1", "--max-instance-memory", str(MEMORY))
    with tempfile.TemporaryDirectory() as name, receiver() as received:
        environment = received.environment | {"RUST_LOG": "spin_core=warn"}
        with serving(
            host, Path(name), *options, port=0, extra_environment=environment, manifest=None, **LIMITS
        ) as server:
            memory = Memory(received)
            memory.of_next()  # the request that found out that the server is up
            wrong = sum(not measure(server, memory, case) for case in cases())
            held = 0
            for count in KEYS:
                fill(server, memory, held, count)
                held = count
                for what, path in ("a page of keys", "/keys"), ("an export", "/export"):
                    case = Case(f"{what}, of {count:,} keys", 200, f"{path}?prefix=many:")
                    wrong += not measure(server, memory, case)
            refused = server.logged().count("instance memory limit exceeded")
    print(f"wrong answers: {wrong}; memory that an instance asked for and did not get: {refused} times")
    return 1 if wrong or refused else 0


if __name__ == "__main__":
    sys.exit(main())
