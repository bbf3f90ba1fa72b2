"""The host: which one serves, which component it runs, and the command that starts it."""

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
"""The project's directory. Hosts run in it, and the paths of components are relative to it."""

OLDEST_SPIN = (4, 1)
"""The first Spin with `wasi:http/handler@0.3.0`, which the component exports."""

SPIN_INSTALL = "https://spinframework.dev/v4/install"

SPIN_OPTIONS = ("--max-instance-reuse-count", "10000")
"""By default Spin replaces an instance after 128 requests. That costs speed, and memory while a store is
unreachable (docs/decisions/0010-instances.md)."""


@dataclass(frozen=True)
class Spin:
    """The program `spin` on PATH.

    Attributes:
        path: Its path; None if there is no such program.
        version: The version that it reports; None if it reports none.
        usable: Whether it can run the component.
    """

    path: str | None
    version: str | None = None
    usable: bool = False

    @property
    def complaint(self) -> str:
        """Why it is not usable: a clause without a full stop."""
        if self.path is None:
            return "there is no spin on PATH"
        if self.version is None:
            return f"`{self.path} --version` reports no version of Spin"
        return f"spin {self.version} on PATH is older than 4.1"


def find_spin(path: str | None) -> Spin:
    """Find `spin` on PATH and ask it for its version.

    Args:
        path: The value of PATH; None for the default of the platform.
    """
    found = shutil.which("spin", path=path)
    if found is None:
        return Spin(None)
    # PATH may have relative directories, and the host runs in another directory.
    found = str(Path(found).absolute())
    try:
        # Another program may have the same name (a model checker has it): it may read input, or never end.
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
    """Parse the output of `spin --version`.

    A pre-release counts as its release: `spin 4.1.0-pre0 (94a8fc8a 2026-08-21)` is 4.1.

    Returns:
        The version, or None if the output has none; and whether it is OLDEST_SPIN or later.
    """
    match = re.match(r"spin ((\d+)\.(\d+)\S*)", answer)
    if match is None:
        return None, False
    return match[1], (int(match[2]), int(match[3])) >= OLDEST_SPIN


def choose_host(asked: str, spin: Spin) -> tuple[str, str]:
    """Choose the host.

    Args:
        asked: The setting HOST; empty if it is not set.
        spin: The `spin` on PATH.

    Returns:
        `spin` or `embedded`, and a line that tells the user why.

    Raises:
        CannotServe: the host that HOST names is not available.
    """
    if asked not in {"", "spin", "embedded"}:
        # Some shells (tcsh) and environments (conda) export a variable HOST of their own.
        raise CannotServe(f"HOST is {asked!r}: use HOST=spin or HOST=embedded", 2)
    if asked == "embedded":
        return "embedded", "embedded (HOST=embedded)"
    if spin.usable:
        return "spin", f"Spin {spin.version} ({spin.path})"
    if asked == "spin":
        raise CannotServe(
            f"HOST=spin, but {spin.complaint}. Install Spin 4.1 or later ({SPIN_INSTALL}), or unset HOST"
        )
    install = f"To serve with Spin, install 4.1 or later: {SPIN_INSTALL}"
    return "embedded", f"embedded, because {spin.complaint}. {install}"


def choose_component(host: str) -> str:
    """The component that a host runs: its path relative to the project, which is a target of the Makefile."""
    return "build/kv-batch.wasm" if host == "spin" else "build/embedded.wasm"


def command_line(host: str, spin: Spin, component: str, listen: Listen, data: Path) -> list[str]:
    """The command that starts a host. It must run in the project's directory."""
    if host == "spin":
        # Not --quiet: that would hide the log of the component, which it writes to stderr.
        command = [str(spin.path), "up", "--from", "spin.toml"]
        return [*command, "--listen", str(listen), "--state-dir", str(data), *SPIN_OPTIONS]
    command = [str(ROOT / ".venv/bin/python"), "-m", "embedded", "--manifest", "spin.toml"]
    return [*command, "--component", component, "--listen", str(listen), "--data", str(data)]


def build(component: str, environment: Mapping[str, str]) -> None:
    """Build the component with make, which does nothing if it is up to date.

    Raises:
        CannotServe: the build failed. make has printed the reason.
    """
    # This is not a sub-make of the make that started this program: Python does not pass its job slots on.
    own = {name: value for name, value in environment.items() if not name.startswith(("MAKE", "MFLAGS"))}
    make = environment.get("MAKE", "make")
    try:
        done = subprocess.run([make, "-s", component], cwd=ROOT, env=own, check=False)
    except FileNotFoundError as error:
        raise CannotServe("there is no make on PATH; the component is built with it") from error
    if done.returncode != 0:
        raise CannotServe(f"{component} could not be built", done.returncode)
