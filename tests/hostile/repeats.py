"""Inputs for which backtracking takes longest: one or two fragments, repeated within an input.

A loop or a regular expression that looks at each byte from many places takes a time with the square of the
length for one of these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import AnyStr


def units(fragments: Sequence[AnyStr]) -> list[AnyStr]:
    """Each fragment, and each two of them."""
    found = list(fragments)
    for first in fragments:
        found += [first + second for second in fragments if first != second]
    return found


def repeated(unit: AnyStr, size: int) -> AnyStr:
    """As many whole units as fit in the size."""
    return unit * (size // len(unit))


def around(pieces: Sequence[AnyStr], odd: AnyStr) -> Iterator[tuple[AnyStr, AnyStr]]:
    """What stands before and behind a repeated part: a start of an input, and its rest, nothing, or `odd`."""
    for place in range(len(pieces) + 1):
        start, rest = odd[:0].join(pieces[:place]), odd[:0].join(pieces[place:])
        yield from ((start, behind) for behind in dict.fromkeys((rest, odd[:0], odd)))
