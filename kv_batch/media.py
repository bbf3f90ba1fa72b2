"""What a client sends and what it would rather have: Content-Type, Accept and Accept-Encoding (RFC 9110)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

JSON = "application/json"
NDJSON = "application/x-ndjson"
FORM = "multipart/form-data"

LONGEST = 4096
"""Characters of a header that are looked at: each comma takes a step of Python, and browsers send 200."""


def media_type(content_type: str) -> str:
    """The type of a Content-Type, in lower case and without its parameters; empty where none is named."""
    return content_type.partition(";")[0].strip().lower()


def preferred(accept: str, offered: Sequence[str]) -> str:
    """Which of the offered types an Accept asks for; the first of those that it likes equally well.

    The most specific range that fits a type says how much it is liked (RFC 9110 section 12.5.1). Where none
    fits any, the header is disregarded, as that section allows: the first type it is.
    """
    ranges = dict(_weighted(accept))

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
    (RFC 9110 section 12.4.2) is left out. What is behind the first LONGEST characters is disregarded.
    """
    for element in header[:LONGEST].lower().split(","):
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
