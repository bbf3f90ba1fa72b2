"""The error of `make up`."""

from __future__ import annotations


class CannotServe(Exception):
    """The gateway cannot be served. Has the reason in one line, and the exit code."""

    def __init__(self, reason: str, exit_code: int = 1) -> None:
        super().__init__(reason)
        self.exit_code = exit_code
