"""Parses the headers Content-Type, Accept and Accept-Encoding (RFC 9110).

The few values that clients send are remembered (`lru_cache`): to parse them costs more than to answer a small
request costs elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

JSON = "application/json"
NDJSON = "application/x-ndjson"
FORM = "multipart/form-data"

MAX_HEADER_LENGTH = 4096
"""The number of characters of a header that are parsed. The rest is ignored.

Each comma costs a step of Python. Browsers send about 200 characters."""

REMEMBERED = 32
"""The number of values of each header that are remembered."""

OTHER_NAMES = {"application/ndjson": NDJSON, "application/jsonl": NDJSON, "application/x-jsonlines": NDJSON}
"""Other names that clients use, and the name of the type here. None of them is registered."""

UTF_8 = ("utf-8", "utf8", "us-ascii", "ascii")
"""Charsets whose texts are also UTF-8."""


@lru_cache(REMEMBERED)
def media_type(content_type: str) -> str:
    """The type of a Content-Type, in lower case and without its parameters; empty if there is none.

    One of `OTHER_NAMES` is replaced by the name of the type here.
    """
    name = content_type.partition(";")[0].strip().lower()
    return OTHER_NAMES.get(name, name)


@lru_cache(REMEMBERED)
def foreign_charset(content_type: str) -> str | None:
    """The charset that a Content-Type declares if it is not UTF-8; None if it is, or if there is none."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        charset = value.strip().strip('"')
        if name.strip().lower() == "charset" and charset and charset.lower() not in UTF_8:
            return charset
    return None


@lru_cache(REMEMBERED)
def preferred(accept: str, offered: tuple[str, ...]) -> str:
    """The offered type that an Accept prefers; the first of those with the same weight.

    The weight of a type is that of the most specific range that matches it (RFC 9110 section 12.5.1). If no
    range matches an offered type, the header is ignored, as that section allows, and the first type is
    returned.
    """
    ranges: dict[str, float] = {}
    for name, given in _weighted(accept):
        ranges[OTHER_NAMES.get(name, name)] = given

    def weight(offer: str) -> float:
        for name in (offer, offer.partition("/")[0] + "/*", "*/*"):
            if name in ranges:
                return ranges[name]
        return 0.0

    return max(offered, key=weight)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an Accept-Encoding names gzip with no less weight than `identity` (RFC 9110 section 12.5.3).

    A `*` accepts any coding, but does not ask for gzip.
    """
    codings = dict(_weighted(accept_encoding))
    gzip = max(codings.get("gzip", 0.0), codings.get("x-gzip", 0.0))
    return gzip > 0 and gzip >= codings.get("identity", 0.0)


def _weighted(header: str) -> Iterator[tuple[str, float]]:
    """The elements of a weighted list: each in lower case, with its weight (`q`).

    Other parameters are ignored, since no offered type has any. An element with an invalid weight (RFC 9110
    section 12.4.2) is left out. Characters behind the first MAX_HEADER_LENGTH are ignored.
    """
    for element in header[:MAX_HEADER_LENGTH].lower().split(","):
        name, *parameters = [part.strip() for part in element.split(";")]
        weight: float | None = 1.0
        for parameter in parameters:
            attribute, _, value = parameter.partition("=")
            if attribute.strip() == "q":
                weight = _weight(value.strip())
        if name and weight is not None:
            yield name, weight


def _weight(text: str) -> float | None:
    whole, _, thousandths = text.partition(".")
    digits = whole + thousandths
    if whole not in ("0", "1") or len(thousandths) > 3 or not (digits.isascii() and digits.isdigit()):
        return None
    return min(float(text), 1.0)
