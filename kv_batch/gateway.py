"""The gateway: one request in, one answer out.

    request → who asks → which route → query and body decoded → the contract over a bucket → answer

Everything in a request is checked before the store is touched. It knows neither the host that it runs on
(`kv_batch.host`) nor how a store is reached (`kv_batch.bucket`).
"""

from __future__ import annotations

import bisect
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import unquote

from kv_batch.auth import require, scope_of
from kv_batch.batch import delete_many, read_parts, set_many
from kv_batch.bucket import Bucket
from kv_batch.errors import BatchFailed, NoSuchStore, Problem, StoreBusy, StoreFailed, StoreSilent
from kv_batch.form import FormDecoder
from kv_batch.host import Host
from kv_batch.http import Request, Response
from kv_batch.pairs import Pair, check_count, check_key, decode_keys, decode_pairs, encode_pairs
from kv_batch.problems import answer
from kv_batch.query import malformed, parse_query, single
from kv_batch.settings import Access, Limits, Scope

JSON = "application/json"
FORM = "multipart/form-data"

PAGE = 1_000
"""Keys on a page of the list, unless asked otherwise."""

LONGEST_PAGE = 10_000
"""The most keys that may be asked for in one page."""

Result = TypeVar("Result")


@dataclass(frozen=True)
class Call:
    """One request to one store, as the routes get it."""

    request: Request
    store: str
    limits: Limits

    @property
    def media_type(self) -> str:
        """The body's, in lower case and without parameters; empty where none is named."""
        return self.request.headers.get("content-type", "").partition(";")[0].strip().lower()


