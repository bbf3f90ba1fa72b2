"""The body of a request: checked against its headers, decompressed, and read up to the limit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from gateway.http import Body, Head, Request, declared_length
from gateway.problems import Problem
from gateway.settings import Limits
from gateway.wire import coding
from gateway.wire.form import FormDecoder
from gateway.wire.media import MAX_HEADER_LENGTH, NDJSON, foreign_charset, media_type
from gateway.wire.pairs import Pair

Item = TypeVar("Item")

Decode = Callable[[bytes, Limits], list[Item]]
"""Decodes the items of a body."""


@dataclass(eq=False)
class Form:
    """What the head of a request says of its body.

    Attributes:
        media_type: Its media type.
        content_type: The header, with its parameters.
        packed: Whether the body is compressed with gzip.
    """

    media_type: str
    content_type: str
    packed: bool = False

    def open(self, request: Request) -> Body:
        """The body of a request with such a head. It is decompressed as it is read."""
        return coding.Unpacked(request.body) if self.packed else request.body


def form_of(head: Head, *types: str) -> Form:
    """What the head of a request says of its body, which has one of the media types `types`.

    Raises:
        Problem: `unsupported-media-type`: its media type is none of `types`, or its charset or its
            content-encoding is not supported.
    """
    whole = head.headers.get("content-type", "")
    declared = whole[:MAX_HEADER_LENGTH]
    sent = media_type(declared)
    if sent not in types:
        met = f"the content-type {sent[:100]!r}" if sent else "no content-type"
        raise Problem(
            "unsupported-media-type",
            f"The body has {met}. Send {' or '.join(types)}. "
            "curl sets application/json with --json, and multipart/form-data with -F.",
            headers=[("accept-post", ", ".join(types))],
        )
    charset = foreign_charset(declared)
    if charset is not None:
        raise Problem(
            "unsupported-media-type",
            f"The content-type declares the charset {charset[:100]!r}. Send UTF-8 (iconv -t UTF-8), with "
            "charset=utf-8 or none.",
            headers=[("accept-post", ", ".join(types))],
        )
    codings = head.headers.get("content-encoding", "").lower().split(",")
    match [name for coding in codings if (name := coding.strip()) not in ("", "identity")]:
        case []:
            return Form(sent, whole)
        case ["gzip" | "x-gzip"]:
            return Form(sent, whole, packed=True)
    raise Problem(
        "unsupported-media-type",
        f"The body has the content-encoding {', '.join(codings)[:100]!r}. Send gzip, or none.",
        headers=[("accept-encoding", "gzip")],
    )


async def read_json(
    request: Request, form: Form, limits: Limits, in_bulk: Decode[Item], decode: Decode[Item]
) -> list[Item]:
    """The keys or pairs of a JSON body.

    Args:
        request: The request.
        form: What its head says of its body.
        limits: The limits of the body and of its items.
        in_bulk: Decodes the usual bodies; returns none for any other.
        decode: Decodes any body.

    Raises:
        Problem: the body is too large, or not valid.
        BodyCutShort: the connection closed before the end of the body.
    """
    received: list[bytes] = []
    await _receive(request, form.open(request), limits.body_bytes, received.append)
    sent = b"".join(received)
    return in_bulk(sent, limits) or decode(sent, limits)


async def read_multipart(request: Request, form: Form, limits: Limits) -> list[Pair]:
    """The pairs of a `multipart/form-data` body.

    Raises:
        Problem: the body is too large, or not valid.
        BodyCutShort: the connection closed before the end of the body.
    """
    decoder = FormDecoder(form.content_type, limits)
    await _receive(request, form.open(request), limits.body_bytes, decoder.feed)
    return decoder.pairs()


async def _receive(request: Request, body: Body, limit: int, take: Callable[[bytes], object]) -> None:
    """Passes each chunk of a body to `take`. A body with a larger content-length than the limit stays unread.

    Raises:
        Problem: `too-large`.
        BodyCutShort: the connection closed before the end of the body.
    """
    declared = declared_length(request.headers)
    if declared is not None and declared > limit:
        raise _body_too_large(limit, declared)
    left = limit
    while not body.ended and (chunk := await body.read()):
        left -= len(chunk)
        if left < 0:
            raise _body_too_large(limit)
        take(chunk)


def _body_too_large(limit: int, actual: int | None = None) -> Problem:
    return Problem(
        "too-large",
        f"The body {f'has {actual} bytes' if actual else 'is too large'}; the limit is {limit} bytes "
        f"(max_body_bytes). Send it in several requests, or as {NDJSON}, which has no limit.",
        {} if actual is None else {"actual": actual},
        limit=limit,
    )
