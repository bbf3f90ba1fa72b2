"""A host that is killed under write load, 200 times: `python -m bench.kill_writes [ROUNDS] [SEED] [HOST]`.

HOST is `spin`, `spin-0.3-rc` or `spin-0.2`. Four writers send set-many and delete-many of 1 to 6,000 keys,
each one batch at a time, to `spin up` over one SQLite file. At a random moment the host is killed (kill -9),
and then the file is checked. SQLite must find no error in it (`integrity_check`), every acknowledged batch
must be there, and each batch in progress must be there completely or not at all: on SQLite a host call is a
transaction. Then the host starts again with the same file.

The file is in WAL mode, as `make up` makes it. With the variable JOURNAL=delete it is as Spin makes it.

This shows that a process that dies loses no acknowledged write and leaves no partial one. It does not show
what happens when the machine loses power: here the operating system still writes what the process has passed
to it.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
import tempfile
import threading
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.files import machine
from tests.servers import Server, serving
from tools.up.data import DATABASE, write_ahead

SIZES = (1, 50, 1_000, 6_000)
"""Keys in a batch of each writer. No batch is split into several calls."""

MAX_DELAY = 1.0
"""The maximum time under load before the kill, in seconds."""


@dataclass
class Writer:
    """One client. It repeatedly writes the same keys, each time with another number as the value.

    Attributes:
        name: The prefix of its keys.
        size: The number of its keys.
        stored: The number of the last acknowledged batch; None if that was a delete-many.
        under_way: The number of the batch without an answer, None for a delete-many; `stored` if there is no
            such batch.
        acknowledged: The number of acknowledged batches.
        number: The number of the last batch that was sent.
        refused: The answer to a refused batch; empty if none was refused.
    """

    name: str
    size: int
    stored: int | None = None
    under_way: int | None = None
    acknowledged: int = 0
    number: int = 0
    refused: str = ""

    def write(self, server: Server) -> None:
        """Sends batches until the host is killed."""
        keys = [f"{self.name}:{index}" for index in range(self.size)]
        with httpx.Client(base_url=f"{server.url}/v1/default", timeout=60) as client:
            while True:
                self.number += 1
                self.under_way = None if self.number % 5 == 0 else self.number
                try:
                    if self.under_way is None:
                        answer = client.post("/delete-many", json={"keys": keys})
                    else:
                        value = str(self.number)
                        pairs = [{"key": key, "value": value} for key in keys]
                        answer = client.post("/set-many", json={"pairs": pairs})
                except httpx.TransportError:
                    return  # expected: the host was killed
                if answer.status_code != 200:
                    self.refused = answer.text
                    return
                self.stored = self.under_way
                self.acknowledged += 1

    def look(self, store: sqlite3.Connection) -> str:
        """Checks its keys in the store. Returns the error, or an empty string."""
        if self.refused:
            return self.refused
        rows = store.execute(
            "SELECT value FROM spin_key_value WHERE key GLOB ?", (f"{self.name}:*",)
        ).fetchall()
        values = {int(value) for (value,) in rows}
        if len(values) > 1 or (values and len(rows) != self.size):
            return f"{self.name}: torn: {len(rows)} of {self.size} keys, values {sorted(values)[:5]}"
        found = values.pop() if values else None
        if found not in (self.stored, self.under_way):
            return f"{self.name}: holds {found}, acknowledged {self.stored}, under way {self.under_way}"
        self.stored = self.under_way = found
        return ""


def main() -> int:
    """Runs all rounds and prints the results. Returns 1 if a batch was lost or partial."""
    given = sys.argv[1:]
    rounds = int(given[0]) if given else 200
    seed = int(given[1]) if len(given) > 1 else random.randrange(10_000)
    host = given[2] if len(given) > 2 else "spin"
    chance = random.Random(seed)
    wal = os.environ.get("JOURNAL", "wal") == "wal"
    print(
        f"{rounds} rounds on {host}, {'WAL' if wal else 'rollback journal'}, "
        f"batches of {SIZES} keys, {machine()}; seed {seed}",
        flush=True,
    )
    writers = [Writer(f"w{size}", size) for size in SIZES]
    applied_unanswered = 0
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        if wal:
            write_ahead(data / DATABASE)
        for turn in range(rounds):
            with serving(host, data) as server:
                threads = [threading.Thread(target=writer.write, args=(server,)) for writer in writers]
                for thread in threads:
                    thread.start()
                time.sleep(chance.uniform(0.02, MAX_DELAY))
                server.kill()
                for thread in threads:
                    thread.join()
            with closing(sqlite3.connect(data / DATABASE)) as store:
                verdict = store.execute("PRAGMA integrity_check").fetchone()[0]
                before = [writer.stored for writer in writers]
                faults = [fault for writer in writers if (fault := writer.look(store))]
            applied_unanswered += sum(
                writer.stored != stored for writer, stored in zip(writers, before, strict=True)
            )
            if verdict != "ok" or faults:
                print(f"round {turn + 1}: integrity: {verdict}; {faults}")
                return 1
            if (turn + 1) % 20 == 0:
                print(f"{turn + 1:4} rounds: {sum(writer.acknowledged for writer in writers):6} acknowledged")
    print(
        f"{rounds} kills, {sum(writer.acknowledged for writer in writers):,} batches acknowledged: "
        f"none missing, none torn; integrity_check ok each time. "
        f"{applied_unanswered} batches were applied though the kill came before their answer."
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
