"""Real hosts for the tests: `spin up` and the embedded host, each in a process on a free loopback port."""

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

from tools.components import COMPONENTS, ROOT, SPIN_OPTIONS, Component
from tools.up.host import find_spin

_NEWEST, _CANDIDATE, _OLDEST = COMPONENTS

SPINS: dict[str, tuple[str, Component]] = {
    "spin": ("", _NEWEST),
    "spin-0.3-rc": ("", _CANDIDATE),
    "spin-0.2": ("", _OLDEST),
    "spin-4.0": ("SPIN_4_0", _CANDIDATE),
    "spin-3": ("SPIN_3", _OLDEST),
}
"""The name of a host, with the variable that names its program (empty: `spin` on PATH), and its component."""

HOSTS = (
    "embedded",
    *(name for name, (variable, _) in SPINS.items() if not variable or variable in os.environ),
)
"""The hosts of the HTTP suite. Spin 4.1 runs all components. Older ones are tried only if they are named."""

INSTANCE_EACH = frozenset(name for name, (_, component) in SPINS.items() if component is not _NEWEST)
"""The hosts that make an instance for each request, and Spin 4.0, whose component does so on Spin 4.1. They
read on for nobody without a token."""

LEFT_OUT = {name: variable for name, (variable, _) in SPINS.items() if name not in HOSTS}
"""The hosts that are not tried, and the variable that would name their program."""

START_SECONDS = 180
"""Timeout in seconds. Spin compiles the component before it serves, and a test machine may be busy."""


@dataclass
class Server:
    """A running host.

    Attributes:
        name: A name of HOSTS.
        port: Its port on 127.0.0.1.
        process: Its process.
        log: The file with its output. Spin writes the output of the component to `logs/` in `data`.
        data: The directory of its store.
    """

    name: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    data: Path

    @property
    def is_spin(self) -> bool:
        return self.name != "embedded"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def logged(self) -> str:
        """The output of the host and of the component."""
        files = [self.log, *sorted((self.data / "logs").glob("*.txt"))]
        return "\n".join(file.read_text(errors="replace") for file in files)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Stops the host. Returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        return self.process.wait(30)

    def kill(self) -> None:
        """Ends the host at once (SIGKILL), with its child processes: Spin serves in a child."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


def why_not(host: str) -> str | None:
    """Why this machine cannot run a host; None if it can."""
    if host == "embedded":
        return None
    variable, component = SPINS[host]
    if variable:
        return None if os.access(os.environ[variable], os.X_OK) else f"{variable} is not a program"
    spin = find_spin(os.environ.get("PATH"))
    if spin.component is None:
        return spin.complaint
    newer = COMPONENTS.index(component) < COMPONENTS.index(spin.component)
    return f"spin {spin.version} on PATH cannot run {component.interface}" if newer else None


def spin_program(host: str) -> str:
    """The `spin` of a host of SPINS: a path, or a name on PATH."""
    variable, _ = SPINS[host]
    return os.environ[variable] if variable else "spin"


def free_port() -> int:
    """A free port on the loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def command(
    host: str, port: int, data: Path, manifest: str | None = None, arguments: Sequence[str] = ()
) -> list[str]:
    """The command that starts a host as `make up` does, with further arguments.

    The manifest is that of the host's component if none is given.
    """
    listen = ["--listen", f"127.0.0.1:{port}"]
    if host in SPINS:
        component = SPINS[host][1]
        # Spin accepts an option only once: an option given here replaces that of `make up`.
        usual = [] if SPIN_OPTIONS[0] in arguments else component.options
        program = [spin_program(host), "up", "--from", manifest or component.manifest]
        return [*program, *listen, "--state-dir", str(data), *usual, *arguments]
    embedded = [sys.executable, "-m", "embedded", "--manifest", manifest or "spin.toml"]
    return [*embedded, "--component", "build/embedded.wasm", *listen, "--data", str(data), *arguments]


@contextmanager
def serving(
    host: str,
    data: Path,
    *arguments: str,
    manifest: str | None = None,
    port: int = 0,
    extra_environment: Mapping[str, str] | None = None,
    **variables: str,
) -> Iterator[Server]:
    """Runs a host. Anyone may write to it by default.

    Args:
        host: A name of HOSTS.
        data: The directory of its store and its log.
        arguments: Further arguments of its command line.
        manifest: The manifest; that of the host's component if none is given.
        port: Its port; a free one if none is given.
        extra_environment: Further variables of its environment.
        variables: Variables of the component.
    """
    data.mkdir(parents=True, exist_ok=True)
    port = port or free_port()
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
