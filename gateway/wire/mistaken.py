"""Recognizes what a refused body is instead of JSON or NDJSON: gzip, UTF-16, CSV, the file of another tool.

The message "is not JSON" would not help the client then. This module changes only the message of a refusal.
Other modules decide what is accepted. What a body is shows at its start, so no more of it is examined.
"""

from __future__ import annotations

import json

from gateway.problems import Problem
from gateway.wire.media import JSON, NDJSON
from gateway.wire.place import Line

BOM = b"\xef\xbb\xbf"
"""The byte order mark of UTF-8. One at the start of a body is skipped."""

_STARTS = {
    b"\xff\xfe": "starts with a UTF-16 byte order mark (FF FE). Send UTF-8: iconv -f UTF-16 -t UTF-8.",
    b"\xfe\xff": "starts with a UTF-16 byte order mark (FE FF). Send UTF-8: iconv -f UTF-16 -t UTF-8.",
    BOM[
        :2
    ]: "starts with a byte order mark (EF BB BF), which is skipped only at the start of a body. Remove it.",
    b"{\0": "looks like UTF-16 (00 after its first character). Send UTF-8: iconv -f UTF-16LE -t UTF-8.",
    b"\x1f\x8b": "starts with gzip data (1F 8B). Send it with content-encoding: gzip, or decompress it: "
    "gzip -dc.",
}
"""What the first two bytes of a body or line show, as the end of a sentence."""

_CSV = "looks like CSV, but {}. To import pairs from CSV: kvb import --from csv FILE (clients/python)."

ONE_A_LINE = (
    "A line must be one pair, not a list of pairs. "
    "curl removes newlines with -d, and keeps them with --data-binary."
)

_EXAMINED_BYTES = 4096
"""The number of bytes of a body or line that are examined."""


def explain_body(problem: Problem, body: bytes, name: str) -> Problem:
    """The problem of a refused JSON body, with a better message if the body is something else.

    Args:
        problem: The reason of the refusal.
        body: The whole body.
        name: The name of the list that the body must have: "keys" or "pairs".
    """
    start = body[:_EXAMINED_BYTES]
    marks = _without_spaces(start)
    due = f'must be {{"{name}": […]}}'
    if found := _STARTS.get(start[:2]):
        detail = f"The body {found}"
    elif marks.startswith(b'{"key":'):
        detail = f"The body is a single pair, or lines: that is NDJSON. Send it with content-type: {NDJSON}."
    elif problem.code != "malformed-body":
        return problem
    elif not body or body.isspace():
        detail = f"The body is empty, but it {due}. To send a file: curl --json @FILE."
    elif marks.startswith(b"[") and problem.__cause__ is None:
        detail = f"The body {due}, but it is an array. {_from_array(marks, name)}"
    elif _is_csv(start):
        detail = f"The body {_CSV.format(f'it {due}')}"
    else:
        return problem
    return Problem("malformed-body", detail, {"pointer": problem.members.get("pointer", "")})


def _from_array(marks: bytes, name: str) -> str:
    """How to convert an array to a valid body."""
    tool, items = "wrangler kv bulk put", '{key, value} + if .base64 then {encoding: "base64"} else {} end'
    if name == "keys":
        tool, items = "wrangler kv", ".name? // .key? // ."
    elif b'"flags":' in marks:
        tool, items = "consul kv export", '{key, value, encoding: "base64"}'
    return f"It looks like a file of {tool}. Convert it: jq '{{{name}: [.[] | {items}]}}'."


def explain_line(problem: Problem, line: bytes, place: Line) -> Problem:
    """The problem of a refused line of NDJSON, with a better message if the line is something else."""
    if problem.code != "malformed-body":
        return problem
    start = line[:_EXAMINED_BYTES]
    marks = _without_spaces(start)
    cause = problem.__cause__
    if found := _STARTS.get(start[:2]):
        detail = found
    elif marks.startswith(b"["):
        detail = (
            "starts an array, but each line must be an object. Put each item on its own line: jq -c '.[]'."
        )
    elif marks == b"{":
        detail = "starts an object that continues on the next line. Put each object on one line: jq -c ."
    elif marks.startswith((b'{"pairs":', b'{"keys":')):
        items = ".pairs[]" if marks.startswith(b'{"pairs":') else ".keys[] | {key: .}"
        detail = f"is a JSON body. Send it with content-type: {JSON}, or write it as lines: jq -c '{items}'."
    elif _is_csv(start):
        detail = _CSV.format("each line must be an object")
    elif isinstance(cause, json.JSONDecodeError) and cause.msg == "Extra data":
        detail = f"has more than one value. {ONE_A_LINE}"
    else:
        return problem
    return Problem("malformed-body", f"{place} {detail}", place.where())


def _without_spaces(text: bytes) -> bytes:
    return text.translate(None, b" \t\r\n")


def _is_csv(start: bytes) -> bool:
    """Whether the first line is text with a comma, and does not start as an object or array does."""
    first = start.lstrip().partition(b"\n")[0]
    return b"," in first and first.isascii() and not first.startswith((b"{", b"["))