class Gateway:
    """The gateway over one host. One serves all requests of an instance, many of them at once."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._buckets: dict[str, Bucket] = {}
        # Read once an instance; a bad value is read again, and told again, at each request.
        self._access: Access | None = None
        self._limits: Limits | None = None

    async def handle(self, request: Request) -> Response:
        """The answer to a request. Whatever goes wrong is an answer too: no exception leaves."""
        try:
            response = await self._route(request)
        except Exception as error:  # noqa: BLE001 - what left here would trap the instance
            response = answer(error)
        return response

    async def _route(self, request: Request) -> Response:
        segments = request.path.split("/")[1:] or [""]  # `OPTIONS *` has no slash
        if unquote(segments[0]) != "v1":
            raise _not_found(request)
        if self._access is None:
            self._access = Access.of(self._host.config)
        scope = scope_of(request.headers.get("authorization"), self._access)
        try:
            label, *rest = [unquote(segment, errors="strict") for segment in segments[1:]]
        except ValueError:  # too few segments, or not UTF-8
            raise _not_found(request) from None
        methods = ROUTES.get(rest[0] if rest else None) if label and len(rest) < 2 else None
        if methods is None:
            raise _not_found(request)
        method = "GET" if request.method == "HEAD" else request.method
        if method not in methods:
            allowed = [*methods, "HEAD"] if "GET" in methods else [*methods]
            raise Problem(
                "method-not-allowed",
                f"{request.method[:100]} is not a method of this path. It has: {', '.join(allowed)}.",
                headers=[("allow", ", ".join(allowed))],
            )
        needed, route = methods[method]
        require(scope, needed)
        if self._limits is None:
            self._limits = Limits.of(self._host.config)
        return await route(self, Call(request, label, self._limits))

    async def with_bucket(self, label: str, operation: Callable[[Bucket], Awaitable[Result]]) -> Result:
        """Does something with a store. It is opened once, and again when the host has lost it."""
        bucket = self._buckets.get(label)
        if bucket is not None:
            try:
                return await operation(bucket)
            except NoSuchStore:
                self._buckets.pop(label, None)
        bucket = self._buckets[label] = await self._host.open(label)
        return await operation(bucket)


async def post_get_many(gateway: Gateway, call: Call) -> Response:
    """`POST /v1/{store}/get-many`"""
    _accept(call, JSON)
    always_base64 = _encoding(parse_query(call.request.query, {"encoding"}))
    keys = decode_keys(await _read(call), call.limits)
    return await _get_many(gateway, call, keys, always_base64)


async def get_get_many(gateway: Gateway, call: Call) -> Response:
    """`GET /v1/{store}?key=a&key=b`"""
    query = parse_query(call.request.query, {"key", "encoding"})
    return await _get_many(gateway, call, _query_keys(query, call.limits), _encoding(query))


async def post_set_many(gateway: Gateway, call: Call) -> Response:
    """`POST /v1/{store}/set-many`, JSON or a form"""
    _accept(call, JSON, FORM)
    parse_query(call.request.query, set())
    if call.media_type == FORM:
        pairs = await _read_form(call)
    else:
        pairs = decode_pairs(await _read(call), call.limits)
    await _write(gateway, call, [key for key, _ in pairs], lambda bucket: set_many(bucket, pairs))
    return _json({"pairs": len(pairs)})


async def post_delete_many(gateway: Gateway, call: Call) -> Response:
    """`POST /v1/{store}/delete-many`"""
    _accept(call, JSON)
    parse_query(call.request.query, set())
    return await _delete_many(gateway, call, decode_keys(await _read(call), call.limits))


async def delete_delete_many(gateway: Gateway, call: Call) -> Response:
    """`DELETE /v1/{store}?key=a&key=b`"""
    query = parse_query(call.request.query, {"key"})
    return await _delete_many(gateway, call, _query_keys(query, call.limits))


async def get_keys(gateway: Gateway, call: Call) -> Response:
    """`GET /v1/{store}/keys?prefix=&after=&limit=`"""
    query = parse_query(call.request.query, {"prefix", "after", "limit"})
    prefix = single(query, "prefix") or ""
    after = single(query, "after")
    limit = single(query, "limit")
    if limit is None:
        count = PAGE
    elif limit.isascii() and limit.isdigit() and len(limit) <= 5 and 1 <= int(limit) <= LONGEST_PAGE:
        count = int(limit)
    else:
        raise malformed("limit", f"must be a whole number from 1 to {LONGEST_PAGE}")
    keys = await gateway.with_bucket(call.store, lambda bucket: bucket.list_keys())
    keys = sorted(key for key in keys if key.startswith(prefix)) if prefix else sorted(keys)
    start = 0 if after is None else bisect.bisect_right(keys, after)
    page = keys[start : start + count]
    return _json({"keys": page, "next": page[-1] if start + count < len(keys) else None})


Route = Callable[[Gateway, Call], Awaitable[Response]]

ROUTES: dict[str | None, dict[str, tuple[Scope, Route]]] = {
    None: {"GET": ("read", get_get_many), "DELETE": ("write", delete_delete_many)},
    "keys": {"GET": ("read", get_keys)},
    "get-many": {"POST": ("read", post_get_many)},
    "set-many": {"POST": ("write", post_set_many)},
    "delete-many": {"POST": ("write", post_delete_many)},
}
"""What follows `/v1/{store}/` (None: nothing, and no slash), then the method, to the scope that it needs
and what answers it."""


async def _get_many(gateway: Gateway, call: Call, keys: list[str], always_base64: bool) -> Response:
    most = call.limits.answer_bytes

    async def read(bucket: Bucket) -> list[tuple[str, bytes | None]]:
        values: dict[str, bytes | None] = {}
        size = 0
        async for part in read_parts(bucket, keys):
            # The answer cannot be smaller than what it holds: a too large one is refused early.
            size += sum(map(len, filter(None, part.values())))
            if size > most:
                raise _answer_too_large(most)
            values.update(part)
        if len(values) < len(keys) and sum(len(values[key] or b"") for key in keys) > most:
            raise _answer_too_large(most)  # for its repeats
        return [(key, values[key]) for key in keys]

    pairs = await gateway.with_bucket(call.store, read)
    body = b'{"pairs": [' + encode_pairs(pairs, always_base64) + b"]}\n"
    if len(body) > most:
        raise _answer_too_large(most)
    return _buffered(body)


async def _delete_many(gateway: Gateway, call: Call, keys: list[str]) -> Response:
    await _write(gateway, call, keys, lambda bucket: delete_many(bucket, keys))
    return _json({"keys": len(keys)})


async def _write(
    gateway: Gateway, call: Call, keys: list[str], operation: Callable[[Bucket], Awaitable[None]]
) -> None:
    try:
        await gateway.with_bucket(call.store, operation)
    except (StoreBusy, StoreFailed, StoreSilent) as error:
        # The store could not even be opened, which a client is told in the same words as of a batch.
        raise BatchFailed([], [], list(dict.fromkeys(keys)), error) from error


def _accept(call: Call, *types: str) -> None:
    if call.media_type not in types:
        named = f"not {call.media_type[:100]!r}" if call.media_type else "and none is named"
        raise Problem(
            "unsupported-media-type",
            f"The content-type of this body must be {' or '.join(types)}, {named}. "
            "curl sets application/json with --json, and multipart/form-data with -F.",
            headers=[("accept-post", ", ".join(types))],
        )


async def _read(call: Call) -> bytes:
    return b"".join([chunk async for chunk in _chunks(call)])


async def _read_form(call: Call) -> list[Pair]:
    form = FormDecoder(call.request.headers["content-type"], call.limits)
    async for chunk in _chunks(call):
        form.feed(chunk)
    return form.pairs()


async def _chunks(call: Call) -> AsyncIterator[bytes]:
    """The body, up to the limit; one that says that it is longer is refused unread."""
    limit = call.limits.body_bytes
    declared = call.request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and len(declared) < 20 and int(declared) > limit:
        raise _body_too_large(limit, int(declared))
    size = 0
    while chunk := await call.request.body.read():
        size += len(chunk)
        if size > limit:
            raise _body_too_large(limit)
        yield chunk


def _body_too_large(limit: int, actual: int | None = None) -> Problem:
    return Problem(
        "too-large",
        f"This body may have {limit} bytes, and it has {actual or 'more'} (max_body_bytes). "
        "Send it in several requests.",
        {} if actual is None else {"actual": actual},
        limit=limit,
    )


def _answer_too_large(limit: int) -> Problem:
    return Problem(
        "too-large",
        f"The answer would be larger than {limit} bytes (max_answer_bytes). Ask for fewer keys at a time.",
        limit=limit,
    )


def _query_keys(query: dict[str, list[str]], limits: Limits) -> list[str]:
    keys = query.get("key", [])
    check_count(len(keys), limits)
    return [check_key(key, limits, {"parameter": "key"}) for key in keys]


def _encoding(query: dict[str, list[str]]) -> bool:
    """Whether every value is asked for as base64."""
    encoding = single(query, "encoding")
    if encoding not in (None, "base64"):
        raise malformed("encoding", "must be base64, or not stand at all")
    return encoding is not None


def _not_found(request: Request) -> Problem:
    return Problem(
        "not-found",
        f"There is nothing at {request.path[:200]}. The API is under /v1/{{store}}, for example "
        "/v1/default/get-many.",
    )


def _json(value: object) -> Response:
    return _buffered(json.dumps(value, ensure_ascii=False).encode() + b"\n")


def _buffered(body: bytes) -> Response:
    return Response(200, [("content-type", JSON), ("content-length", str(len(body)))], body)
