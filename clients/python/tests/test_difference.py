"""The comparison of two stores, or of a file and a store."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kv_batch_client.difference import difference, sorted_lines
from kv_batch_client.errors import BadInput
from kv_batch_client.lines import pair_line

stores = st.dictionaries(st.text("ab\uffff\U0001f600", max_size=3), st.binary(max_size=2))


@given(first=stores, second=stores, compact=st.booleans())
def test_every_key_that_differs_is_named_once_in_order(
    first: dict[str, bytes], second: dict[str, bytes], compact: bool
) -> None:
    """Lines may be written in another way on one side."""
    ones = [pair_line(key, first[key]) for key in sorted(first)]
    others = [pair_line(key, second[key]) for key in sorted(second)]
    if compact:
        others = [json.dumps(json.loads(line), separators=(",", ":")).encode() for line in others]
    kinds = {"-": first.keys() - second.keys(), "+": second.keys() - first.keys()}
    kinds["~"] = {key for key in first.keys() & second.keys() if first[key] != second[key]}
    expected = sorted((key, kind) for kind, keys in kinds.items() for key in keys)
    assert [(key, kind) for kind, key in difference(ones, others)] == expected


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([pair_line("b", b""), pair_line("a", b"")], "Line 2 has a key that is not greater"),
        ([pair_line("a", b""), b"", pair_line("a", b"")], "Line 3 has a key that is not greater"),
        ([b'{"key": "a"}'], "Line 1 has no value"),
        ([pair_line("a", b""), b"["], "Line 2: "),
    ],
)
def test_a_file_that_cannot_be_compared_is_refused(lines: list[bytes], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        list(sorted_lines(lines, ""))


def test_only_the_keys_with_the_prefix_are_compared() -> None:
    lines = [pair_line(key, b"") for key in ("a", "b", "ba", "c")]
    assert list(sorted_lines(lines, "b")) == lines[1:3]
