"""The components for Spin: which of them each version of Spin runs.

Every component runs on later versions of Spin too, 4.1 included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The project's directory. Hosts run in it, and the paths of components are relative to it."""

SPIN_OPTIONS = ("--max-instance-reuse-count", "10000")
"""By default Spin replaces an instance after 128 requests. That costs speed, and memory while a store is
unreachable (docs/decisions/0010-instances.md)."""


@dataclass(frozen=True)
class Component:
    """A component for Spin, built from the same sources as the others.

    Attributes:
        interface: The HTTP interface that it exports.
        oldest: The first Spin that has this interface.
        file: Its file, relative to the project: a target of the Makefile.
        manifest: The manifest that names it.
        options: The options of `spin up` that go with it.
    """

    interface: str
    oldest: tuple[int, int]
    file: str
    manifest: str
    options: tuple[str, ...] = ()


COMPONENTS = (
    Component("wasi:http@0.3.0", (4, 1), "build/kv-batch.wasm", "spin.toml", SPIN_OPTIONS),
    Component(
        "wasi:http@0.3.0-rc-2026-03-15",
        (4, 0),
        "build/kv-batch-0.3-rc.wasm",
        "deploy/spin-4.0.toml",
        SPIN_OPTIONS,
    ),
    Component("wasi:http@0.2.0", (3, 0), "build/kv-batch-0.2.wasm", "deploy/spin-3.toml"),
)
"""The components, best first. `wasi:keyvalue/batch` is in Spin since 3.0."""


def compiled(component: Component) -> bytes:
    """The bytes of a component.

    Raises:
        FileNotFoundError: it has not been compiled (`make build`).
    """
    return (ROOT / component.file).read_bytes()


class NoComponent(Exception):
    """No component runs on the version of Spin that was named."""


def component_for(spin: str) -> Component:
    """The best component that a version of Spin runs.

    Args:
        spin: A version such as `4.0`, `4.0.2` or `3.6.3-pre0`. A pre-release counts as its release.

    Raises:
        NoComponent: the text is not a version, or is older than 3.0.
    """
    match = re.match(r"(\d+)\.(\d+)(?![^.+-])", spin)
    if match is None:
        raise NoComponent(f"{spin!r} is not a version of Spin: use a version such as 4.0")
    version = int(match[1]), int(match[2])
    for component in COMPONENTS:
        if version >= component.oldest:
            return component
    raise NoComponent(f"Spin {spin} is too old: kv-batch needs Spin 3.0 or later")
