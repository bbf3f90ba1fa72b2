"""The difference of two sorted streams of pairs, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from kv_batch_client.errors import BadInput
from kv_batch_client.lines import checked, decode

Kind = Literal["-", "+", "~"]
"""Only in the first, only in the second, or in both with different values."""

Pairs = Iterable[tuple[str, bytes]]


def difference(first: Pairs, second: Pairs) -> Iterator[tuple[Kind, str]]:
    """The keys that differ, sorted by code point, as both streams must be."""
    ones, others = iter(first), iter(second)
    one, other = next(ones, None), next(others, None)
    while one is not None or other is not None:
        if other is None or (one is not None and one[0] < other[0]):
            assert one is not None  # noqa: S101 - for the type checker
            yield "-", one[0]
            one = next(ones, None)
        elif one is None or other[0] < one[0]:
            yield "+", other[0]
            other = next(others, None)
        else:
            if one[1] != other[1]:
                yield "~", one[0]
            one, other = next(ones, None), next(others, None)


def sorted_pairs(lines: Iterable[bytes]) -> Iterator[tuple[str, bytes]]:
    """The pairs of the lines of a file.

    Raises:
        BadInput: the lines are not sorted by key, or one is no pair.
    """
    last: str | None = None
    for number, line in enumerate(checked(lines), 1):
        if not line.strip():
            continue
        try:
            key, value = decode(line)
        except BadInput as error:
            raise BadInput(f"Line {number}: {error}") from error
        if value is None:
            raise BadInput(f"Line {number} has no value.")
        if last is not None and key <= last:
            raise BadInput(
                f"Line {number} has a key that is not greater than the one before. An export is sorted: "
                "import the file into an empty store and export that, or compare an export."
            )
        last = key
        yield key, value
