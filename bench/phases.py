"""Where the time of a request goes: `python -m bench.phases [HOST] [--requests N]`.

Sends one request after the other on one connection, and takes the phases of each from its `server-timing`
header, which the guest measures: decode (with the routing and the token), store (the contract, the WIT
boundary, the host's store), encode. The rest is everything else that the client waits for: the network, the
two event loops, the lifting and lowering of headers and body, the suspension before the answer, the log line.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from http.client import HTTPConnection
from pathlib import Path
from statistics import median

from bench.contenders import Operation
from tests.servers import SPINS, serving
from tests.servers import why_not as why_no_host
from tools.components import SPIN_OPTIONS

PHASES = ("decode", "store", "encode")

LOADS = [
    ("get-many", 1, 100),
    ("get-many", 10, 100),
    ("get-many", 100, 100),
    ("get-many", 1_000, 100),
    ("get-many", 10, 100_000),
    ("set-many", 1, 100),
    ("set-many", 100, 100),
    ("set-many", 1_000, 100),
    ("delete-many", 1, 100),
    ("delete-many", 1_000, 100),
]
"""Operation, number of keys, bytes of each value."""


def main() -> int:
    """Prints the table. Returns 1 if the machine lacks the host."""
    parser = argparse.ArgumentParser(prog="python -m bench.phases", description=__doc__.partition("\n\n")[2])
    parser.add_argument("host", nargs="?", default="spin", help="spin, spin-0.3-rc, spin-0.2 or embedded")
    parser.add_argument("--requests", type=int, default=1_000, help="of each load; 1,000 if not given")
    options = parser.parse_args()
    missing = why_no_host(options.host)
    if missing:
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    print("| medians in ms | " + " | ".join([*PHASES, "rest", "whole"]) + " |")
    print("| --- | " + "---: | " * (len(PHASES) + 2))
    arguments = SPIN_OPTIONS if options.host in SPINS and options.host != "spin-0.2" else []
    with (
        tempfile.TemporaryDirectory() as data,
        serving(options.host, Path(data), *arguments, write_token="t" * 32) as server,
    ):
        connection = HTTPConnection("127.0.0.1", server.port)
        for name, keys, size in LOADS:
            pairs = {f"key:{number:07d}": "x" * size for number in range(keys)}
            _send(connection, Operation("set-many", pairs))
            rows = [_send(connection, Operation(name, pairs)) for _ in range(options.requests)]
            columns = [median(column) for column in zip(*rows, strict=True)]
            what = f"{name}, {keys:,} of {size:,} B"
            print(f"| {what} | " + " | ".join(f"{each:.3f}" for each in columns) + " |", flush=True)
    return 0


def _send(connection: HTTPConnection, operation: Operation) -> list[float]:
    """The milliseconds of the phases, of the rest, and of the whole."""
    body = operation.json()
    headers = {"content-type": "application/json", "authorization": f"Bearer {'t' * 32}"}
    began = time.perf_counter()
    connection.request("POST", f"/v1/default/{operation.name}", body, headers)
    answer = connection.getresponse()
    answer.read()
    whole = 1_000 * (time.perf_counter() - began)
    if answer.status != 200:
        raise RuntimeError(f"{operation.name} was answered with {answer.status}")
    timing = dict(re.findall(r"(\w+);dur=([\d.]+)", answer.headers["server-timing"]))
    phases = [float(timing[phase]) for phase in PHASES]
    return [*phases, whole - sum(phases), whole]


if __name__ == "__main__":
    sys.exit(main())
