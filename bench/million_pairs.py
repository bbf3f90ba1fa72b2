"""Import and export a million pairs: `python -m bench.million_pairs [PAIRS] [ROUNDS]`.

kv-batch is compared with a plain loop, the peer `stream` of `bench/peers`, which reads and writes one line
at a time. Both run under `spin up` with SQLite, alternately, each on a fresh store. The output is compared
with the input byte for byte. Three bounds: the peer `bulk` makes the host calls alone, which is the limit for
any guest in Python; it makes them with pairs that it gets by splitting the text at quotes; and SQLite alone
writes the same pairs into Spin's table with Spin's statement, in transactions of as many pairs as kv-batch
sends in a call, without parsing lines or sending anything. All files are in WAL mode, as those of `make up`.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from pathlib import Path
from statistics import median
from typing import Any

from bench.contenders import compiled
from bench.files import fetch, machine, must_equal, send, write
from kv_batch.bucket import MOST_KEYS
from tests.servers import serving
from tools.up.data import DATABASE, write_ahead


def main() -> int:
    """Measures and prints the results."""
    count, rounds = (*map(int, sys.argv[1:]), *(1_000_000, 3)[len(sys.argv) - 1 :])
    on = machine()
    found = measured(count, rounds)["seconds"]
    print(f"{count:,} pairs of 100 bytes, {on}; {rounds} rounds")
    print("                             median s   best s   pairs/s (median)   pairs/s (best)")
    for what, seconds in found.items():
        middle, best = median(seconds), min(seconds)
        print(f"{what:28} {middle:8.2f} {best:8.2f} {count / middle:18,.0f} {count / best:16,.0f}")
    for what in "import", "export":
        ratios = [
            plain / ours
            for plain, ours in zip(found[f"plain loop, {what}"], found[f"kv-batch, {what}"], strict=True)
        ]
        print(f"{what}: {median(ratios):.1f} times as fast as the plain loop")
    return 0


def measured(count: int, rounds: int) -> dict[str, Any]:
    """The number of pairs, and the seconds of each round, by what was done.

    Raises:
        SystemExit: what came out is not what went in.
    """
    took: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        manifest = str(compiled("stream"))
        file = write(place / "in.ndjson", range(count))
        out = place / "out.ndjson"
        for turn in range(rounds):
            for name in ("gateway", "plain", "calls", "split"):
                (place / f"{name}-{turn}").mkdir()
                write_ahead(place / f"{name}-{turn}" / DATABASE)
            with serving("spin", place / f"gateway-{turn}") as server:
                url = f"{server.url}/v1/default"
                took["kv-batch, import"].append(send(f"{url}/set-many", file, out))
                took["kv-batch, export"].append(fetch(f"{url}/export", out))
                must_equal(file, out)
                took["kv-batch, get-many"].append(send(f"{url}/get-many", file, out))
                must_equal(file, out)
                took["kv-batch, delete-many"].append(send(f"{url}/delete-many", file, out))
                fetch(f"{url}/export", out)
                if out.stat().st_size:
                    raise SystemExit("delete-many left something behind")
            with serving("spin", place / f"plain-{turn}", manifest=manifest) as server:
                took["plain loop, import"].append(send(server.url, file, out))
                took["plain loop, export"].append(fetch(server.url, out))
                must_equal(file, out)
            with serving("spin", place / f"calls-{turn}", manifest=str(compiled("bulk"))) as server:
                send(server.url, file, out)
                took["the calls alone, import"].append(float(out.read_text()))
                fetch(server.url, out)
                took["the calls alone, export"].append(float(out.read_bytes()[-9:].rpartition(b"\0")[2]))
            with serving("spin", place / f"split-{turn}", manifest=str(compiled("bulk"))) as server:
                send(f"{server.url}/split", file, out)
                took["the calls and a split, import"].append(float(out.read_text()))
            took["SQLite alone"].append(sqlite_alone(file, place / f"{turn}.db"))
    return {"pairs": count, "seconds": took}


def sqlite_alone(file: Path, database: Path) -> float:
    """The seconds that SQLite needs to write the pairs of a file."""
    with file.open("rb") as lines:
        rows = [("default", pair["key"], pair["value"].encode()) for pair in map(json.loads, lines)]
    write_ahead(database)
    with closing(sqlite3.connect(database, isolation_level=None)) as store:
        store.execute(
            "CREATE TABLE spin_key_value (store TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, "
            "PRIMARY KEY (store, key))"
        )
        os.sync()
        start = time.perf_counter()
        for index in range(0, len(rows), MOST_KEYS):
            store.execute("BEGIN")
            store.executemany(
                "INSERT INTO spin_key_value (store, key, value) VALUES (?1, ?2, ?3) "
                "ON CONFLICT(store, key) DO UPDATE SET value=?3",
                rows[index : index + MOST_KEYS],
            )
            store.execute("COMMIT")
        return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
