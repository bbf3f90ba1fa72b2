"""An import that is killed again and again: `python -m bench.kill_import [SEED]`.

Twenty times, an import under `spin up` with SQLite is sent in requests of 60,000 pairs, three calls of the
store each, and the host is killed (kill -9) at a random moment of it. Each time: the store opens, SQLite
finds no fault with it, every pair of every request that was answered is there, nothing is that was not sent,
and the whole sent again completes.
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
LONGEST = 3.5
"""Seconds after which the host is killed at the latest: about as long as the whole import takes."""


def main() -> int:
    """Measures and prints; 1 where a pair was lost."""
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
            delay = chance.uniform(0, LONGEST)
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
    """Sends one part after another while the host lives; returns how many were answered."""
    answered = 0
    with serving("spin", data) as server:
        killer = threading.Timer(delay, server.kill)
        killer.start()
        try:
            for part in parts:
                send(f"{server.url}/v1/default/set-many", part, out)
                answered += 1
        except subprocess.CalledProcessError:
            pass  # as it should: the host is gone
        killer.join()
    return answered


if __name__ == "__main__":
    sys.exit(main())
