"""A host that is killed under write load, 200 times: `python -m bench.kill_writes [ROUNDS] [SEED]`.

Four writers send set-many and delete-many of 1 to 6,000 keys, each one batch at a time, to `spin up` over one
SQLite file. At a random moment the host is killed (kill -9), and the file is looked at as it is left: SQLite
must find no fault with it (`integrity_check`), every batch that was acknowledged must be there, and the one
that was under way be there whole or not at all: on SQLite a host call is a transaction. Then the host is
started again over the same file.

What it proves is that a process that dies loses and tears nothing. It says nothing of a machine that loses
its power: the operating system is still there to write what the process had handed over.
"""

from __future__ import annotations

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

SIZES = (1, 50, 1_000, 6_000)
"""Keys in a batch of each writer. None is cut into several calls."""

LONGEST = 1.0
"""Seconds of load after which the host is killed at the latest."""


@dataclass
class Writer:
    """One client: it writes the same keys again and again, each time with another number.

    Attributes:
        name: What its keys start with.
        size: How many there are.
        stored: The number of the last batch that was acknowledged; None where that was a delete-many.
        under_way: The batch that was not answered; the same as `stored` where there is none.
        acknowledged: How many batches were.
        number: That of the last batch that was sent.
        refused: What was answered to a batch that was not taken; empty where all were.
    """

    name: str
    size: int
    stored: int | None = None
    under_way: int | None = None
    acknowledged: int = 0
    number: int = 0
    refused: str = ""

    def write(self, server: Server) -> None:
        """Sends batches until the host is gone."""
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
                    return  # as it should: the host is gone
                if answer.status_code != 200:
                    self.refused = answer.text
                    return
                self.stored = self.under_way
                self.acknowledged += 1

    def look(self, store: sqlite3.Connection) -> str:
        """What is wrong with its keys in the store; empty where nothing is."""
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
    """Measures and prints; 1 where something was lost or torn."""
    rounds, seed = (*map(int, sys.argv[1:]), *(200, random.randrange(10_000))[len(sys.argv) - 1 :])
    chance = random.Random(seed)
    print(f"{rounds} rounds, batches of {SIZES} keys, {machine()}; seed {seed}", flush=True)
    writers = [Writer(f"w{size}", size) for size in SIZES]
    applied_unanswered = 0
    with tempfile.TemporaryDirectory() as name:
        data = Path(name)
        for turn in range(rounds):
            with serving("spin", data) as server:
                threads = [threading.Thread(target=writer.write, args=(server,)) for writer in writers]
                for thread in threads:
                    thread.start()
                time.sleep(chance.uniform(0.02, LONGEST))
                server.kill()
                for thread in threads:
                    thread.join()
            with closing(sqlite3.connect(data / "sqlite_key_value.db")) as store:
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
