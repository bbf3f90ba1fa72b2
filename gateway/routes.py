"""The routes of `/v1/{store}`.

Each route reads what the head of a request says, and returns the operation that such requests ask for. An
operation decodes the body, runs, and encodes the response. The gateway remembers operations, so that a
request with the head of another costs only its operation.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from gateway import streams
from gateway.bodies import Form, form_of, read_json, read_multipart
from gateway.http import Head, Request, Response, buffered
from gateway.problems import Problem, line
from gateway.record import Record
from gateway.settings import Limits, Scope
from gateway.stores import DELETE, SET, Store, WriteOperation
from gateway.wire import coding, ndjson
from gateway.wire.bulk import body_keys, body_pairs
from gateway.wire.encoding import encode_pairs
from gateway.wire.media import FORM, JSON, MAX_HEADER_LENGTH, NDJSON, preferred, takes_gzip
from gateway.wire.pairs import Pair, check_count, check_key, decode_keys, decode_pairs
from gateway.wire.query import malformed, parse_query, single
from kv_batch.batch import Retry, get
from kv_batch.bucket import Bucket
from kv_batch.reading import Read

PAGE = 1_000
"""The default number of keys of a page of the list."""

LONGEST_PAGE = 10_000
"""The maximum number of keys of a page of the list."""

Item = TypeVar("Item")


@dataclass(eq=False)
class Call:
    """One request to one store."""

    request: Request
    store: Store
    limits: Limits
    record: Record


Operation = Callable[[Call], Awaitable[Response]]
"""What a request asks for. It may be remembered, so it must hold nothing of one request."""

Route = Callable[[Head, Limits], Operation]
"""Reads the head of a request. The limits are those of its caller. Raises a Problem."""


Items = Callable[[Request, Form, Limits], Awaitable[list[Item]]]
"""Reads the items of a body that is not NDJSON."""

read_keys: Items[str] = partial(read_json, in_bulk=body_keys, decode=decode_keys)


async def read_pairs(request: Request, form: Form, limits: Limits) -> list[Pair]:
    """The pairs of a body that is not NDJSON."""
    if form.media_type == FORM:
        return await read_multipart(request, form, limits)
    return await read_json(request, form, limits, body_pairs, decode_pairs)


def post_get_many(head: Head, _: Limits) -> Operation:
    """`POST /v1/{store}/get-many`, JSON or NDJSON, and the answer in either"""
    form = form_of(head, JSON, NDJSON)
    query = parse_query(head.query, {"encoding", "end"})
    always_base64 = _encoding(query)
    ended = _is_true(query, "end")
    if form.media_type == JSON:
        answer = _answering(head, always_base64)

        async def of_json(call: Call) -> Response:
            return await answer(call, await read_keys(call.request, form, call.limits))

        return of_json

    in_lines = _answers_in(head, NDJSON, JSON) == NDJSON
    in_gzip = _takes_gzip(head)

    async def of_lines(call: Call) -> Response:
        body = form.open(call.request)
        blocks = ndjson.read(body, call.limits, ndjson.decode_key_lines, ended=ended)
        if in_lines:
            most = call.limits.answer_bytes
            return await _streamed(call, streams.read_lines(call.store, blocks, always_base64, most), in_gzip)
        return await _get_many(call, await _all_keys(call, blocks), always_base64)

    return of_lines


def get_get_many(head: Head, limits: Limits) -> Operation:
    """`GET /v1/{store}?key=a&key=b`"""
    query = parse_query(head.query, {"key", "encoding"})
    keys = _query_keys(head, query, limits)
    answer = _answering(head, _encoding(query))
    return lambda call: answer(call, keys)


def post_set_many(head: Head, _: Limits) -> Operation:
    """`POST /v1/{store}/set-many`, JSON, NDJSON or a form"""
    return _writing(head, SET, (JSON, NDJSON, FORM), read_pairs, ndjson.decode_pair_lines)


def post_delete_many(head: Head, _: Limits) -> Operation:
    """`POST /v1/{store}/delete-many`, JSON or NDJSON"""
    return _writing(head, DELETE, (JSON, NDJSON), read_keys, ndjson.decode_key_lines)


def delete_delete_many(head: Head, _: Limits) -> Operation:
    """`DELETE /v1/{store}?key=a&key=b`"""
    answered = _answers_in(head, JSON, NDJSON)

    async def operation(call: Call) -> Response:
        # First, since a client that sends its keys in the body has none in the query.
        await _refuse_body(call, f"its keys are those of the query. {_delete_many(head)}")
        keys = _query_keys(head, parse_query(head.query, {"key"}), call.limits)
        await call.store.write(DELETE, keys)
        return _counted(DELETE, len(keys), answered)

    return operation


def get_export(head: Head, _: Limits) -> Operation:
    """`GET /v1/{store}/export?prefix=`"""
    query = parse_query(head.query, {"prefix", "encoding", "end"})
    prefix = single(query, "prefix") or ""
    always_base64 = _encoding(query)
    ended = _is_true(query, "end")
    in_gzip = _takes_gzip(head)

    async def operation(call: Call) -> Response:
        chunks = streams.export(call.store, prefix, always_base64)
        return await _streamed(call, ndjson.with_end(chunks) if ended else chunks, in_gzip)

    return operation


def get_keys(head: Head, _: Limits) -> Operation:
    """`GET /v1/{store}/keys?prefix=&after=&limit=`"""
    query = parse_query(head.query, {"prefix", "after", "limit"})
    prefix = single(query, "prefix") or ""
    after = single(query, "after")
    limit = single(query, "limit")
    if limit is None:
        count = PAGE
    elif limit.isascii() and limit.isdigit() and len(limit) <= 5 and 1 <= int(limit) <= LONGEST_PAGE:
        count = int(limit)
    else:
        raise malformed("limit", f"must be a whole number from 1 to {LONGEST_PAGE}")

    async def operation(call: Call) -> Response:
        keys = await call.store.list_keys(prefix)
        start = 0 if after is None else bisect.bisect_right(keys, after)
        page = keys[start : start + count]
        call.record.keys += len(page)
        call.record.enter("encode")
        return _json({"keys": page, "next": page[-1] if start + count < len(keys) else None})

    return operation


def delete_keys(head: Head, _: Limits) -> Operation:
    """`DELETE /v1/{store}/keys?prefix=&dry-run=&all=`"""

    async def operation(call: Call) -> Response:
        await _refuse_body(call, "its keys are those with the prefix in the query.")
        prefix, dry_run = _deleted(head)
        keys = await call.store.list_keys(prefix)
        if dry_run:
            call.record.keys += len(keys)
        else:
            await streams.delete_keys(call.store, keys)
        return _counted(DELETE, len(keys))

    return operation


def _deleted(head: Head) -> tuple[str, bool]:
    """The prefix of the keys that a DELETE of keys names, and whether they are only counted."""
    query = parse_query(head.query, {"prefix", "dry-run", "all"})
    prefix = single(query, "prefix") or ""
    dry_run = _is_true(query, "dry-run")
    if not _is_true(query, "all") and not prefix:
        path = head.full_path[:200]
        raise malformed(
            "prefix",
            f"must not be empty, since that means every key of the store. Send DELETE {path}?prefix=P, or "
            f"DELETE {path}?all=true to delete all keys (with dry-run=true, they are counted only)",
        )
    return prefix, dry_run


ROUTES: dict[str | None, dict[str, tuple[Scope, Route]]] = {
    None: {"GET": ("read", get_get_many), "DELETE": ("write", delete_delete_many)},
    "keys": {"GET": ("read", get_keys), "DELETE": ("write", delete_keys)},
    "export": {"GET": ("read", get_export)},
    "get-many": {"POST": ("read", post_get_many)},
    "set-many": {"POST": ("write", post_set_many)},
    "delete-many": {"POST": ("write", post_delete_many)},
}
"""By path behind `/v1/{store}/` (None without one) and method: the required scope and the route."""


async def _get_many(call: Call, keys: list[str], always_base64: bool) -> Response:
    """Answers get-many of a list of keys in JSON."""
    most = call.limits.answer_bytes
    retry = call.store.retry
    call.record.keys += len(keys)
    if len(keys) == 1:
        values = [await call.store.do(lambda bucket: get(bucket, keys[0], retry=retry), "encode")]
    else:
        values = await call.store.do(lambda bucket: _values(bucket, keys, retry, most), "encode")
    answer = [b'{"pairs": [']
    for piece in encode_pairs(keys, values, always_base64):
        most -= len(piece)
        if most < 0:
            raise _answer_too_large(call.limits.answer_bytes)
        answer.append(piece)
    answer.append(b"]}\n")
    return _varying(b"".join(answer))


async def _values(bucket: Bucket, keys: list[str], retry: Retry, most: int) -> list[bytes | None]:
    """The values of the keys, unless they have more than `most` bytes."""
    values: dict[str, bytes | None] = {}
    size = 0
    parts = Read.once(keys, retry, most)
    while parts.left:
        part = (await parts.next(bucket)).values
        # An answer is at least as large as its values, so one that is too large is refused early.
        if parts.left:
            size += sum(map(len, filter(None, part.values())))
            if size > most:
                raise _answer_too_large(most)
        values.update(part)
    if len(values) < len(keys) and sum(len(values[key] or b"") for key in keys) > most:
        raise _answer_too_large(most)  # for its repeats
    # Usually no key is repeated; then the values are in the order of the keys.
    return list(values.values() if len(values) == len(keys) else map(values.__getitem__, keys))


async def _refuse_body(call: Call, why: str) -> None:
    if await call.request.body.read():
        raise Problem("malformed-body", f"The DELETE has a body, which would be ignored: {why}", pointer="")


def _answering(head: Head, always_base64: bool) -> Callable[[Call, list[str]], Awaitable[Response]]:
    """How get-many of a list of keys is answered: buffered as JSON, or streamed as NDJSON."""
    if _answers_in(head, JSON, NDJSON) == JSON:
        return partial(_get_many, always_base64=always_base64)
    in_gzip = _takes_gzip(head)

    async def as_lines(call: Call, keys: list[str]) -> Response:
        most = call.limits.answer_bytes
        return await _streamed(call, streams.read_keys(call.store, keys, always_base64, most), in_gzip)

    return as_lines


def _writing(
    head: Head,
    write: WriteOperation[Item],
    types: tuple[str, ...],
    read: Items[Item],
    decode: ndjson.Decode[Item],
) -> Operation:
    """The write of the items of a body.

    Args:
        head: The head.
        write: The write.
        types: The media types of the body.
        read: Reads the items of a body that is not NDJSON.
        decode: Decodes those of a block of lines.
    """
    form = form_of(head, *types)
    ended = _is_true(parse_query(head.query, {"end"}), "end")
    if form.media_type == NDJSON:
        answered = _answers_in(head, NDJSON, JSON)

        async def of_lines(call: Call) -> Response:
            blocks = ndjson.read(form.open(call.request), call.limits, decode, ended=ended)
            return _counted(write, await streams.write_lines(call.store, write, blocks), answered)

        return of_lines

    answered = _answers_in(head, JSON, NDJSON)

    async def at_once(call: Call) -> Response:
        items = await read(call.request, form, call.limits)
        await call.store.write(write, items)
        return _counted(write, len(items), answered)

    return at_once


def _counted(write: WriteOperation[Any], count: int, content_type: str = JSON) -> Response:
    """The answer of a write: how many items it has written."""
    return _varying(b'{"%b": %d}\n' % (write.counted.encode(), count), content_type)


async def _all_keys(call: Call, blocks: streams.Blocks[str]) -> list[str]:
    """The keys of an NDJSON body that is answered in JSON, which may have no more keys than a JSON body."""
    keys: list[str] = []
    async for lines in blocks:
        if lines.problem is not None:
            raise lines.problem
        keys += lines.items
        check_count(len(keys), call.limits)
    return keys


def _answer_too_large(limit: int) -> Problem:
    return Problem(
        "too-large",
        f"The answer would be larger than the limit of {limit} bytes (max_answer_bytes). Request fewer keys "
        f"at a time, or a stream: accept: {NDJSON}.",
        limit=limit,
    )


def _query_keys(head: Head, query: dict[str, list[str]], limits: Limits) -> list[str]:
    keys = query.get("key", [])
    if not keys:
        raise Problem(
            "malformed-query",
            "The query names no key. "
            + (_delete_many(head) if head.method == "DELETE" else _get_many_of(head)),
            parameter="key",
        )
    check_count(len(keys), limits)
    return [check_key(key, limits, {"parameter": "key"}) for key in keys]


def _delete_many(head: Head) -> str:
    path = head.full_path[:200]
    return f'Send DELETE {path}?key=a&key=b, or POST {path}/delete-many with the body {{"keys": ["a", "b"]}}.'


def _get_many_of(head: Head) -> str:
    path = head.full_path[:200]
    return (
        f'Send GET {path}?key=a&key=b, or POST {path}/get-many with the body {{"keys": ["a", "b"]}}; '
        f"GET {path}/keys lists the keys of the store."
    )


def _answers_in(head: Head, *offered: str) -> str:
    """The media type that the client prefers of those offered; the first one if it has no preference."""
    return preferred(head.headers.get("accept", "")[:MAX_HEADER_LENGTH], offered)


def _takes_gzip(head: Head) -> bool:
    return takes_gzip(head.headers.get("accept-encoding", ""))


def _encoding(query: dict[str, list[str]]) -> bool:
    """Whether the query asks for every value as base64."""
    encoding = single(query, "encoding")
    if encoding not in (None, "base64"):
        raise malformed("encoding", "must be base64 if given")
    return encoding is not None


def _is_true(query: dict[str, list[str]], name: str) -> bool:
    """Whether a parameter is given as true. It must be true if given."""
    value = single(query, name)
    if value not in (None, "true"):
        raise malformed(name, "must be true if given")
    return value is not None


def _json(value: object) -> Response:
    return _varying(json.dumps(value, ensure_ascii=False).encode() + b"\n")


def _varying(body: bytes, content_type: str = JSON) -> Response:
    return buffered(200, content_type, body, ("vary", "accept"))


async def _streamed(call: Call, chunks: AsyncGenerator[bytes, None], in_gzip: bool) -> Response:
    """A streamed response. It begins with the first chunk: a failure before it has a status of its own."""
    first = await anext(chunks, b"")
    headers = [("content-type", NDJSON), ("vary", "accept, accept-encoding")]
    body = _rest(first, chunks, call.record)
    if in_gzip:
        headers.append(("content-encoding", "gzip"))
        body = coding.packed(body)
    return Response(200, headers, body)


async def _rest(
    first: bytes, chunks: AsyncGenerator[bytes, None], record: Record
) -> AsyncGenerator[bytes, None]:
    """The chunks of a response that has begun. An error from here on becomes its last line."""
    try:
        if first:
            yield first
        async for chunk in chunks:
            yield chunk
    except Exception as error:  # noqa: BLE001 - otherwise the response would look complete
        yield line(error, record)
    finally:
        await chunks.aclose()
