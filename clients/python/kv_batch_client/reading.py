"""Reads NDJSON answers and finds out whether they are complete.

An export that was cut is requested again, and its lines up to the last known key are skipped: an export takes
no key to start after. The gateway sends a hundred thousand lines a second and more, so this is fast. But a
proxy that cuts each answer after a fixed time may cut it again before the first new line. So after an export
with few new lines, the next ones are read by pages: the keys (`keys?after=`) and their values (get-many). The
gateway lists the whole store for each page. So the export is tried again after one page, then after two, four
and so on. Every page is progress, and few exports are requested in vain.

The pairs are those of an export: sorted, each key once. A pair that is written or deleted meanwhile may have
its old state or its new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from kv_batch_client.errors import ClientError, ConnectionLost, counted, is_passing
from kv_batch_client.lines import count_in, key_of, problem_in
from kv_batch_client.retry import Retry

PAGE_KEYS = 10_000
"""Keys in a page and in a get-many. The gateway gives no more in a page."""


class Source(Protocol):
    """The requests of an export. All raise ConnectionLost and GatewayProblem."""

    def export(self) -> Iterable[bytes]:
        """The chunks of an export, which ends with an end line."""

    def page(self, after: str | None) -> tuple[Iterable[bytes], str | None]:
        """The next page of at most PAGE_KEYS keys that are greater than `after`.

        Returns:
            The lines of its pairs, and the key after which the next page starts; None if there is none.
        """


def complete_lines(chunks: Iterable[bytes], expected: int | None = None) -> Iterator[bytes]:
    """The lines of an answer, without their line ends and without the end line.

    Args:
        chunks: The answer.
        expected: The number of lines of a get-many, whose answer has no end line.

    Raises:
        ConnectionLost: the answer has no end line, or one with another count.
        GatewayProblem: the answer ended with a problem.
    """
    rest, pairs = b"", 0
    for chunk in chunks:
        first, *more = chunk.split(b"\n")
        if not more:
            rest += first
            continue
        lines = [rest + first, *more]
        rest = lines.pop()
        for line in lines:
            if line.startswith(b'{"key"'):
                pairs += 1
                yield line
            elif (problem := problem_in(line)) is not None:
                raise problem
            elif (count := count_in(line)) is not None:
                if count != pairs:
                    raise ConnectionLost(f"The answer has {pairs} of {counted(count, 'pair')}")
                return
            else:
                raise ConnectionLost(f"The answer has a line that is no pair: {line[:80]!r}")
    if pairs != expected or rest:
        raise ConnectionLost(f"The answer was cut after {counted(pairs, 'pair')}")


class Export:
    """The lines of an export, continued when it is cut.

    Args:
        source: Sends the requests.
        retry: When to give up. Its time begins anew after each request that gave lines.
    """

    def __init__(self, source: Source, retry: Retry) -> None:
        self._source = source
        self._retry = retry
        self._after: str | None = None  # the last key that is done
        self._ended = False
        self._pages = 0  # to read before the export is requested again
        self._next_pages = 1  # to read after the next export with few new lines

    def __iter__(self) -> Iterator[bytes]:
        """The lines. The iterator ends only after the last pair.

        Raises:
            ConnectionLost, GatewayProblem: the last error, when the time for retries is over.
        """
        while not self._ended:
            try:
                yield from self._page() if self._pages else self._export()
            except ClientError as error:
                if not is_passing(error):
                    raise
                self._retry.wait(error)

    def _export(self) -> Iterator[bytes]:
        lines = complete_lines(self._source.export())
        skipped = new = 0
        line = b""
        try:
            if self._after is not None:
                for line in lines:
                    if key_of(line) > self._after:
                        new = 1
                        yield line
                        break
                    skipped += 1
            for line in lines:
                new += 1
                yield line
        except ClientError:
            if new:
                self._after = key_of(line)
            if skipped or new:
                self._retry.progressed()
                self._plan(new)
            raise
        self._ended = True

    def _plan(self, new: int) -> None:
        """Decides how to go on after an export that was cut after `new` new lines."""
        if new < PAGE_KEYS:
            self._pages = self._next_pages
            self._next_pages *= 2
        else:
            self._next_pages = 1

    def _page(self) -> Iterator[bytes]:
        lines, following = self._source.page(self._after)
        line = b""
        try:
            for line in lines:
                yield line
        except ClientError:
            if line:
                self._after = key_of(line)
                self._retry.progressed()
            raise
        self._retry.progressed()
        self._pages -= 1
        self._after = following
        self._ended = following is None
