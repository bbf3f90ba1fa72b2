"""Recognizes what a refused body is instead of JSON or NDJSON: gzip data, UTF-16, the file of another tool.

The message "is not JSON" would not help the client then. This module changes only the message of a refusal.
Other modules decide what is accepted.
"""

from __future__ import annotations

import json
import re

from gateway.problems import Problem
from gateway.wire.media import JSON, NDJSON
from gateway.wire.place import Line

BOM = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8. One at the start of a body is skipped."""

_STARTS = (
    # UTF-32 comes before UTF-16, whose little-endian mark is the first half of that of UTF-32.
    (b"\xff\xfe\0\0", "a UTF-32 byte order mark (FF FE 00 00). Send UTF-8: iconv -f UTF-32 -t UTF-8."),
    (b"\0\0\xfe\xff", "a UTF-32 byte order mark (00 00 FE FF). Send UTF-8: iconv -f UTF-32 -t UTF-8."),
    (b"\xff\xfe", "a UTF-16 byte order mark (FF FE). Send UTF-8: iconv -f UTF-16 -t UTF-8."),
    (b"\xfe\xff", "a UTF-16 byte order mark (FE FF). Send UTF-8: iconv -f UTF-16 -t UTF-8."),
    (b"\x1f\x8b", "gzip data (1F 8B). Send it with content-encoding: gzip, or decompress it: gzip -dc."),
    (
        b"\x28\xb5\x2f\xfd",
        "zstd data (28 B5 2F FD). Decompress it: zstd -dc. Only gzip may be sent compressed.",
    ),
    (b"PK\x03\x04", "a zip archive (PK). Extract it: unzip -p. Only gzip may be sent compressed."),
    (b"BZh", "bzip2 data (BZh). Decompress it: bzip2 -dc. Only gzip may be sent compressed."),
    (b"\xfd7zXZ", "xz data (FD 37 7A 58 5A). Decompress it: xz -dc. Only gzip may be sent compressed."),
    (BOM, "a byte order mark (EF BB BF), which is skipped only at the start of a body. Remove it."),
)

_EXAMINED_BYTES = 64 * 1024
"""The number of bytes of a body or line that are examined."""

_TWO_LINES = re.compile(rb"\s*\{[^\n]*\}[ \t\r]*\n\s*\{")
"""An object on one line and another on the next. JSON never has that."""

_TWO_OBJECTS = re.compile(rb'\}[ \t\r]*,?[ \t\r]*\{[ \t\r]*"')
"""A place where one object may end and another begin."""

_LISTS = re.compile(rb'\s*\{\s*"(keys|pairs)"\s*:')
"""The start of a JSON body."""

_CONSUL = re.compile(rb'\s*\[\s*\{[^}]*"flags"\s*:', re.IGNORECASE)
_KEY_NAMES = re.compile(rb'\s*\[\s*\{\s*"name"\s*:')
_STRINGS = re.compile(rb'\s*\[\s*"')


def explain_body(problem: Problem, body: bytes, name: str) -> Problem:
    """The problem of a refused JSON body, with a better message if the body is something else.

    Args:
        problem: The reason of the refusal.
        body: The whole body.
        name: The name of the list that the body must have: "keys" or "pairs".
    """
    start = body[:_EXAMINED_BYTES]
    detail = _encoded(start)
    if detail is not None:
        detail = f"The body {detail}"
    elif not start.strip():
        detail = f'The body is empty, but it must be {{"{name}": […]}}. To send a file: curl --json @FILE.'
    elif _TWO_LINES.match(start):
        detail = (
            f"The body has objects on separate lines: that is NDJSON. Send it with content-type: {NDJSON}."
        )
    elif problem.code != "malformed-body":
        return problem
    elif start.lstrip().startswith(b"[") and problem.__cause__ is None:
        detail = f'The body must be {{"{name}": […]}}, but it is an array. {_from_array(start, name)}'
    elif problem.members.get("pointer") in ("/key", "/value", "/end"):
        detail = (
            f'The body must be {{"{name}": […]}}, but it is a single pair. '
            f"To send lines of NDJSON, set content-type: {NDJSON}."
        )
    else:
        return problem
    return Problem("malformed-body", detail, {"pointer": problem.members.get("pointer", "")})


def _from_array(start: bytes, name: str) -> str:
    """How to convert an array to a valid body."""
    if _KEY_NAMES.match(start):
        return "It looks like the output of wrangler kv key list. Convert it: jq '{keys: [.[].name]}'."
    if name == "keys":
        items = "." if _STRINGS.match(start) else "[.[].key]"
        return f"It looks like the input of wrangler kv bulk. Convert it: jq '{{keys: {items}}}'."
    if _CONSUL.match(start):
        return (
            "It looks like the output of consul kv export. Convert it: "
            """jq '{pairs: [.[] | {key, value, encoding: "base64"}]}'."""
        )
    return (
        "It looks like the input of wrangler kv bulk put. Convert it: "
        """jq '{pairs: [.[] | {key, value} + if .base64 then {encoding: "base64"} else {} end]}'."""
    )


def explain_line(problem: Problem, line: bytes, place: Line) -> Problem:
    """The problem of a refused line of NDJSON, with a better message if the line is something else."""
    if problem.code != "malformed-body":
        return problem
    start = line[:_EXAMINED_BYTES]
    detail = _encoded(start)
    if detail is None:
        detail = _explain_line(problem, start)
    return problem if detail is None else Problem("malformed-body", f"{place} {detail}", place.where())


def _explain_line(problem: Problem, line: bytes) -> str | None:
    """What a line is instead of one object, as the end of a sentence; None if it is not recognized."""
    text = line.strip()
    if text.startswith(b"["):
        return "starts an array, but each line must be an object. Put each item on its own line: jq -c '.[]'."
    if text == b"{":
        return "starts an object that continues on the next line. Put each object on one line: jq -c ."
    if lists := _LISTS.match(line):
        name = lists[1].decode()
        items = ".pairs[]" if name == "pairs" else ".keys[] | {key: .}"
        return (
            f'is a JSON body: {{"{name}": […]}}. Send it with content-type: {JSON}, '
            f"or put each item on its own line: jq -c '{items}'."
        )
    cause = problem.__cause__
    if isinstance(cause, json.JSONDecodeError):
        rest = cause.doc[cause.pos : cause.pos + 100].lstrip(" \t\r,")
        two = cause.msg == "Extra data" and rest.startswith("{")
    else:
        two = "more values" in problem.detail and _TWO_OBJECTS.search(line) is not None
    if two:
        return (
            "has more than one object. Put a newline between them. "
            "curl removes newlines with -d, and keeps them with --data-binary."
        )
    return None


def _encoded(start: bytes) -> str | None:
    """How bytes that are not UTF-8 text start, as the end of a sentence; None if they are not recognized."""
    for mark, what in _STARTS:
        if start.startswith(mark):
            return f"starts with {what}"
    # JSON starts with an ASCII character, which has a zero byte beside it in UTF-16.
    if start[:1] == b"\0" != start[1:2] != b"":
        return "looks like UTF-16 (00 before its first character). Send UTF-8: iconv -f UTF-16BE -t UTF-8."
    if start[1:2] == b"\0" != start[:1]:
        return "looks like UTF-16 (00 after its first character). Send UTF-8: iconv -f UTF-16LE -t UTF-8."
    return None
