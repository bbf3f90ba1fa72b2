"""`python -m tools.up`: build the component, print the decisions, and replace this process with the host."""

from __future__ import annotations

import os
import sys

from tools.components import ROOT
from tools.up.errors import CannotServe
from tools.up.host import build
from tools.up.plan import plan


def main() -> int:
    """Serve until a signal arrives. Returns an exit code only if the gateway cannot be served."""
    try:
        decided = plan(os.environ)
        build(decided.component, os.environ)
    except CannotServe as refusal:
        print(f"make up: {refusal}", file=sys.stderr)
        return refusal.exit_code
    except KeyboardInterrupt:
        return 130
    print("\n".join(decided.lines), flush=True)
    os.chdir(ROOT)
    try:
        os.execve(decided.command[0], decided.command, decided.environment)  # noqa: S606 - no shell is needed
    except OSError as error:
        print(f"make up: cannot run {decided.command[0]}: {error.strerror}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
