"""Real hosts for the tests: `spin up` and the embedded one, each a process on a free loopback port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tools.up.host import SPIN_OPTIONS, find_spin

ROOT = Path(__file__).resolve().parent.parent

HOSTS = ("embedded", "spin")

START_SECONDS = 180
"""Spin compiles the component before it serves, and a test machine is busy."""


@dataclass
class Server:
    """A host that serves.

    Attributes:
        name: `spin` or `embedded`.
        port: Where it listens, on 127.0.0.1.
        process: Its process.
        log: The file with what it printed; Spin keeps what the component printed in `logs/` of its data.
        data: The directory of its store.
    """

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    data: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def logged(self) -> str:
        """All that the host and the component have printed."""
        files = [self.log, *sorted((self.data / "logs").glob("*.txt"))]
        return "\n".join(file.read_text(errors="replace") for file in files)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stops the host and gives its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(30)

    def kill(self) -> None:
        """Ends the host at once (SIGKILL), with the processes that it started: Spin serves in a child."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def why_not(host: str) -> str | None:
    """Why this machine cannot run a host; None where it can."""
    if host == "embedded":
        return None
    spin = find_spin(os.environ.get("PATH"))
    return None if spin.usable else spin.complaint


def free_port() -> int:
    """A port of the loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(
    host: str, port: int, data: Path, manifest: str = "spin.toml", arguments: Sequence[str] = ()
) -> list[str]:
    """How a host is started: as `make up` does it, with further arguments."""
    listen = ["--listen", f"127.0.0.1:{port}"]
    if host == "spin":
        # Spin takes an option once: one that is given here stands in place of that of `make up`.
        usual = [] if SPIN_OPTIONS[0] in arguments else SPIN_OPTIONS
        return ["spin", "up", "--from", manifest, *listen, "--state-dir", str(data), *usual, *arguments]
    embedded = [sys.executable, "-m", "embedded", "--manifest", manifest]
    return [*embedded, "--component", "build/embedded.wasm", *listen, "--data", str(data), *arguments]


@contextmanager
def serving(
    host: str,
    data: Path,
    *arguments: str,
    manifest: str = "spin.toml",
    extra_environment: Mapping[str, str] | None = None,
    **variables: str,
) -> Iterator[Server]:
    """A host with the variables of the component given, open to anyone unless they say otherwise."""
    data.mkdir(parents=True, exist_ok=True)
    port = free_port()
    log = data / "host.log"
    variables = {"anonymous": "write", **variables}
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SPIN_VARIABLE_")}
    environment |= {f"SPIN_VARIABLE_{name.upper()}": value for name, value in variables.items()}
    environment |= extra_environment or {}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(host, port, data, manifest, arguments),
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    server = Server(host, port, process, log, data)
    try:
        _wait(server)
        yield server
    finally:
        try:
            server.stop()
        except subprocess.TimeoutExpired:
            server.kill()


def _wait(server: Server) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if server.process.poll() is not None:
            raise RuntimeError(f"{server.name} stopped with {server.process.returncode}:\n{server.logged()}")
        try:
            httpx.get(server.url, timeout=5)
        except httpx.TransportError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError(f"{server.name} does not answer:\n{server.logged()}")
