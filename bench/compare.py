"""kv-batch beside its peers (`make bench`): `python -m bench.compare [--rounds N] [--seconds S] [--only X]`.

Each row is one load (wrk, kept-alive connections). All contenders of a row run at the same time, and are
loaded one after the other, in each round in another order. So a machine that becomes slower slows all of
them, and the ratios hold where the figures do not. A ratio is the median of those of the rounds, with the
lowest and the highest.

Writes `build/bench/results.json`, of which `bench/report.py` makes the tables and the chart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from bench import million_pairs, report
from bench.contenders import BUILT, Contender, Operation, contender, why_not
from tests.backends.engines import ENGINES, Engine
from tests.backends.engines import why_not as why_no_engine
from tests.backends.network import network, why_not_built
from tests.servers import why_not as why_no_host
from tools.components import ROOT

Samples = list[dict[str, float]]


@dataclass(frozen=True)
class Row:
    """One load.

    Attributes:
        engine: "SQLite" or "Redis"; "Redis, 2 ms" for a round trip of 2 ms.
        operations: The requests that are sent in turn: "get-many", "set-many", "delete-many", or "hello".
        keys: The number of keys of each request.
        size: The size of each value in bytes.
        connections: The number of connections, each with one request at a time.
        contenders: Those that are loaded, kv-batch first.
    """

    engine: str
    operations: tuple[str, ...]
    keys: int
    size: int
    connections: int
    contenders: tuple[str, ...]

    @property
    def name(self) -> str:
        """What distinguishes the row."""
        size = f"{self.size // 1000} KB" if self.size >= 1000 else f"{self.size} B"
        what = " and ".join(self.operations)
        keys = f"{self.keys:,} key{'s' * (self.keys > 1)} of {size}"
        return f"{self.engine}: {what}, {keys}, {self.connections} connection{'s' * (self.connections > 1)}"


LOCAL = ("spin", "calls", "bare", "plain")
SMALL = ("spin", "calls", "straight", "bare", "plain")
REMOTE = ("spin", "calls", "plain", "webdis")
"""Without the bare guest: Spin's Redis answers no batch read."""
COMPONENTS = ("spin", "spin-0.3-rc", "spin-0.2", "javascript")
READ, WRITE, BOTH = ("get-many",), ("set-many",), ("set-many", "delete-many")

ROWS = [
    Row("SQLite", READ, 1, 100, 1, (*SMALL, "hello")),
    *(Row("SQLite", READ, 1, 100, connections, SMALL) for connections in (4, 16)),
    *(Row("SQLite", READ, keys, 100, 4, LOCAL) for keys in (10, 100, 1_000)),
    Row("SQLite", READ, 10, 100_000, 4, LOCAL),
    *(Row("SQLite", WRITE, keys, 100, 4, LOCAL) for keys in (1, 10, 100, 1_000)),
    Row("SQLite", WRITE, 10, 100_000, 4, LOCAL),
    *(Row("SQLite", BOTH, keys, 100, 4, LOCAL) for keys in (1, 100, 1_000)),
    *(Row("Redis", READ, keys, 100, 4, REMOTE) for keys in (1, 10, 100, 1_000)),
    *(Row("Redis", WRITE, keys, 100, 4, REMOTE) for keys in (1, 100, 1_000)),
    # Webdis has no link here: it is given the port of Redis itself.
    *(Row("Redis, 2 ms", READ, keys, 100, 4, ("spin", "plain")) for keys in (1, 100, 1_000)),
    *(Row("SQLite", READ, keys, 100, 4, COMPONENTS) for keys in (1, 100, 1_000)),
    *(Row("SQLite", WRITE, keys, 100, 4, COMPONENTS) for keys in (1, 100, 1_000)),
]


