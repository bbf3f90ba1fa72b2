"""The progress of a command on stderr: pairs, pairs a second, and the time left if the total is known.

Nothing is shown if stderr is no terminal.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from kv_batch_client.errors import ClientError, GatewayProblem

EVERY = 1_000
"""Lines between two updates of the bar."""

WIDE = 80
"""The width of a terminal, in characters, that has room for the bar itself."""

NARROW = 60
"""The width of a terminal, in characters, below which only the percentage and the pairs are shown."""


class Bar:
    """The progress of one command, in lines. Its methods may be called from several threads.

    Attributes:
        is_shown: Whether stderr is a terminal.
        lines: The number of lines that have passed so far.

    Args:
        what: The name of the command.
    """

    def __init__(self, what: str) -> None:
        # isatty: rich would also take FORCE_COLOR=1 for a terminal, which CI systems set.
        self.is_shown = sys.stderr.isatty()
        self.lines = 0
        self._console = Console(stderr=True, highlight=False)
        self._positions = deque[tuple[int, int]]()  # a line, and the position behind it
        self._bar = Progress(
            *_columns(self._console.width), console=self._console, disable=not self.is_shown, transient=True
        )
        self._task = self._bar.add_task(what, total=None, lines=0, rate=0.0)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def expect(self, total: int | None) -> None:
        """Sets the total: a number of lines, or the last position of `measured`. None if it is not known."""
        self._bar.update(self._task, total=total)

    def measured(self, lines: Iterable[bytes], position: Callable[[], int]) -> Iterator[bytes]:
        """The lines. `passed` then shows their positions, e.g. in a compressed file, against the total."""
        for number, line in enumerate(lines, 1):
            if not number % EVERY:
                self._positions.append((number, position()))
            yield line

    def counted(self, lines: Iterable[bytes]) -> Iterator[bytes]:
        """The lines. Each has passed when the next one is wanted."""
        for number, line in enumerate(lines, 1):
            yield line
            self.lines = number
            if not number % EVERY:
                self.passed(number)
        self.passed(self.lines)

    def passed(self, lines: int) -> None:
        """Shows that so many lines have passed. Fewer than before is a repetition."""
        self.lines = lines
        done = lines
        if self._positions:
            done = self._positions[0][1]
            while len(self._positions) > 1 and self._positions[1][0] <= lines:
                self._positions.popleft()
                done = self._positions[0][1]
        seconds = self._bar.tasks[0].elapsed or 0
        rate = lines / seconds if seconds else 0.0
        self._bar.update(self._task, completed=done, lines=lines, rate=rate)

    def waits(self, error: ClientError, seconds: float) -> None:
        """Says that the command waits before it goes on."""
        short = error.title if isinstance(error, GatewayProblem) else error
        self._console.print(f"kvb: {short}. Next try in {seconds:.1f} s.", markup=False, soft_wrap=True)


def _columns(width: int) -> list[ProgressColumn]:
    short: list[ProgressColumn] = [TaskProgressColumn(), TextColumn("{task.fields[lines]:,} pairs")]
    if width < NARROW:
        return short
    return [
        TextColumn("{task.description}"),
        *([BarColumn(bar_width=20)] if width >= WIDE else []),
        *short,
        TextColumn("{task.fields[rate]:,.0f}/s"),
        TimeElapsedColumn(),
        TimeRemainingColumn(compact=True),
    ]
