"""The routes of `/v1/{store}`. Each decodes its request, runs its operation, and encodes the response."""

from __future__ import annotations

import bisect
import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from gateway import streams
from gateway.bodies import open_body, read_bytes, read_form
from gateway.http import Body, Request, Response, buffered
from gateway.problems import Problem, line
from gateway.record import Record
from gateway.settings import Limits, Scope
from gateway.stores import DELETE, SET, Store, WriteOperation
from gateway.wire import coding, ndjson
from gateway.wire.bulk import body_keys, body_pairs
from gateway.wire.encoding import encode_pairs
from gateway.wire.media import FORM, JSON, MAX_HEADER_LENGTH, NDJSON, preferred, takes_gzip
from gateway.wire.pairs import check_count, check_key, decode_keys, decode_pairs
from gateway.wire.query import malformed, parse_query, single
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

    def answers_in(self, *offered: str) -> str:
        """The media type that the client prefers of those offered; the first one if it has no preference."""
        return preferred(self.request.headers.get("accept", "")[:MAX_HEADER_LENGTH], offered)


async def post_get_many(call: Call) -> Response:
    """`POST /v1/{store}/get-many`, JSON or NDJSON, and the answer in either"""
    media_type, body = open_body(call.request, JSON, NDJSON)
    query = parse_query(call.request.query, {"encoding", "end"})
    always_base64 = _encoding(query)
    ended = _is_true(query, "end")
    if media_type == JSON:
        keys = await _sent_keys(call, body)
        return await _get_many(call, keys, always_base64)
    blocks = ndjson.read(body, call.limits, ndjson.decode_key_lines, ended=ended)
    if call.answers_in(NDJSON, JSON) == NDJSON:
        chunks = streams.read_lines(call.store, blocks, always_base64)
        return await _streamed(call, chunks)
    return await _get_many(call, await _all_keys(call, blocks), always_base64)


async def get_get_many(call: Call) -> Response:
    """`GET /v1/{store}?key=a&key=b`"""
    query = parse_query(call.request.query, {"key", "encoding"})
    return await _get_many(call, _query_keys(call, query), _encoding(query))


async def post_set_many(call: Call) -> Response:
    """`POST /v1/{store}/set-many`, JSON, NDJSON or a form"""
    media_type, body = open_body(call.request, JSON, NDJSON, FORM)
    ended = _is_true(parse_query(call.request.query, {"end"}), "end")
    if media_type == NDJSON:
        return await _write_lines(
            call, SET, ndjson.read(body, call.limits, ndjson.decode_pair_lines, ended=ended)
        )
    if media_type == FORM:
        pairs = await read_form(call.request, body, call.limits)
    else:
        sent = await read_bytes(call.request, body, call.limits)
        pairs = body_pairs(sent, call.limits) or decode_pairs(sent, call.limits)
    return await _write(call, SET, pairs)


async def post_delete_many(call: Call) -> Response:
    """`POST /v1/{store}/delete-many`, JSON or NDJSON"""
    media_type, body = open_body(call.request, JSON, NDJSON)
    ended = _is_true(parse_query(call.request.query, {"end"}), "end")
    if media_type == NDJSON:
        return await _write_lines(
            call, DELETE, ndjson.read(body, call.limits, ndjson.decode_key_lines, ended=ended)
        )
    return await _write(call, DELETE, await _sent_keys(call, body))


async def delete_delete_many(call: Call) -> Response:
    """`DELETE /v1/{store}?key=a&key=b`"""
    await _refuse_body(call, f"its keys are those of the query. {_delete_many(call)}")
    query = parse_query(call.request.query, {"key"})
    return await _write(call, DELETE, _query_keys(call, query))


async def get_export(call: Call) -> Response:
    """`GET /v1/{store}/export?prefix=`"""
    query = parse_query(call.request.query, {"prefix", "encoding", "end"})
    prefix = single(query, "prefix") or ""
    chunks = streams.export(call.store, prefix, _encoding(query))
    return await _streamed(call, ndjson.with_end(chunks) if _is_true(query, "end") else chunks)


async def get_keys(call: Call) -> Response:
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
    keys = await call.store.list_keys(prefix)
    start = 0 if after is None else bisect.bisect_right(keys, after)
    page = keys[start : start + count]
    call.record.keys += len(page)
    call.record.enter("encode")
    return _json({"keys": page, "next": page[-1] if start + count < len(keys) else None})


async def delete_keys(call: Call) -> Response:
    """`DELETE /v1/{store}/keys?prefix=&dry-run=&all=`"""
    await _refuse_body(call, "its keys are those with the prefix in the query.")
    query = parse_query(call.request.query, {"prefix", "dry-run", "all"})
    prefix = single(query, "prefix") or ""
    dry_run = _is_true(query, "dry-run")
    if not _is_true(query, "all") and not prefix:
        path = call.request.full_path[:200]
        raise malformed(
            "prefix",
            f"must not be empty, since that means every key of the store. Send DELETE {path}?prefix=P, or "
            f"DELETE {path}?all=true to delete all keys (with dry-run=true, they are counted only)",
        )
    keys = await call.store.list_keys(prefix)
    if dry_run:
        call.record.keys += len(keys)
    else:
        await streams.delete_keys(call.store, keys)
    return _json({"keys": len(keys)})


