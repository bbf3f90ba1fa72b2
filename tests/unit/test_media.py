"""Content-Type, Accept and Accept-Encoding, as RFC 9110 has them."""

from __future__ import annotations

import pytest

from gateway.wire.media import JSON, NDJSON, media_type, preferred, takes_gzip


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("application/json", "application/json"),
        ("Application/JSON ; charset=utf-8", "application/json"),
        ("multipart/form-data; boundary=x", "multipart/form-data"),
        ("", ""),
        (" ; charset=utf-8", ""),
    ],
)
def test_a_media_type_has_neither_case_nor_parameters(content_type: str, expected: str) -> None:
    assert media_type(content_type) == expected


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", JSON),
        ("*/*", JSON),
        ("application/*", JSON),
        (NDJSON, NDJSON),
        (f"{NDJSON};q=0.001, text/html", NDJSON),
        (f"{JSON}, {NDJSON}", JSON),
        (f"{NDJSON}, {JSON}", JSON),
        (f"{JSON};q=0.5, {NDJSON}", NDJSON),
        (f"{JSON};q=0.5, {NDJSON};q=0.50", JSON),
        (f"*/*, {JSON};q=0", NDJSON),
        (f"*/*;q=0.1, {NDJSON}", NDJSON),
        (f"{JSON};q=0.1, application/*;q=0.2", NDJSON),
        (f"{NDJSON.upper()} ; Q=1", NDJSON),
        (f"{NDJSON};profile=x", NDJSON),
        ("text/html", JSON),
        ("text/*;q=1", JSON),
        (f"{NDJSON};q=0", JSON),
        (f"{NDJSON};q=2", JSON),
        (f"{NDJSON};q=", JSON),
        (f"{NDJSON};q=0.1234", JSON),
        (f"{NDJSON};q=nan", JSON),
        (f"{NDJSON};q=\u0660", JSON),
        (",,;;q=1,", JSON),
    ],
)
def test_the_more_specific_range_and_the_higher_weight_win(accept: str, expected: str) -> None:
    assert preferred(accept, (JSON, NDJSON)) == expected


def test_without_a_wish_the_first_offer_is_taken() -> None:
    assert preferred("*/*", (NDJSON, JSON)) == NDJSON


@pytest.mark.parametrize(
    ("accept_encoding", "expected"),
    [
        ("", False),
        ("*", False),
        ("identity", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("gzip, deflate, br", True),
        ("br;q=1, gzip;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip;q=0.5, identity", False),
        ("gzip;q=0.5, identity;q=0.5", True),
        ("gzip;q=x", False),
        ("gzipped", False),
    ],
)
def test_gzip_is_only_for_who_asks_for_it(accept_encoding: str, expected: bool) -> None:
    assert takes_gzip(accept_encoding) is expected
