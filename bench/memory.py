"""The memory of Spin while millions of pairs pass through: `python -m bench.memory`. Linux only.

It imports 100,000 pairs of 100-byte values, then a million, then four million, and then exports all, under
`spin up` with SQLite. It prints Spin's memory after each step, and the maximum during the step.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from bench.files import fetch, forget_peak, machine, must_equal, peak, resident, send, write
from tests.servers import Server, serving

STEPS = (100_000, 1_000_000, 4_000_000)
MIB = 1024 * 1024


def main() -> int:
    """Measures and prints the results."""
    print(f"pairs of 100 bytes, {machine()}; MiB of the process that serves")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        file, out = place / "in.ndjson", place / "out.ndjson"
        with serving("spin", place / "data") as server:
            url = f"{server.url}/v1/default"
            tell("before", server)
            held = {}
            for count in STEPS:
                write(file, range(count))
                took = send(f"{url}/set-many", file, out)
                held[count] = peak(server)
                tell(f"import of {count:,} ({took:.0f} s)", server)
            growth = (held[STEPS[-1]] - held[STEPS[0]]) / MIB
            print(f"grown from {STEPS[0]:,} to {STEPS[-1]:,} imported pairs: {growth:.1f} MiB")
            took = fetch(f"{url}/export", out)
            must_equal(file, out)
            tell(f"export of {count:,} ({took:.0f} s)", server)
            names = sum(len(f"key:{number:07}") for number in range(count))
            print(f"names of {count:,} keys: {names / MIB:.1f} MiB of text")
    return 0


def tell(what: str, server: Server) -> None:
    """Prints the current memory, and its maximum since the last call."""
    print(f"{what:32} {resident(server) / MIB:8.1f} now {peak(server) / MIB:8.1f} at most", flush=True)
    forget_peak(server)


if __name__ == "__main__":
    sys.exit(main())