Route = Callable[[Call], Awaitable[Response]]

ROUTES: dict[str | None, dict[str, tuple[Scope, Route]]] = {
    None: {"GET": ("read", get_get_many), "DELETE": ("write", delete_delete_many)},
    "keys": {"GET": ("read", get_keys), "DELETE": ("write", delete_keys)},
    "export": {"GET": ("read", get_export)},
    "get-many": {"POST": ("read", post_get_many)},
    "set-many": {"POST": ("write", post_set_many)},
    "delete-many": {"POST": ("write", post_delete_many)},
}
"""By path behind `/v1/{store}/` (None without one) and method: the required scope and the handler."""


async def _get_many(call: Call, keys: list[str], always_base64: bool) -> Response:
    """Answers get-many of a list of keys: buffered as JSON, or streamed as NDJSON."""
    if call.answers_in(JSON, NDJSON) == NDJSON:
        return await _streamed(call, streams.read_keys(call.store, keys, always_base64))
    most = call.limits.answer_bytes

    async def read(bucket: Bucket) -> list[bytes | None]:
        values: dict[str, bytes | None] = {}
        size = 0
        parts = Read(list(dict.fromkeys(keys)), retry=call.store.retry)
        while parts.left:
            part = (await parts.next(bucket)).values
            # An answer is at least as large as its values, so one that is too large is refused early.
            size += sum(map(len, filter(None, part.values())))
            if size > most:
                raise _answer_too_large(most)
            values.update(part)
        if len(values) < len(keys) and sum(len(values[key] or b"") for key in keys) > most:
            raise _answer_too_large(most)  # for its repeats
        return [values[key] for key in keys]

    call.record.keys += len(keys)
    values = await call.store.do(read)
    call.record.enter("encode")
    pieces = [b'{"pairs": [']
    for piece in encode_pairs(keys, values, always_base64):
        most -= len(piece)
        if most < 0:
            raise _answer_too_large(call.limits.answer_bytes)
        pieces.append(piece)
    return _varying(b"".join([*pieces, b"]}\n"]))


async def _sent_keys(call: Call, body: Body) -> list[str]:
    """The keys of a JSON body."""
    sent = await read_bytes(call.request, body, call.limits)
    return body_keys(sent, call.limits) or decode_keys(sent, call.limits)


async def _refuse_body(call: Call, why: str) -> None:
    if await call.request.body.read():
        raise Problem("malformed-body", f"The DELETE has a body, which would be ignored: {why}", pointer="")


async def _write(call: Call, write: WriteOperation[Item], items: list[Item]) -> Response:
    await call.store.write(write, items)
    return _json({write.counted: len(items)}, call.answers_in(JSON, NDJSON))


async def _write_lines(call: Call, write: WriteOperation[Item], blocks: streams.Blocks[Item]) -> Response:
    count = await streams.write_lines(call.store, write, blocks)
    return _json({write.counted: count}, call.answers_in(NDJSON, JSON))


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


def _query_keys(call: Call, query: dict[str, list[str]]) -> list[str]:
    keys = query.get("key", [])
    if not keys:
        raise Problem(
            "malformed-query",
            "The query names no key. "
            + (_delete_many(call) if call.request.method == "DELETE" else _get_many_of(call)),
            parameter="key",
        )
    check_count(len(keys), call.limits)
    return [check_key(key, call.limits, {"parameter": "key"}) for key in keys]


def _delete_many(call: Call) -> str:
    path = call.request.full_path[:200]
    return f'Send DELETE {path}?key=a&key=b, or POST {path}/delete-many with the body {{"keys": ["a", "b"]}}.'


def _get_many_of(call: Call) -> str:
    path = call.request.full_path[:200]
    return (
        f'Send GET {path}?key=a&key=b, or POST {path}/get-many with the body {{"keys": ["a", "b"]}}; '
        f"GET {path}/keys lists the keys of the store."
    )


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


def _json(value: object, content_type: str = JSON) -> Response:
    return _varying(json.dumps(value, ensure_ascii=False).encode() + b"\n", content_type)


def _varying(body: bytes, content_type: str = JSON) -> Response:
    return buffered(200, content_type, body, ("vary", "accept"))


async def _streamed(call: Call, chunks: AsyncGenerator[bytes, None]) -> Response:
    """A streamed response. It begins with the first chunk: a failure before it has a status of its own."""
    first = await anext(chunks, b"")
    headers = [("content-type", NDJSON), ("vary", "accept, accept-encoding")]
    body = _rest(first, chunks, call.record)
    if takes_gzip(call.request.headers.get("accept-encoding", "")):
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
