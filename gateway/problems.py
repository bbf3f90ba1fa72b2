"""Turns errors into answers: `application/problem+json` (RFC 9457). No other module does this."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Final

from gateway.http import BodyCutShort, Response, buffered
from gateway.record import Record
from gateway.stores import MAX_REPORTED_FAILURES
from kv_batch.errors import BatchFailed, KvBatchError, NoSuchStore, StoreBusy, StoreError, StoreNotGranted

INSUFFICIENT_SCOPE: Final = 'Bearer error="insufficient_scope"'
"""The `www-authenticate` of a valid token that does not allow the request (RFC 6750 section 3.1)."""


class Problem(KvBatchError):
    """An error that the client is told as `application/problem+json`.

    Attributes:
        code: A key of `gateway.problems.PROBLEMS`; the last part of the problem's `type`.
        detail: What was wrong, where, and what to do about it.
        members: Further members, such as `pointer` or `limit`.
        headers: Headers that the answer must have, such as `allow`.
    """

    def __init__(
        self,
        code: str,
        detail: str,
        members: Mapping[str, object] | None = None,
        *,
        headers: list[tuple[str, str]] | None = None,
        **more_members: object,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail
        self.members = {**(members or {}), **more_members}
        self.headers = headers or []


class DeleteFailed(KvBatchError):
    """A delete by prefix that was not done whole. It may be sent again unchanged.

    Attributes:
        cause: The last error of the store.
        applied: The number of keys that were deleted.
        failed: (key, reason) of the keys that failed; their state is unknown.
        left: The number of keys that were not attempted.
    """

    def __init__(self, cause: StoreError, applied: int, failed: list[tuple[str, str]], left: int) -> None:
        super().__init__(f"{applied} keys deleted, {len(failed)} failed, {left} left: {cause}")
        self.cause = cause
        self.applied = applied
        self.failed = failed
        self.left = left


class StreamFailed(KvBatchError):
    """A stream of lines was not written completely. It may be sent again whole, or from `resume_line` on.

    Attributes:
        cause: The problem of the line that ended the stream, or the last error of the store.
        applied: The number of lines that were applied.
        failed: (key, reason) of the keys that failed by themselves: the store has the old value or the new.
        resume_line: The first line, from 1, that is neither applied nor in `failed`; None if there is none.
    """

    def __init__(
        self,
        cause: StoreError | Problem,
        applied: int,
        failed: list[tuple[str, str]],
        resume_line: int | None,
    ) -> None:
        super().__init__(f"{applied} lines applied, {len(failed)} keys failed: {cause}")
        self.cause = cause
        self.applied = applied
        self.failed = failed
        self.resume_line = resume_line


PROBLEMS: Final[dict[str, tuple[int, str]]] = {
    "malformed-body": (400, "The body cannot be read"),
    "malformed-query": (400, "The query cannot be read"),
    "invalid-key": (400, "A key is not valid"),
    "invalid-value": (400, "A value is not valid"),
    "unauthorized": (401, "A token is needed"),
    "forbidden": (403, "The caller may not do this"),
    "store-not-granted": (403, "The store is not granted to the gateway"),
    "not-found": (404, "There is nothing at this path"),
    "no-such-store": (404, "There is no such store"),
    "method-not-allowed": (405, "The method is not allowed here"),
    "too-large": (413, "The request is over a limit"),
    "unsupported-media-type": (415, "The body has an unsupported media type"),
    "misconfigured": (500, "The gateway is misconfigured"),
    "internal-error": (500, "The gateway has a defect"),
    "store-failed": (502, "The store failed"),
    "store-busy": (503, "The store is busy"),
}
"""Code to status and title. The codes are part of the API: clients distinguish errors by them."""

PROBLEM = "application/problem+json"

RETRY_AFTER = 1
"""Seconds. A store is busy because of calls in progress, and these end soon."""


def answer(error: Exception, record: Record) -> Response:
    """The answer for an error.

    For an unexpected error it says no more than `internal-error` and the request id, under which the log has
    the traceback.
    """
    problem = _problem(error, record)
    content = json.dumps(_document(problem, record.base)).encode() + b"\n"
    return buffered(PROBLEMS[problem.code][0], PROBLEM, content, *problem.headers)


def line(error: Exception, record: Record) -> bytes:
    """The error as the last line of an NDJSON answer that has begun: `{"problem": {…}}`."""
    return json.dumps({"problem": _document(_problem(error, record), record.base)}).encode() + b"\n"


def _document(problem: Problem, base: str) -> dict[str, object]:
    status, title = PROBLEMS[problem.code]
    return {
        "type": f"{base}/problems/{problem.code}",
        "title": title,
        "status": status,
        "detail": problem.detail,
        **problem.members,
    }


def _problem(error: Exception, record: Record) -> Problem:
    problem = _expected(error)
    if problem is None:
        record.record_traceback(error)
        problem = Problem(
            "internal-error",
            "This is a defect of the gateway, not of the request. Its log has the details under this "
            "request_id.",
            request_id=record.request_id,
        )
    record.problem = problem.code
    return problem


def _expected(error: Exception) -> Problem | None:
    match error:
        case Problem():
            return error
        case BatchFailed():
            return _batch_failed(error)
        case StreamFailed():
            return _stream_failed(error)
        case DeleteFailed():
            return _delete_failed(error)
        case StoreError():
            return _store_error(error)
        case BodyCutShort():
            return Problem(
                "malformed-body",
                "The body was cut short: the connection closed before the body was complete. "
                "Nothing was changed; send the request again.",
                pointer="",
            )
    return None


def code_of(error: StoreError) -> str:
    """The code of the problem that tells of the error."""
    return _store_error(error).code


def _store_error(error: StoreError) -> Problem:
    match error:
        case NoSuchStore():
            return Problem(
                "no-such-store", f"The store does not exist: {error.reason}. Check its name in the path."
            )
        case StoreNotGranted():
            return Problem(
                "store-not-granted",
                f"The gateway is not allowed to open this store: {error.reason}. "
                "Grant it in spin.toml, under key_value_stores.",
            )
        case StoreBusy():
            return Problem(
                "store-busy",
                f"The store is busy: {error.reason}. Nothing was changed; try again.",
                headers=[("retry-after", str(RETRY_AFTER))],
            )
    members: dict[str, object] = {}
    if error.key is not None:
        members["failed"] = [{"key": error.key, "reason": error.reason}]
    return Problem(
        "store-failed", f"The store failed: {error.reason}. Nothing was changed; try again.", members
    )


def _batch_failed(error: BatchFailed) -> Problem:
    return _write_failed(
        error.cause,
        error.failed,
        f"{len(error.applied)} keys were applied, {len(error.failed)} failed (their state is unknown), "
        f"{len(error.not_attempted)} were not attempted. The same request may be sent again unchanged.",
        applied=len(error.applied),
        not_attempted=error.not_attempted,
    )


def _delete_failed(error: DeleteFailed) -> Problem:
    return _write_failed(
        error.cause,
        error.failed,
        f"{error.applied} keys were deleted, {len(error.failed)} failed (their state is unknown), "
        f"{error.left} were not attempted. Send the same request again to delete the rest.",
        applied=error.applied,
    )


def _stream_failed(error: StreamFailed) -> Problem:
    cause = error.cause
    resume: dict[str, object] = {}
    told = f"All lines before it were applied ({error.applied})."
    if error.failed or isinstance(cause, StoreError):
        told = (
            f"{error.applied} lines were applied, {len(error.failed)} keys failed by themselves (their state "
            "is unknown)."
        )
    if error.resume_line is not None:
        resume["resume_line"] = error.resume_line
        told += (
            f" All other lines before line {error.resume_line} were applied. Send the body again from that "
            f"line on (tail -n +{error.resume_line}), or the whole body."
        )
    elif error.failed:
        told += f" All other lines{'' if isinstance(cause, StoreError) else ' before it'} were applied."
    if isinstance(cause, StoreError):
        return _write_failed(cause, error.failed, told, applied=error.applied, **resume)
    if error.failed:
        resume["failed"] = _failed(error.failed)
    members = {**cause.members, "applied": error.applied, **resume}
    return Problem(cause.code, f"{cause.detail} {told}", members, headers=cause.headers)


def _write_failed(cause: StoreError, failed: list[tuple[str, str]], told: str, **members: object) -> Problem:
    busy = isinstance(cause, StoreBusy)
    return Problem(
        "store-busy" if busy else "store-failed",
        f"The store {'is busy' if busy else 'failed'}: {cause.reason}. {told}",
        {**members, "failed": _failed(failed)},
        headers=[("retry-after", str(RETRY_AFTER))] if busy else None,
    )


def _failed(failed: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"key": key, "reason": reason} for key, reason in failed[:MAX_REPORTED_FAILURES]]