def main() -> int:
    """Measures all rows, and writes the results. Returns 1 if the machine lacks `spin` or wrk."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n\n")[2])
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each row; 5 if not given")
    parser.add_argument("--seconds", type=float, default=2, help="seconds of each load; 2 if not given")
    parser.add_argument(
        "--only", default="", help="only rows with this text, and neither streams nor cold starts"
    )
    options = parser.parse_args()
    missing = why_no_host("spin")
    if not missing and shutil.which("wrk") is None:
        missing = "no wrk on PATH (Debian: apt install wrk)"
    if missing:
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    results: dict[str, Any] = {"machine": machine(), "rounds": options.rounds, "seconds": options.seconds}
    rows = [row for row in ROWS if options.only in row.name]
    results["rows"] = []
    for row in _measured(rows, options.rounds, options.seconds):
        results["rows"].append(row)
        _write(results)
    if not options.only:
        results["cold"] = cold_starts(options.rounds)
        _write(results)
        results["streams"] = million_pairs.measured(1_000_000, options.rounds)
        _write(results)
    return 0


def _write(results: dict[str, Any]) -> None:
    BUILT.mkdir(parents=True, exist_ok=True)
    (BUILT / "results.json").write_text(json.dumps(results, indent=1) + "\n")


def machine() -> dict[str, object]:
    """The machine and the versions."""
    versions = {}
    for program in ("spin", "wrk", "redis-server"):  # webdis knows no option for it
        if shutil.which(program):
            said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
            versions[program] = (said.stdout or said.stderr).strip().splitlines()[:1]
    model = [
        line.partition(": ")[2]
        for line in Path("/proc/cpuinfo").read_text().splitlines()
        if line.startswith("model name")
    ]
    return {
        "processor": model[0] if model else platform.processor(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "versions": {name: said[0] for name, said in versions.items() if said},
    }


def _measured(rows: list[Row], rounds: int, seconds: float) -> Iterator[dict[str, Any]]:
    """The results of the rows. Rows with the same contenders share them."""
    for engine in dict.fromkeys(row.engine for row in rows):
        for names in dict.fromkeys(row.contenders for row in rows if row.engine == engine):
            group = [row for row in rows if (row.engine, row.contenders) == (engine, names)]
            with ExitStack() as stack:
                data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                missing = _why_no_engine(engine)
                if missing:
                    yield from ({"row": row.name, "why_not": missing} for row in group)
                    continue
                started = stack.enter_context(_engine(engine, data))
                left_out = {name: why for name in names if (why := why_not(name, engine))}
                running = {
                    name: stack.enter_context(contender(name, started, data / name))
                    for name in names
                    if name not in left_out
                }
                for row in group:
                    samples, failed = _row(row, running, rounds, seconds, data)
                    print(
                        row.name,
                        {name: round(report.rate(each)) for name, each in samples.items()},
                        flush=True,
                    )
                    yield {"row": row.name, "samples": samples, "left_out": left_out | failed}


def _why_no_engine(engine: str) -> str | None:
    name, _, distance = engine.partition(", ")
    return why_no_engine(name) or (why_not_built() if distance else None)


@contextmanager
def _engine(engine: str, data: Path) -> Iterator[Engine]:
    name, _, distance = engine.partition(", ")
    with ENGINES[name](data) as started:
        if not distance:
            yield started
            return
        with network(started, data) as (link, away):
            link.distance(float(distance.removesuffix(" ms")) / 1_000)
            yield away


def _row(
    row: Row, running: dict[str, Contender], rounds: int, seconds: float, data: Path
) -> tuple[dict[str, Samples], dict[str, str]]:
    """The samples of one row, and why a peer failed, which is then left out.

    Raises:
        RuntimeError: kv-batch itself failed.
    """
    pairs = {f"key:{number:07d}": f"{number:07d}".ljust(row.size, "x") for number in range(row.keys)}
    operations = [Operation(name, pairs) for name in row.operations]
    bodies: dict[str, list[Path]] = {}
    samples: dict[str, Samples] = {name: [] for name in running}
    failed: dict[str, str] = {}

    def sample(name: str, seconds: float) -> dict[str, float] | None:
        try:
            if name not in bodies:
                bodies[name] = _prepare(name, running[name], operations, pairs, data)
            return load(running[name].url, bodies[name], row.connections, seconds)
        except (RuntimeError, httpx.HTTPError) as error:
            if name == "spin":
                raise
            failed[name] = str(error)
            del samples[name]
            return None

    for name in running:
        sample(name, 0.5)  # the first instances
    for turn in range(rounds):
        order = list(samples)
        for name in order[turn % len(order) :] + order[: turn % len(order)]:
            if (taken := sample(name, seconds)) is not None:
                samples[name].append(taken)
    return samples, failed


def _prepare(
    name: str, running: Contender, operations: list[Operation], pairs: dict[str, str], data: Path
) -> list[Path]:
    """Writes the pairs, checks the answers once, and returns the files that the load sends."""
    if name == "hello":
        operations = [Operation("hello", pairs)]
    else:
        for operation in (Operation("set-many", pairs), Operation("get-many", pairs)):
            answer = _ask(running, operation)
        if running.values(answer) != list(pairs.values()):
            raise RuntimeError(f"{name} does not answer with what was written: {answer[:200]!r}")
    files = []
    for number, operation in enumerate(operations):
        path, body = running.asked(operation)
        files.append(data / f"{name}-{number}.request")
        files[-1].write_bytes(path.encode() + b"\n" + body)
        _ask(running, operation)
    return files


def _ask(running: Contender, operation: Operation) -> bytes:
    path, body = running.asked(operation)
    answer = httpx.post(
        running.url + path, content=body, headers={"content-type": "application/json"}, timeout=60
    )
    answer.raise_for_status()
    return answer.content


def load(url: str, files: list[Path], connections: int, seconds: float) -> dict[str, float]:
    """Loads a server. Returns what `bench/load.lua` prints, with the requests a second as `rate`.

    A server that answers nothing in this time gets five times as long, up to a minute.

    Raises:
        RuntimeError: an answer was an error, or none came.
    """
    script = str(ROOT / "bench" / "load.lua")
    wrk = [
        "wrk",
        "-t1",
        "--timeout=60s",
        f"-c{connections}",
        f"-d{max(1, round(seconds))}s",
        "-s",
        script,
        url,
        "--",
        "POST",
    ]
    said = subprocess.run([*wrk, *map(str, files)], capture_output=True, text=True, check=True).stdout
    sample: dict[str, float] = json.loads(said.splitlines()[-1])
    if not sample["requests"] and not sample["errors"] and seconds < 12:
        return load(url, files, connections, 5 * seconds)
    if sample["errors"] or not sample["requests"]:
        raise RuntimeError(f"{url} answered with errors: {said}")
    return sample | {"rate": sample["requests"] / sample["seconds"]}


def cold_starts(rounds: int) -> dict[str, list[float]]:
    """The seconds from `spin up` to the first answer, of kv-batch and hello, compiled before."""
    took: dict[str, list[float]] = {"spin": [], "hello": []}
    for turn in range(rounds + 1):
        for name, seconds in took.items():
            with tempfile.TemporaryDirectory() as data:
                start = time.perf_counter()
                with contender(name, Engine(), Path(data) / name):
                    if turn:
                        seconds.append(time.perf_counter() - start)
    return took


if __name__ == "__main__":
    sys.exit(main())
