"""Reads NDJSON answers and finds out whether they are complete.

An export that was cut cannot be continued as an export, since that takes no key to start after. The rest is
read by pages of keys (`keys?after=`) and the values of each page (get-many). So every retry makes progress,
even behind a proxy that cuts each answer after a fixed time. The pairs are those of an export: sorted, each
key once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from kv_batch_client.errors import ConnectionLost, GatewayProblem
from kv_batch_client.lines import count_in, decode, problem_in
from kv_batch_client.retry import Retry

Open = Callable[[], Iterable[bytes]]
"""Sends a request and gives the chunks of its answer. Raises ConnectionLost and GatewayProblem."""


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
                    raise ConnectionLost(f"The answer has {pairs} of {count} pairs")
                return
            else:
                raise ConnectionLost(f"The answer has a line that is no pair: {line[:80]!r}")
    if pairs != expected or rest:
        raise ConnectionLost(f"The answer was cut after {pairs} pairs")


def export_lines(export: Open, rest_after: Callable[[str], Iterator[bytes]], retry: Retry) -> Iterator[bytes]:
    """The lines of an export, continued when it is cut.

    Args:
        export: Opens the export.
        rest_after: The lines of the pairs whose keys are greater than the given key.
        retry: When to give up.

    Raises:
        ConnectionLost, GatewayProblem: the last error, when the time for retries is over.
    """
    last: bytes | None = None
    while True:
        before = last
        source = complete_lines(export()) if last is None else rest_after(decode(last)[0])
        try:
            for line in source:
                last = line
                yield line
            return
        except (ConnectionLost, GatewayProblem) as error:
            if isinstance(error, GatewayProblem) and not error.is_passing:
                raise
            if last is not before:
                retry.progressed()
            retry.wait(error)
