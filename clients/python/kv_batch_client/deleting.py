"""Deletes all keys with a prefix, in as many requests as are needed.

Each request deletes what is left, so it may always be sent again. This module does no I/O.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from kv_batch_client.errors import ClientError, GatewayProblem, counted, is_passing
from kv_batch_client.retry import Retry


@dataclass(frozen=True)
class Deleted:
    """What a delete by prefix did.

    Attributes:
        keys: The number of keys that the answers of the gateway counted.
        is_exact: Whether `keys` is the number of all deleted keys. If an answer was lost, there may be more.
        failed: Key to reason of the keys that failed in the last request.
    """

    keys: int = 0
    is_exact: bool = True
    failed: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        more = "" if self.is_exact else ", and perhaps more by requests whose answer was lost"
        return f"{counted(self.keys, 'key')} deleted{more}"


class DeleteStopped(ClientError):
    """A delete by prefix ended early. It may be sent again as it is, and deletes the rest then.

    Attributes:
        cause: The reason.
        deleted: What was deleted until then.
    """

    def __init__(self, cause: ClientError, deleted: Deleted) -> None:
        super().__init__(str(cause))
        self.cause = cause
        self.deleted = deleted


def delete_all(send: Callable[[], int], count: Callable[[], int], retry: Retry) -> Deleted:
    """Deletes all keys.

    Args:
        send: Sends the request once. Returns the number of keys that were deleted.
        count: Counts the keys that are left, in one request.
        retry: When to give up.

    Raises:
        DeleteStopped: some keys are left, and some were deleted or may have been.
        ClientError: nothing was deleted.
    """
    deleted = Deleted()
    left: int | None = None
    while True:
        try:
            return replace(deleted, keys=deleted.keys + send(), failed={})
        except ClientError as error:
            before, deleted = deleted, _with(deleted, error)
            try:
                if not is_passing(error) or _is_refused(before, deleted):
                    raise
                if deleted.keys > before.keys:
                    retry.progressed()
                elif _is_unknown(error):
                    left = _progress(count, left, retry)
                retry.wait(error)
            except ClientError as last:
                if deleted == Deleted():
                    raise
                raise DeleteStopped(last, deleted) from last


def _with(deleted: Deleted, error: ClientError) -> Deleted:
    """What was deleted, with what an error says of its request."""
    if not isinstance(error, GatewayProblem):
        return replace(deleted, is_exact=deleted.is_exact and not is_passing(error))
    if _is_unknown(error):
        return replace(deleted, is_exact=False)
    return replace(deleted, keys=deleted.keys + (error.applied or 0), failed=error.failed)


def _is_unknown(error: ClientError) -> bool:
    """Whether the request may have deleted keys that no answer counts."""
    if isinstance(error, GatewayProblem):
        return error.is_passing and not error.code  # a proxy's answer
    return is_passing(error)


def _is_refused(before: Deleted, deleted: Deleted) -> bool:
    """Whether a second request has failed with the same keys, and has deleted none."""
    same = before.failed.keys() == deleted.failed.keys()
    return bool(deleted.failed) and same and before.keys == deleted.keys


def _progress(count: Callable[[], int], left: int | None, retry: Retry) -> int | None:
    """Counts the keys that are left. Fewer than after the request before is progress."""
    try:
        now = count()
    except ClientError:
        return left
    if left is None or now < left:
        retry.progressed()
    return now
