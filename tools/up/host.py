"""The host: which one serves, which component it runs, and the command that starts it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.components import ROOT, Component, NoComponent, component_for
from tools.up.errors import CannotServe
from tools.up.listen import Listen

SPIN_INSTALL = "https://spinframework.dev/v4/install"

EMBEDDED_COMPONENT = "build/embedded.wasm"


@dataclass(frozen=True)
class Spin:
    """The program `spin` on PATH.

    Attributes:
        path: Its path; None if there is no such program.
        version: The version that it reports; None if it reports none.
        component: The best component that it can run; None if it can run none.
    """

    path: str | None
    version: str | None = None
    component: Component | None = None

    @property
    def complaint(self) -> str:
        """Why it is not usable: a clause without a full stop."""
        if self.path is None:
            return "there is no spin on PATH"
        if self.version is None:
            return f"`{self.path} --version` reports no version of Spin"
        return f"spin {self.version} on PATH is older than 3.0"


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


def parse_spin_version(answer: str) -> tuple[str | None, Component | None]:
    """Parse the output of `spin --version`, such as `spin 4.1.0-pre0 (94a8fc8a 2026-08-21)`.

    Returns:
        The version, and the best component that it can run; None for what there is not.
    """
    match = re.match(r"spin (\d+\.\d+\S*)", answer)
    if match is None:
        return None, None
    try:
        return match[1], component_for(match[1])
    except NoComponent:
        return match[1], None


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
    if spin.component is not None:
        return "spin", f"Spin {spin.version} ({spin.path}), with the component for {spin.component.interface}"
    if asked == "spin":
        raise CannotServe(
            f"HOST=spin, but {spin.complaint}. Install Spin 3.0 or later ({SPIN_INSTALL}), or unset HOST"
        )
    install = f"To serve with Spin, install it: {SPIN_INSTALL}"
    return "embedded", f"embedded, because {spin.complaint}. {install}"


def component_file(host: str, spin: Spin) -> str:
    """The component that a host runs: its path relative to the project, which is a target of the Makefile."""
    return spin.component.file if host == "spin" and spin.component else EMBEDDED_COMPONENT


def command_line(host: str, spin: Spin, listen: Listen, data: Path) -> list[str]:
    """The command that starts a host. It must run in the project's directory."""
    if host == "spin" and spin.component:
        # Not --quiet: that would hide the log of the component, which it writes to stderr.
        command = [str(spin.path), "up", "--from", spin.component.manifest]
        return [*command, "--listen", str(listen), "--state-dir", str(data), *spin.component.options]
    command = [str(ROOT / ".venv/bin/python"), "-m", "embedded", "--manifest", "spin.toml"]
    return [*command, "--component", EMBEDDED_COMPONENT, "--listen", str(listen), "--data", str(data)]


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
