"""Reading ahead in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from kv_batch_client.ahead import read_ahead


def test_items_come_in_order_and_an_error_after_them() -> None:
    def items() -> Iterator[int]:
        yield from range(100)
        raise ValueError("the source failed")

    seen = list[int]()
    with pytest.raises(ValueError, match="the source failed"):
        seen.extend(read_ahead(items()))
    assert list(read_ahead(range(100))) == list(range(100))


def test_no_more_than_two_items_are_read_before_they_are_wanted() -> None:
    asked = threading.Semaphore(0)
    read = list[int]()

    def items() -> Iterator[int]:
        for number in range(100):
            read.append(number)
            asked.release()
            yield number

    ahead = read_ahead(items())
    assert next(ahead) == 0
    for _ in range(3):
        assert asked.acquire(timeout=10)
    assert not asked.acquire(timeout=0.3)
    assert read == [0, 1, 2]
    ahead.close()  # type: ignore[attr-defined]


def test_the_thread_ends_when_the_reader_stops() -> None:
    before = set(threading.enumerate())
    ahead = read_ahead(iter(int, 1))
    next(ahead)
    (thread,) = set(threading.enumerate()) - before
    ahead.close()  # type: ignore[attr-defined]
    thread.join(10)
    assert not thread.is_alive()
