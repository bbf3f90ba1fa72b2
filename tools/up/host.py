"""Which host serves, which component it runs, and with which command line."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.up.errors import CannotServe
from tools.up.listen import Listen

ROOT = Path(__file__).resolve().parent.parent.parent
"""The project: hosts run here, and components are named relative to it."""

OLDEST_SPIN = (4, 1)
"""The first Spin with `wasi:http/handler@0.3.0`, which the component exports."""

SPIN_INSTALL = "https://spinframework.dev/v4/install"

SPIN_OPTIONS = ("--max-instance-reuse-count", "10000")
"""Spin would replace an instance after 128 requests. That costs speed, and where a store is gone, memory
(docs/decisions/0010-instances.md)."""


@dataclass(frozen=True)
class Spin:
    """What `spin` on PATH turned out to be.

    Attributes:
        path: Where it is; None where there is none.
        version: Its version, as it says; None where it said none.
        usable: Whether it can run the component.
    """

    path: str | None
    version: str | None = None
    usable: bool = False

    @property
    def complaint(self) -> str:
        """Why it is not usable, to be followed by a colon or a semicolon."""
        if self.path is None:
            return "no spin on PATH"
        if self.version is None:
            return f"{self.path} does not say that it is Spin (`spin --version`)"
        return f"spin {self.version} on PATH is older than 4.1"


def find_spin(path: str | None) -> Spin:
    """Look for `spin` on PATH and ask it for its version.

    Args:
        path: The value of PATH; None stands for the default of the platform.
    """
    found = shutil.which("spin", path=path)
    if found is None:
        return Spin(None)
    found = str(Path(found).absolute())  # PATH may hold relative directories, and the host runs in another
    try:
        # Another program may have the name (there is a model checker): it may want input, or never end.
        answer = subprocess.run(
            [found, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return Spin(found)
    return Spin(found, *parse_spin_version(answer.stdout.decode(errors="replace")))


def parse_spin_version(answer: str) -> tuple[str | None, bool]:
    """What `spin --version` printed: the version, and whether it will do.

    A pre-release counts as its release: `spin 4.1.0-pre0 (94a8fc8a 2026-08-21)` is 4.1.
    """
    match = re.match(r"spin ((\d+)\.(\d+)\S*)", answer)
    if match is None:
        return None, False
    return match[1], (int(match[2]), int(match[3])) >= OLDEST_SPIN


def choose_host(asked: str, spin: Spin) -> tuple[str, str]:
    """The host, `spin` or `embedded`, and why it is that one.

    Raises:
        CannotServe: when the one asked for cannot be had.
    """
    if asked not in {"", "spin", "embedded"}:
        # Some shells (tcsh) and environments (conda) export a HOST of their own.
        raise CannotServe(f"HOST is {asked!r}: say HOST=spin or HOST=embedded", 2)
    if asked == "embedded":
        return "embedded", "embedded, as HOST says"
    if spin.usable:
        return "spin", f"Spin {spin.version} ({spin.path})"
    if asked == "spin":
        raise CannotServe(
            f"HOST=spin, but {spin.complaint}: install 4.1 or later ({SPIN_INSTALL}), or leave HOST out"
        )
    instead = "serving with the embedded host; for Spin itself install 4.1 or later"
    return "embedded", f"{spin.complaint}: {instead}: {SPIN_INSTALL}"


def choose_component(host: str) -> str:
    """The component that a host runs: a target of the Makefile, relative to the project."""
    return "build/kv-batch.wasm" if host == "spin" else "build/embedded.wasm"


def command_line(host: str, spin: Spin, component: str, listen: Listen, data: Path) -> list[str]:
    """The command that starts a host, to be run in the project's directory."""
    if host == "spin":
        # Not --quiet: it would hide what the component itself writes to stderr, which is its log.
        command = [str(spin.path), "up", "--from", "spin.toml"]
        return [*command, "--listen", str(listen), "--state-dir", str(data), *SPIN_OPTIONS]
    command = [str(ROOT / ".venv/bin/python"), "-m", "embedded", "--manifest", "spin.toml"]
    return [*command, "--component", component, "--listen", str(listen), "--data", str(data)]


def build(component: str, environment: Mapping[str, str]) -> None:
    """Have make build the component, which does nothing where it is built.

    Raises:
        CannotServe: when it could not be built; make has said why.
    """
    # This is no sub-make to the make that started us: its job slots are not handed down through Python.
    own = {name: value for name, value in environment.items() if not name.startswith(("MAKE", "MFLAGS"))}
    make = environment.get("MAKE", "make")
    try:
        done = subprocess.run([make, "-s", component], cwd=ROOT, env=own, check=False)
    except FileNotFoundError as error:
        raise CannotServe("there is no make on PATH, which builds what is served") from error
    if done.returncode != 0:
        raise CannotServe(f"{component} could not be built", done.returncode)
