"""The common parts of the measurements of streams: files of lines, curl, and the memory of a host."""

from __future__ import annotations

import filecmp
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

from tests.servers import Server, spin_program, why_not

NDJSON = "content-type: application/x-ndjson"


def machine(host: str = "spin") -> str:
    """A line that describes the machine. Ends the program if it cannot run this host of SPINS."""
    missing = why_not(host)
    if missing:
        print(f"not measured: {missing}", file=sys.stderr)
        raise SystemExit(1)
    spin = subprocess.run(
        [spin_program(host), "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return f"{spin}, SQLite, {os.cpu_count()} cores"


def lines(numbers: Iterable[int]) -> Iterable[bytes]:
    """Lines of pairs with 100-byte values, in the form of an export. Each item has a thousand lines."""
    some: list[bytes] = []
    for number in numbers:
        some.append(b'{"key": "key:%07d", "value": "%s"}\n' % (number, b"%07d" % number * 14 + b"ab"))
        if len(some) == 1_000:
            yield b"".join(some)
            some = []
    yield b"".join(some)


def write(file: Path, numbers: Iterable[int]) -> Path:
    """Writes these lines to a file. Returns its path."""
    with file.open("wb") as out:
        out.writelines(lines(numbers))
    return file


def send(url: str, file: Path, answer: Path) -> float:
    """POSTs a file of lines, as in docs/curl.md. Returns the duration in seconds."""
    return _curl("-X", "POST", "-H", NDJSON, "-T", str(file), "-o", str(answer), url)


def fetch(url: str, answer: Path) -> float:
    """GETs a URL into a file. Returns the duration in seconds."""
    return _curl("-o", str(answer), url)


def _curl(*arguments: str) -> float:
    os.sync()  # earlier writes must not slow this request
    start = time.perf_counter()
    subprocess.run(["curl", "-sS", "--fail-with-body", *arguments], check=True)
    return time.perf_counter() - start


def must_equal(one: Path, other: Path) -> None:
    """Ends the program if two files differ."""
    if not filecmp.cmp(one, other, shallow=False):
        print(f"{one.name} and {other.name} differ", file=sys.stderr)
        raise SystemExit(1)


def resident(server: Server) -> int:
    """The memory in bytes of the largest process of the host, which is the one that serves."""
    return max(_status(pid, "VmRSS:") for pid in _processes(server))


def peak(server: Server) -> int:
    """The maximum of that memory since `forget_peak`."""
    return max(_status(pid, "VmHWM:") for pid in _processes(server))


def forget_peak(server: Server) -> None:
    """Resets the peak to the current memory."""
    for pid in _processes(server):
        Path(f"/proc/{pid}/clear_refs").write_text("5")


def processor_seconds(server: Server) -> float:
    """The processor time of the host in seconds (proc(5), fields 14 and 15 of stat)."""
    ticks = 0
    for pid in _processes(server):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def _processes(server: Server) -> list[int]:
    """The processes of the host's process group (Linux: proc(5), field 5 of stat)."""
    group = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[2]) == server.process.pid:
            group.append(int(stat.parent.name))
    return group


def _status(pid: int, name: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) * 1024
    return 0
