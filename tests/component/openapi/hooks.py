"""What schemathesis cannot know of NDJSON: how to make it, read it, and what each line must be."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

import schemathesis
from hypothesis import strategies as st

NDJSON = "application/x-ndjson"

_text = st.text(st.characters(codec="utf-8"), max_size=40)
_base64 = st.just({"value": "AAH/", "encoding": "base64"})
_pairs = st.builds(
    lambda key, value: {"key": key, **value}, _text, _base64 | st.builds(lambda text: {"value": text}, _text)
)


def _lines(pairs: list[dict[str, str]], end: str) -> bytes:
    return "".join(json.dumps(pair, ensure_ascii=False) + end for pair in pairs).encode()


schemathesis.openapi.media_type(NDJSON, st.builds(_lines, st.lists(_pairs), st.sampled_from(["\n", "\r\n"])))


@schemathesis.hook
def before_load_schema(_: schemathesis.HookContext, raw_schema: dict[str, Any]) -> None:
    """Examples of a type that has a strategy of its own are not taken: test_openapi.py tries them."""
    for item in raw_schema["paths"].values():
        for operation in item.values():
            if isinstance(operation, dict) and "requestBody" in operation:
                operation["requestBody"]["content"].get(NDJSON, {}).pop("example", None)


@schemathesis.hook
def filter_query(_: schemathesis.HookContext, query: dict[str, Any] | None) -> bool:
    """A request line of over 64 KiB is refused by the host itself: Spin says 414, the embedded one 400."""
    return len(urlencode(query or {}, doseq=True)) < 60_000


@schemathesis.hook
def map_query(context: schemathesis.HookContext, query: dict[str, Any] | None) -> dict[str, Any] | None:
    """A delete of keys without a prefix needs `all=true`, which a schema cannot say."""
    operation = context.operation
    if operation is None or operation.definition.raw.get("operationId") != "deleteKeys":
        return query
    query = query or {}
    return query if query.get("prefix") or "all" in query else {**query, "all": "true"}


@schemathesis.deserializer(NDJSON)
def _as_text(_: schemathesis.DeserializationContext, response: schemathesis.Response) -> str:
    return response.content.decode()


@schemathesis.check
def lines_are_pairs(
    _: schemathesis.CheckContext, response: schemathesis.Response, case: schemathesis.Case[Any]
) -> None:
    """Each line of an NDJSON answer is a pair, a missing key, a count, or an end line."""
    if NDJSON not in response.headers.get("content-type", []):
        return
    counts = "Many" in case.operation.definition.raw["operationId"] and case.method in ("POST", "DELETE")
    for line in response.content.splitlines():
        members = json.loads(line)
        if (set(members) <= {"pairs", "keys"} and counts) or set(members) == {"end"}:
            continue
        if set(members) == {"problem"} and case.query.get("end"):  # the body had no end line
            continue
        assert set(members) in ({"key", "value"}, {"key", "value", "encoding"}), line[:100]
