"""What a client sends and what it would rather have: Content-Type, Accept and Accept-Encoding (RFC 9110)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

JSON = "application/json"
NDJSON = "application/x-ndjson"
FORM = "multipart/form-data"

MAX_HEADER_LENGTH = 4096
"""The number of characters of a header that are parsed. The rest is ignored.

Each comma costs a step of Python. Browsers send about 200 characters."""

OTHER_NAMES = {"application/ndjson": NDJSON, "application/jsonl": NDJSON, "application/x-jsonlines": NDJSON}
"""Names that clients have for a type, and the one that it has here. None of them is registered."""

UTF_8 = ("utf-8", "utf8", "us-ascii", "ascii")
"""Charsets whose texts are UTF-8."""


def media_type(content_type: str) -> str:
    """The type of a Content-Type, in lower case and without its parameters; empty where none is named.

    A type that has several names has the one of this module.
    """
    name = content_type.partition(";")[0].strip().lower()
    return OTHER_NAMES.get(name, name)


def foreign_charset(content_type: str) -> str | None:
    """The charset that a Content-Type declares, where that is not UTF-8; None where it is, or none is."""
    for parameter in content_type.split(";")[1:]:
        name, _, value = parameter.partition("=")
        charset = value.strip().strip('"')
        if name.strip().lower() == "charset" and charset and charset.lower() not in UTF_8:
            return charset
    return None


def preferred(accept: str, offered: Sequence[str]) -> str:
    """Which of the offered types an Accept asks for; the first of those that it likes equally well.

    The most specific range that fits a type says how much it is liked (RFC 9110 section 12.5.1). Where none
    fits any, the header is disregarded, as that section allows: the first type it is.
    """
    ranges: dict[str, float] = {}
    for name, liked in _weighted(accept):
        ranges[OTHER_NAMES.get(name, name)] = liked

    def weight(offer: str) -> float:
        for fitting in (offer, offer.partition("/")[0] + "/*", "*/*"):
            if fitting in ranges:
                return ranges[fitting]
        return 0.0

    return max(offered, key=weight)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether gzip is asked for, and liked no less than the bytes as they are (RFC 9110 section 12.5.3).

    A mere `*` takes any coding and asks for none.
    """
    codings = dict(_weighted(accept_encoding))
    gzip = max(codings.get("gzip", 0.0), codings.get("x-gzip", 0.0))
    return gzip > 0 and gzip >= codings.get("identity", 0.0)


def _weighted(header: str) -> Iterator[tuple[str, float]]:
    """The elements of a list with weights: each in lower case, with its `q`.

    Other parameters are passed over: none of what is offered has any. An element whose weight is none
    (RFC 9110 section 12.4.2) is left out. Characters behind the first MAX_HEADER_LENGTH are
    ignored.
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
