"""The record of a request: its phases, and its one line in the log.

The log goes to stderr, one JSON object per line. It contains no key, no value and no token. Of an unexpected
error it contains the traceback and the type, but not the message, which may quote the request.
"""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from functools import lru_cache
from time import perf_counter
from typing import Literal

from gateway.http import Chunks, HostBody

Phase = Literal["decode", "store", "encode", "send"]

MAX_REQUEST_ID = 128
"""The maximum length of a client's request id, in characters. A longer one is replaced."""

_REQUEST_ID = re.compile(rf"[A-Za-z0-9._~:@/+=-]{{1,{MAX_REQUEST_ID}}}")
_TRACE_PARENT = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)

MAX_LOGGED_NAME = 128
"""The maximum length of a name in the log, such as that of a store, in characters."""

IDS_AT_ONCE = 64
"""The number of request ids that are drawn at once."""

_RANDOM: list[str] = []
"""Request ids that were drawn, but not used. Empty while the component is compiled: an instance must not get
those of another."""

# Encodes a string as JSON in ASCII: the C function behind json.dumps.
_quoted = json.encoder.encode_basestring_ascii


_LINE = (
    '{"request_id": "%s", "trace_id": %s, %s, "keys": %d, "bytes_in": %d, "bytes_out": %d, "host_calls": %d, '
    '"retries": %d, "ms": %.3f, "decode_ms": %.3f, "store_ms": %.3f, "encode_ms": %.3f, "send_ms": %.3f'
)
"""The line of a request in the log, without its end."""

_TIMING = "decode;dur=%.3f, store;dur=%.3f, encode;dur=%.3f"


class Record:
    """The record of one request. A request is in one phase at a time, starting with "decode".

    Attributes:
        request_id: The `x-request-id` of the client, or a generated one if that is missing or invalid.
        trace_id: The trace id of a valid `traceparent`, 32 hexadecimal digits; otherwise None.
        method: As sent, up to MAX_LOGGED_NAME characters.
        authenticated: Whether the caller sent a valid token.
        authorized: Whether the caller may do what it asks for, with a token or without.
        route: The route in the notation of the API, `/v1/{store}/get-many`; None until it is known.
        store: The label of the store, up to MAX_LOGGED_NAME characters; None until the path has one.
        caller: The name of the token of the caller; None without a valid token.
        base: The path at which the gateway is mounted. Problem types begin with it.
        keys: The number of keys or pairs requested, written or answered, with repeats.
        sent: The size of the body of the response in bytes, as transferred.
        status: The status of the response.
        problem: The code of the problem, even if the response had begun; None without a problem.
        host_calls: The number of calls to the host of the store.
        retries: The number of these calls that were retries.
    """

    authenticated = False
    authorized = False
    route: str | None = None
    store: str | None = None
    caller: str | None = None
    keys = 0
    sent = 0
    status = 0
    problem: str | None = None
    host_calls = 0
    retries = 0
    _raised: str | None = None
    _phase: Phase = "decode"

    def __init__(self, method: str, headers: Mapping[str, str], base: str = "") -> None:
        given = headers.get("x-request-id", "")
        self.request_id = given if given and _REQUEST_ID.fullmatch(given) else _random_id()
        parent = headers.get("traceparent")
        self.trace_id = None if parent is None else trace_id(parent)
        self.method = method[:MAX_LOGGED_NAME]
        self.base = base
        self._spent: dict[Phase, float] = {"decode": 0.0, "store": 0.0, "encode": 0.0, "send": 0.0}
        self._since = self._start = perf_counter()

    def enter(self, phase: Phase) -> Phase:
        """Begins a phase. Returns the phase that it ends."""
        now = perf_counter()
        before = self._phase
        self._spent[before] += now - self._since
        self._since = now
        self._phase = phase
        return before

    def server_timing(self) -> str:
        """The value of the `server-timing` header: the phases that have ended, in milliseconds."""
        decode, store, encode, _ = self._spent.values()
        return _TIMING % (1000 * decode, 1000 * store, 1000 * encode)

    def record_traceback(self, error: BaseException) -> None:
        """Records the traceback of an unexpected error for the log."""
        self._raised = "".join(_frames(error))

    def log(self, received: int = 0) -> None:
        """Writes the line of the request once its last phase has ended.

        Args:
            received: The size of its body in bytes, as transferred.
        """
        decode, store, encode, send = self._spent.values()
        # A template takes a third of the time of json.dumps, and % less than an f-string of as many parts.
        line = _LINE % (
            self.request_id,
            "null" if self.trace_id is None else f'"{self.trace_id}"',
            _repeated(self.method, self.route, self.store, self.caller, self.status, self.problem),
            self.keys,
            received,
            self.sent,
            self.host_calls,
            self.retries,
            1000 * (self._since - self._start),
            1000 * decode,
            1000 * store,
            1000 * encode,
            1000 * send,
        )
        if self._raised is not None:
            line += f', "traceback": {_quoted(self._raised)}'
        try:  # noqa: SIM105 - contextlib.suppress is three more calls
            sys.stderr.write(line + "}\n")
        except (OSError, ValueError):
            pass  # the request succeeds even if the log cannot be written


class LoggedBody:
    """The body of a streamed response. Closing it ends and logs the request.

    It is not a generator, since closing a generator before its first step runs none of its code.
    """

    def __init__(self, chunks: Chunks, record: Record, phase: Phase, request: HostBody) -> None:
        """The body.

        Args:
            chunks: The body of the response.
            record: The record of the request, which is in the phase "send".
            phase: The phase that it is in while a chunk is made.
            request: The body of the request.
        """
        self._chunks = chunks
        self._record = record
        self._request = request
        self._before = phase
        self._open = True

    def __aiter__(self) -> LoggedBody:
        return self

    async def __anext__(self) -> bytes:
        self._record.enter(self._before)
        try:
            chunk = await anext(self._chunks)
            self._record.sent += len(chunk)
            return chunk
        finally:
            self._before = self._record.enter("send")

    async def aclose(self) -> None:
        if self._open:
            self._open = False
            await self._chunks.aclose()
            self._record.enter("send")
            self._record.log(self._request.received)


def _random_id() -> str:
    """A random request id, 32 hexadecimal digits. The host is asked once for the bytes of many."""
    if not _RANDOM:
        drawn = os.urandom(16 * IDS_AT_ONCE).hex()
        _RANDOM.extend(drawn[start : start + 32] for start in range(0, len(drawn), 32))
    return _RANDOM.pop()


def trace_id(traceparent: str) -> str | None:
    """The trace id of a `traceparent` header (W3C Trace Context, section 3.2), or None if it is invalid.

    A version other than 00 may have further fields.
    """
    match = _TRACE_PARENT.fullmatch(traceparent)
    if match is None or (match[1] == "00" and match[3]):
        return None
    return match[2]


@lru_cache(maxsize=256)
def _repeated(
    method: str, route: str | None, store: str | None, caller: str | None, status: int, problem: str | None
) -> str:
    """The members of a line that are the same for most requests, as JSON."""
    return (
        f'"method": {_json(method)}, "route": {_json(route)}, "store": {_json(store)}, '
        f'"caller": {_json(caller)}, "status": {status}, "problem": {_json(problem)}'
    )


def _json(name: str | None) -> str:
    return "null" if name is None else _quoted(name)


def _frames(error: BaseException) -> Iterator[str]:
    """The traceback of an error and of its causes, without their messages."""
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _frames(cause)
        yield "which led to\n"
    yield from traceback.format_tb(error.__traceback__)
    yield f"{type(error).__module__}.{type(error).__qualname__}\n"
