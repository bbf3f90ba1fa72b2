"""Writes the lines of an input, part by part, until each line is applied or its key is reported.

This module does no I/O: `send` sends one part. The rules:

    answer                                   then
    2xx                                      the part is done
    502 or 503 with `resume_line`            its keys in `failed` are collected, and the rest is sent
    502 or 503 with `applied` alone          its keys in `failed` are collected, and the part is done
    502 or 503 without either, a proxy's     the part is sent again
    the connection is lost                   the part is sent again from its last known line
    413 of a proxy                           the part is sent again, in smaller pieces
    any other                                the write stops

A part is sent only when the part before it is done, so the last value of a repeated key wins. A key that
failed is no longer reported when a later line of it was applied.

A part that must be sent again as it was is sent in two halves, since a proxy may refuse large bodies, or end
every request that takes long. The pieces grow slowly after each success.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kv_batch_client.errors import ClientError, ConnectionLost, GatewayProblem, WriteStopped
from kv_batch_client.lines import Part
from kv_batch_client.retry import Retry


@dataclass
class Written:
    """What a write did.

    Attributes:
        pairs: The number of lines that were applied or failed; blank ones are not counted.
        failed: Key to reason of the keys that failed by themselves, and that no later line wrote. The store
            has their old value or the new.
    """

    pairs: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def write_parts(
    send: Callable[[Part], None],
    parts: Iterable[Part],
    retry: Retry,
    on_part: Callable[[Part], None] | None = None,
) -> Written:
    """Writes all parts.

    Args:
        send: Sends a part. It raises ConnectionLost, GatewayProblem or Unreachable.
        parts: The parts, in order.
        retry: When to give up.
        on_part: Is called after each part that is done.

    Raises:
        WriteStopped: not all lines were applied.
    """
    written = Written()
    for part in _read(parts, written):
        pairs = part.pairs
        if pairs:
            _write_part(send, part, retry, written)
        written.pairs += pairs
        if on_part is not None:
            on_part(part)
    return written


def _read(parts: Iterable[Part], written: Written) -> Iterator[Part]:
    """The parts. An error of their source stops the write, which reports how far it came."""
    after = 1
    try:
        for part in parts:
            after = part.after
            yield part
    except WriteStopped:
        raise
    except ClientError as error:
        raise WriteStopped(error, after, written.failed) from error


def _write_part(send: Callable[[Part], None], part: Part, retry: Retry, written: Written) -> None:
    most = len(part.lines)  # in a request
    while part.pairs:
        now = part.start(most)
        try:
            left = _send(send, now, retry, written) if now.pairs else None
        except WriteStopped:
            raise
        except ClientError as error:
            raise _stopped(error, now, written) from error
        if left is now:
            most = max(1, len(now.lines) // 2)
            continue
        retry.progressed()
        most += most // 4 + 1
        part = part.rest(left.first - part.first + 1 if left else len(now.lines) + 1)


def _send(send: Callable[[Part], None], part: Part, retry: Retry, written: Written) -> Part | None:
    """Sends a part once.

    Returns:
        The lines to send next, after a pause: the part itself if nothing is known of it. None if it is done.
    """
    try:
        send(part)
    except ConnectionLost as lost:
        retry.wait(lost)
        return part
    except GatewayProblem as problem:
        _record(problem.failed, part.start(_known_lines(problem, part)), written)
        rest = _rest(problem, part)
        if rest is None:
            return None
        if rest is not part:
            retry.progressed()  # before the pause
        try:
            retry.wait(problem)
        except GatewayProblem as last:
            raise _stopped(last, rest, written) from last
        return rest
    _record({}, part, written)
    return None


def _record(failed: Mapping[str, str], known: Part, written: Written) -> None:
    """Records what became of the keys of a part: those that did not fail were applied."""
    if written.failed:
        for key in written.failed.keys() & known.keys():
            del written.failed[key]
    written.failed |= failed


def _known_lines(problem: GatewayProblem, part: Part) -> int:
    """The number of lines at the start of a part that were applied, or whose keys the problem names."""
    if "applied" not in problem.members:
        return 0
    unknown = problem.resume_line or problem.line or len(part.lines) + 1
    return unknown - 1


def _rest(problem: GatewayProblem, part: Part) -> Part | None:
    """The lines to send after a problem; None if all are done. Raises the problem if it is not passing."""
    if not problem.is_passing:
        if not (_was_cut(problem, part) or _is_too_large(problem, part)):
            raise problem
        return part
    if problem.resume_line is None:
        return None if "applied" in problem.members else part
    return part.rest(problem.resume_line) if problem.resume_line > 1 else part


def _was_cut(problem: GatewayProblem, part: Part) -> bool:
    """Whether a proxy cut the body: each part is sent with its end line, so the gateway missed it."""
    if problem.code != "malformed-body":
        return False
    return problem.line is None or problem.line > len(part.lines)


def _is_too_large(problem: GatewayProblem, part: Part) -> bool:
    """Whether a proxy refused the body for its size. The gateway has no limit for it."""
    return problem.status == 413 and not problem.code and len(part.lines) > 1


def _stopped(error: ClientError, part: Part, written: Written) -> WriteStopped:
    line = error.line if isinstance(error, GatewayProblem) else None
    if line is None:
        return WriteStopped(error, part.first, written.failed)
    number = part.first + line - 1
    # The gateway applies the lines before the bad one, unless some of them failed with the store.
    resume = error.resume_line if isinstance(error, GatewayProblem) else None
    return WriteStopped(error, part.first + resume - 1 if resume else number, written.failed, number)
