"""The difference of two sorted streams of pairs, in constant memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

from kv_batch_client.errors import BadInput
from kv_batch_client.lines import checked, decode

Kind = Literal["-", "+", "~"]
"""Only in the first, only in the second, or in both with different values."""


def difference(first: Iterable[bytes], second: Iterable[bytes]) -> Iterator[tuple[Kind, str]]:
    """The keys that differ, sorted by code point, as the lines of both streams must be.

    Args:
        first, second: Lines of pairs. Equal lines, which are most in a comparison of stores, are not decoded.
    """
    ones, others = iter(first), iter(second)
    line, other_line = next(ones, None), next(others, None)
    while line is not None or other_line is not None:
        if line == other_line:
            line, other_line = next(ones, None), next(others, None)
            continue
        one = None if line is None else decode(line)
        other = None if other_line is None else decode(other_line)
        if one is not None and (other is None or one[0] < other[0]):
            yield "-", one[0]
            line = next(ones, None)
        elif other is not None and (one is None or other[0] < one[0]):
            yield "+", other[0]
            other_line = next(others, None)
        elif one is not None and other is not None:
            if one[1] != other[1]:
                yield "~", one[0]
            line, other_line = next(ones, None), next(others, None)


def sorted_lines(lines: Iterable[bytes], prefix: str) -> Iterator[bytes]:
    """The lines of a file whose keys start with `prefix`.

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
        if key.startswith(prefix):
            yield line
