"""The command `kvb`, also as `python -m kv_batch_client`."""

from __future__ import annotations

import signal
import sys


def main() -> int:
    """Runs `kvb`. Returns its exit code."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.default_int_handler:  # and is not ignored, as in a script's background
        # Nothing has begun that Ctrl-C could interrupt: it ends the process without a traceback.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from kv_batch_client import cli, parser  # noqa: PLC0415

    options = parser.build().parse_args()
    signal.signal(signal.SIGINT, before)
    return cli.run(options)


if __name__ == "__main__":
    sys.exit(main())
