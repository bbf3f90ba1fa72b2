"""The frame of the programs that change a compiled component in place: `tools.mend` and `tools.immortal`."""

from __future__ import annotations

import struct
import sys
from collections.abc import Callable, Collection
from importlib.metadata import version
from pathlib import Path

from tools.wasm import Unexpected


def change_in_place(
    purpose: str, change: Callable[[bytes], bytes], known: Collection[str], check: str
) -> int:
    """Changes the component that the command line names. Returns the exit code.

    Args:
        purpose: What the program does with a file, for its errors: "fix".
        change: Returns the component as it shall be.
        known: The versions of componentize-py whose components it can change.
        check: What to check before another version is added to them.
    """
    file = Path(sys.argv[1])
    installed = version("componentize-py")
    if installed not in known:
        print(
            f"cannot {purpose} {file}: componentize-py is {installed}, and only {', '.join(sorted(known))} "
            f"is known. {check}",
            file=sys.stderr,
        )
        return 1
    try:
        changed = change(file.read_bytes())
    except (Unexpected, LookupError, ValueError, struct.error) as error:
        print(f"cannot {purpose} {file}: {error!r}", file=sys.stderr)
        return 1
    file.write_bytes(changed)
    return 0
