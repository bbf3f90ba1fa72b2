"""Decodes the query of a request: `application/x-www-form-urlencoded`, in which a `+` is a space."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from gateway.problems import Problem
from gateway.wire.place import MAX_QUOTED

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_query(query: str, known: set[str]) -> dict[str, list[str]]:
    """Decodes the values of each parameter, in order. A parameter without `=` has an empty value.

    Args:
        query: The part of the target after the `?`, not decoded.
        known: The names of the parameters that the route has.

    Raises:
        Problem: `malformed-query`.
    """
    values: dict[str, list[str]] = {}
    for part in query.split("&"):
        if not part:
            continue
        raw_name, _, raw_value = part.partition("=")
        name = _decoded(raw_name, raw_name)
        if name not in known:
            raise Problem(
                "malformed-query",
                f"This route has no parameter {name[:MAX_QUOTED]!r}. "
                + (f"It has: {', '.join(sorted(known))}." if known else "It has none."),
                parameter=name[:MAX_QUOTED],
            )
        values.setdefault(name, []).append(_decoded(raw_value, name))
    return values


def single(values: dict[str, list[str]], name: str) -> str | None:
    """The value of a parameter that must not be repeated; None if it is missing.

    Raises:
        Problem: `malformed-query`.
    """
    given = values.get(name)
    if given is None:
        return None
    if len(given) > 1:
        raise malformed(name, "must not be repeated")
    return given[0]


def malformed(name: str, rule: str) -> Problem:
    """The problem of a parameter; `rule` completes the sentence that begins "The parameter NAME"."""
    return Problem("malformed-query", f"The parameter {name} {rule}.", parameter=name)


def _decoded(text: str, name: str) -> str:
    if _BAD_ESCAPE.search(text):
        raise malformed(
            name[:MAX_QUOTED], "has a % that is not followed by two hexadecimal digits. Write %25 for a %"
        )
    try:
        return unquote_plus(text, errors="strict")
    except UnicodeDecodeError as error:
        raise malformed(name[:MAX_QUOTED], "is not UTF-8 after percent-decoding") from error
