"""An import during which the host is killed, 20 times: `python -m bench.kill_import [SEED]`.

Each import under `spin up` with SQLite has requests of 60,000 pairs, three store calls each, and the host is
killed (kill -9) at a random moment. Then the store must open, SQLite must find no error in it, every pair of
every answered request must be there, no pair that was not sent may be there, and sending everything again
must succeed.
"""

from __future__ import annotations

import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from bench.files import fetch, machine, must_equal, send, write
from tests.servers import serving

ROUNDS = 20
REQUESTS = 10
PAIRS = 60_000
MAX_DELAY = 3.5
"""The maximum delay before the kill, in seconds: about the duration of the whole import."""


def main() -> int:
    """Runs all rounds and prints the results. Returns 1 if a pair was lost or the store was wrong."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.randrange(10_000)
    chance = random.Random(seed)
    print(f"{ROUNDS} rounds of {REQUESTS} requests of {PAIRS:,} pairs, {machine()}; seed {seed}")
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        whole = write(place / "whole.ndjson", range(REQUESTS * PAIRS))
        parts = [
            write(place / f"{number}.ndjson", range(number * PAIRS, (number + 1) * PAIRS))
            for number in range(REQUESTS)
        ]
        lines = whole.read_bytes().splitlines()
        sent, out = set(lines), place / "out.ndjson"
        for turn in range(ROUNDS):
            data = place / str(turn)
            delay = chance.uniform(0, MAX_DELAY)
            answered = import_until_killed(data, parts, delay, out)
            with serving("spin", data) as server:
                url = f"{server.url}/v1/default"
                fetch(f"{url}/export", out)
                there = set(out.read_bytes().splitlines())
                lost = set(lines[: answered * PAIRS]) - there
                foreign = there - sent
                with sqlite3.connect(data / "sqlite_key_value.db") as store:
                    verdict = store.execute("PRAGMA integrity_check").fetchone()[0]
                send(f"{url}/set-many", whole, place / "answer.json")
                fetch(f"{url}/export", out)
                must_equal(whole, out)
            print(
                f"{turn + 1:2}: killed after {delay:.2f} s, {answered:2} requests answered, "
                f"{len(there):7,} pairs there, {len(lost)} lost, {len(foreign)} foreign; "
                f"integrity: {verdict}; sent again: complete",
                flush=True,
            )
            if lost or foreign or verdict != "ok":
                return 1
    print("nothing that was acknowledged was lost")
    return 0


def import_until_killed(data: Path, parts: list[Path], delay: float, out: Path) -> int:
    """Sends one part after another until the host is killed. Returns the number of answered requests."""
    answered = 0
    with serving("spin", data) as server:
        killer = threading.Timer(delay, server.kill)
        killer.start()
        try:
            for part in parts:
                send(f"{server.url}/v1/default/set-many", part, out)
                answered += 1
        except subprocess.CalledProcessError:
            pass  # expected: the host was killed
        killer.join()
    return answered


if __name__ == "__main__":
    sys.exit(main())
