"""The components for Spin: which of them each version of Spin runs.

Every component runs on later versions of Spin too, 4.1 included.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tools.up.host import ROOT


@dataclass(frozen=True)
class Component:
    """One of the components that the source is compiled to.

    Attributes:
        file: Its file in `build/`.
        interface: The version of the `wasi:http` interface that it exports.
        spin: The first version of Spin that runs it.
        manifest: The manifest with it, relative to the project.
    """

    file: str
    interface: str
    spin: tuple[int, int]
    manifest: str

    @property
    def compiled(self) -> bytes:
        """The bytes of the component.

        Raises:
            FileNotFoundError: it has not been compiled (`make build`).
        """
        return (ROOT / "build" / self.file).read_bytes()


COMPONENTS = (
    Component("kv-batch.wasm", "0.3.0", (4, 1), "spin.toml"),
    Component("kv-batch-0.3-rc.wasm", "0.3.0-rc-2026-03-15", (4, 0), "deploy/spin-4.0.toml"),
    Component("kv-batch-0.2.wasm", "0.2.0", (3, 0), "deploy/spin-3.toml"),
)
"""The newest first."""


class NoComponent(Exception):
    """No component runs on the version of Spin that was named."""


def component_for(spin: str) -> Component:
    """The newest component that a version of Spin runs.

    Args:
        spin: A version such as `4.0`, `4.0.2` or `3.6.3-pre0`.

    Raises:
        NoComponent: the text is not a version, or is older than 3.0.
    """
    match = re.match(r"(\d+)\.(\d+)(?![^.+-])", spin)
    if match is None:
        raise NoComponent(f"{spin!r} is not a version of Spin: use a version such as 4.0")
    version = int(match[1]), int(match[2])
    for component in COMPONENTS:
        if version >= component.spin:
            return component
    raise NoComponent(f"Spin {spin} is too old: kv-batch needs Spin 3.0 or later")
