"""Exports that are cut: which requests continue them, and what is given while the store changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kv_batch_client import ClientError, ConnectionLost
from kv_batch_client.lines import end_line, key_of, pair_line
from kv_batch_client.reading import PAGE_KEYS, Export
from kv_batch_client.retry import Retry

names = st.sampled_from(list("abcdefghij"))


@dataclass
class Cutting:
    """A store whose answers are cut.

    Attributes:
        pairs: Its pairs.
        cuts: For each request the number of lines after which it is cut; None or nothing: it is not cut.
        changes: For each request the pairs that are written before it (None: deleted).
        asked: The requests: "export", or the key after which a page starts.
    """

    pairs: dict[str, bytes]
    cuts: list[int | None] = field(default_factory=list)
    changes: list[dict[str, bytes | None]] = field(default_factory=list)
    page_keys: int = PAGE_KEYS
    asked: list[str | None] = field(default_factory=list)

    def export(self) -> Iterator[bytes]:
        self._note("export")
        lines = [pair_line(key, self.pairs[key]) + b"\n" for key in sorted(self.pairs)]
        yield from self._cut([*lines, end_line(len(lines))])

    def page(self, after: str | None) -> tuple[Iterator[bytes], str | None]:
        self._note(after)
        keys = [key for key in sorted(self.pairs) if after is None or key > after]
        page = keys[: self.page_keys]
        lines = self._cut([pair_line(key, self.pairs[key]) for key in page])
        return lines, page[-1] if len(keys) > self.page_keys else None

    def _note(self, what: str | None) -> None:
        self.asked.append(what)
        change = self.changes.pop(0) if self.changes else {}
        for key, value in change.items():
            if value is None:
                self.pairs.pop(key, None)
            else:
                self.pairs[key] = value

    def _cut(self, lines: list[bytes]) -> Iterator[bytes]:
        cut = self.cuts.pop(0) if self.cuts else None
        yield from lines[:cut]
        if cut is not None:
            raise ConnectionLost("cut")


def patient(seconds: float = 3600) -> Retry:
    return Retry(seconds, sleep=lambda _: None)


def numbered(count: int) -> dict[str, bytes]:
    return {f"k{number:06}": b"v" for number in range(count)}


def test_an_export_with_many_new_lines_is_requested_again() -> None:
    """Pages would cost a list of the whole store each."""
    pairs = numbered(5 * PAGE_KEYS)
    source = Cutting(pairs, [PAGE_KEYS, 3 * PAGE_KEYS, 4 * PAGE_KEYS])
    assert list(map(key_of, Export(source, patient()))) == sorted(pairs)
    assert source.asked == ["export"] * 4


def test_an_export_that_is_always_cut_at_one_place_goes_on_by_pages() -> None:
    """A proxy may cut each answer after a fixed time. The exports in vain become rare."""
    pairs = numbered(9 * PAGE_KEYS)
    source = Cutting(pairs, [PAGE_KEYS] * 2 + [None] + [PAGE_KEYS] + [None] * 2 + [PAGE_KEYS] + [None] * 4)
    assert list(map(key_of, Export(source, patient()))) == sorted(pairs)
    kinds = ["export" if each == "export" else "page" for each in source.asked]
    assert kinds == ["export"] * 2 + ["page"] + ["export"] + ["page"] * 2 + ["export"] + ["page"] * 4 + [
        "export"
    ]


def test_a_request_without_any_line_is_repeated_as_it_is() -> None:
    """While a gateway restarts, nothing is learned about its exports."""
    pairs = numbered(3 * PAGE_KEYS)
    source = Cutting(pairs, [0, 0, 2 * PAGE_KEYS, 0, 0])
    assert list(map(key_of, Export(source, patient()))) == sorted(pairs)
    assert source.asked == ["export"] * 6


def test_each_request_with_lines_begins_the_time_for_retries_anew() -> None:
    now = 0.0

    def sleep(seconds: float) -> None:
        nonlocal now
        now += max(seconds, 4)

    source = Cutting(numbered(20), [1] * 19)
    retry = Retry(5, clock=lambda: now, sleep=sleep)
    assert len(list(Export(source, retry))) == 20
    assert now > 5
    with pytest.raises(ConnectionLost):
        list(Export(Cutting(numbered(20), [0] * 20), retry))


@given(
    pairs=st.dictionaries(names, st.binary(max_size=2)),
    changes=st.lists(st.dictionaries(names, st.one_of(st.none(), st.binary(max_size=2))), max_size=8),
    cuts=st.lists(st.one_of(st.none(), st.integers(0, 8)), max_size=8),
    few=st.integers(1, 4),
    patience=st.sampled_from([0, 3600]),
)
def test_what_is_given_while_the_store_changes_was_there(
    pairs: dict[str, bytes],
    changes: list[dict[str, bytes | None]],
    cuts: list[int | None],
    few: int,
    patience: float,
) -> None:
    """Keys are sorted, each is there once, and a key that nobody touched is not missing."""
    touched = {key for change in changes for key in change}
    written = [*pairs.items(), *(each for change in changes for each in change.items())]
    lines_ever = {pair_line(key, value) for key, value in written if value is not None}
    source = Cutting(dict(pairs), list(cuts), list(changes), page_keys=few)
    given = list[bytes]()
    complete = True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("kv_batch_client.reading.PAGE_KEYS", few)
        try:
            given.extend(Export(source, patient(patience)))
        except ClientError:
            assert patience == 0
            complete = False
    keys = list(map(key_of, given))
    assert keys == sorted(set(keys))
    assert lines_ever.issuperset(given)
    if complete:
        assert pairs.keys() - touched <= set(keys)
