"""The progress bar on stderr: pairs, pairs a second, bytes, time left. None without a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kv_batch_client.errors import ClientError, GatewayProblem

EVERY = 1_000
"""Lines between two updates of the bar."""


class Bar:
    """The progress of one command.

    Args:
        what: Its name.
        total: The bytes of the input; None if they are not known.
    """

    def __init__(self, what: str, total: int | None = None) -> None:
        self._console = Console(stderr=True, highlight=False)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TextColumn("{task.fields[pairs]:,} pairs, {task.fields[rate]:,.0f}/s"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(what, total=total, pairs=0, rate=0.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def counted(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines, counted as they pass."""
        pairs = size = 0
        for line in lines:
            pairs += 1
            size += len(line) + 1
            if not pairs % EVERY:
                self._update(pairs, size)
            yield line
        self._update(pairs, size)

    def waits(self, error: ClientError, seconds: float) -> None:
        """Says that the command waits before it goes on."""
        short = error.title if isinstance(error, GatewayProblem) else error
        self._console.print(f"{short}. Next try in {seconds:.1f} s.", markup=False, soft_wrap=True)

    def _update(self, pairs: int, size: int) -> None:
        seconds = self._bar.tasks[0].elapsed or 0
        rate = pairs / seconds if seconds else 0.0
        self._bar.update(self._task, completed=size, pairs=pairs, rate=rate)
