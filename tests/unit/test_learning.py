"""What the contract learns of a store is what the store has shown, and it is tried anew."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import TypeVar

import pytest

from gateway.streams import PART_BYTES
from kv_batch.batch import delete_many, get_many, list_keys, set_many
from kv_batch.bucket import LIMIT_EXPIRES, MOST_KEYS, SINGLY_EXPIRES, Learned, Limit
from kv_batch.errors import StoreFailed
from kv_batch.reading import CONCURRENT_BYTES, MAX_CONCURRENT_READS, UNKNOWN_SIZES, Read
from kv_batch.writing import TEACHING_BYTES
from tests.buckets import DynamoDb, OddRedis, Redis, SmallCap, Sqlite, WeighedRedis

Result = TypeVar("Result")

MIB = 1024 * 1024


def run(coroutine: Coroutine[object, object, Result]) -> Result:
    return asyncio.run(coroutine)


class Accident(Sqlite):
    """Fails now and then.

    Attributes:
        failing: The calls that fail, counted from 0.
    """

    failing: Sequence[int] = (0,)

    def note(self, name: str, keys: Sequence[object]) -> None:
        super().note(name, keys)
        if len(self.calls) - 1 in self.failing:
            raise StoreFailed("connection reset")


async def all_parts(bucket: Sqlite, keys: list[str]) -> dict[str, bytes | None]:
    """The values as an export reads them: in parts of about PART_BYTES."""
    read = Read(keys, PART_BYTES)
    values: dict[str, bytes | None] = {}
    while read.left:
        values.update((await read.next(bucket)).values)
    return values


def test_a_few_large_values_do_not_make_the_calls_for_all_others_small() -> None:
    large = bytes(10 * MIB)
    bucket = Sqlite({f"a{number:02}": large for number in range(14)})
    bucket.data |= {f"k{number:06}": b"0123456789" for number in range(100_000)}
    assert run(all_parts(bucket, sorted(bucket.data))) == bucket.data
    assert len(bucket.calls) <= 20
    assert bucket.learned.get_many == Limit()


def test_a_limit_of_bytes_is_no_limit_of_keys() -> None:
    bucket = SmallCap({f"k{number:03}": b"v" * 90 for number in range(100)})
    run(get_many(bucket, list(bucket.data)))
    assert bucket.learned.get_many == Limit()
    bucket.calls.clear()
    run(get_many(bucket, [f"missing {number}" for number in range(5_000)]))
    assert bucket.calls == [("get_many", 5_000)]


def test_two_values_too_large_for_one_call_do_not_turn_batch_reads_off() -> None:
    bucket = SmallCap({"a": bytes(900), "b": bytes(900)})
    for _ in range(3):
        assert run(get_many(bucket, ["a", "b"])) == [("a", bytes(900)), ("b", bytes(900))]
    assert bucket.learned.batch_reads.work is None
    bucket.calls.clear()
    run(get_many(bucket, [f"k{number}" for number in range(10_000)]))
    assert bucket.calls == [("get_many", 10_000)]


@pytest.mark.parametrize("count", [2, 3, 26, 100, 1_000, 10_000])
def test_one_passing_error_teaches_nothing(count: int) -> None:
    keys = [f"k{number}" for number in range(count)]
    pairs = [(key, b"1") for key in keys]
    for work in (
        lambda bucket: get_many(bucket, keys),
        lambda bucket: set_many(bucket, pairs),
        lambda bucket: delete_many(bucket, keys),
    ):
        bucket = Accident(dict(pairs))
        run(work(bucket))
        assert len(bucket.calls) > 1
        bucket.calls = [("", 0)]  # none fails any more
        run(work(bucket))
        assert [size for _, size in bucket.calls[1:]] == [count]
        limits = [bucket.learned.get_many, bucket.learned.set_many, bucket.learned.delete_many]
        assert [limit.size(1e9) for limit in limits] == [MOST_KEYS] * 3
        assert bucket.learned.batch_reads.work is not False


def test_an_outage_teaches_nothing() -> None:
    keys = [f"k{number}" for number in range(1_000)]
    bucket = Accident(dict.fromkeys(keys, b"1"))
    bucket.failing = range(1_000)
    for _ in range(5):
        with pytest.raises(StoreFailed):
            run(get_many(bucket, keys))
    bucket.failing = (0,)
    bucket.calls.clear()
    run(get_many(bucket, keys[:2]))
    assert [name for name, _ in bucket.calls] == ["get_many", "get", "get"]
    bucket.calls.clear()
    bucket.failing = ()
    run(get_many(bucket, keys))
    assert bucket.calls == [("get_many", 1_000)]


@pytest.mark.parametrize("work", [set_many, delete_many, get_many])
def test_a_limit_expires_and_is_tried_anew(work: object) -> None:
    limit = 100 if work is get_many else 25
    bucket = DynamoDb()
    keys = [f"k{number}" for number in range(10_000)]

    def sizes() -> list[tuple[str, int]]:
        bucket.calls.clear()
        if work is set_many:
            run(set_many(bucket, [(key, b"1") for key in keys]))
        else:
            run(get_many(bucket, keys) if work is get_many else delete_many(bucket, keys))
        return bucket.calls

    sizes()
    assert {size for _, size in sizes()} == {limit}
    # It still holds: one call shows it, for as long again.
    bucket.time.seconds += LIMIT_EXPIRES
    assert [call for call in sizes() if call[1] != limit] == [("refused", 2 * limit)]
    assert {size for _, size in sizes()} == {limit}
    # It holds no longer, and is found to be gone in one batch.
    bucket.time.seconds += LIMIT_EXPIRES
    bucket.most_read = bucket.most_written = MOST_KEYS
    assert max(size for _, size in sizes()) > 1_000
    assert len(sizes()) <= 3


def test_a_store_that_read_no_batches_is_asked_for_one_again() -> None:
    keys = [f"k{number}" for number in range(300)]
    bucket = Redis(dict.fromkeys(keys, b"1"))
    run(get_many(bucket, keys))
    bucket.time.seconds += SINGLY_EXPIRES - 1
    bucket.calls.clear()
    run(get_many(bucket, keys))
    assert {name for name, _ in bucket.calls} == {"get"}
    bucket.time.seconds += 1
    bucket.calls.clear()
    run(get_many(bucket, keys))
    assert [call for call in bucket.calls if call[0] == "get_many"] == [("get_many", 300)]


def test_keys_read_one_by_one_are_few_at_once_if_their_values_are_large() -> None:
    bucket = WeighedRedis(dict.fromkeys((f"k{number:03}" for number in range(100)), bytes(8 * MIB)))
    for first in UNKNOWN_SIZES, CONCURRENT_BYTES // (8 * MIB):
        bucket.rounds.clear()
        assert run(get_many(bucket, list(bucket.data))) == list(bucket.data.items())
        assert bucket.rounds[0] == (first, first * 8 * MIB)
        assert {size for _, size in bucket.rounds[1:]} == {CONCURRENT_BYTES}
    bucket.rounds.clear()
    assert run(all_parts(bucket, list(bucket.data))) == bucket.data
    assert sum(count for count, _ in bucket.rounds) <= UNKNOWN_SIZES  # the others were read alone
    assert bucket.learned.largest == 8 * MIB


def test_small_values_are_read_in_one_round_once_their_size_is_known() -> None:
    keys = [f"k{number:03}" for number in range(MAX_CONCURRENT_READS)]
    bucket = WeighedRedis(dict.fromkeys(keys, bytes(1_000)))
    run(get_many(bucket, keys[:100]))
    assert [count for count, _ in bucket.rounds] == [8, 32, 60]
    for count in 100, MAX_CONCURRENT_READS:
        bucket.rounds.clear()
        run(get_many(bucket, keys[:count]))
        assert bucket.rounds == [(count, 1_000 * count)]


def test_one_large_value_among_small_ones_is_forgotten_after_a_few_reads() -> None:
    keys = [f"k{number:03}" for number in range(100)]
    bucket = WeighedRedis(dict.fromkeys(keys, bytes(1_000)) | {"logo": bytes(10 * MIB)})
    run(get_many(bucket, ["logo", "k001"]))
    run(get_many(bucket, keys))
    assert [count for count, _ in bucket.rounds] == [2, 3, 6, 12, 25, 51, 3]
    bucket.rounds.clear()
    run(get_many(bucket, keys))
    assert len(bucket.rounds) == 1


def test_a_limit_of_bytes_for_a_write_is_no_limit_of_pairs() -> None:
    class FourMegabytes(Sqlite):
        async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
            self.note("set_many", pairs)
            if sum(len(value) for _, value in pairs) > 4_000_000:
                raise StoreFailed("request is too large")
            self.data.update(pairs)

    bucket = FourMegabytes()
    for _ in range(3):
        run(set_many(bucket, [(f"k{number:04}", bytes(1_500)) for number in range(5_000)]))
    assert bucket.learned.set_many == Limit()
    bucket.calls.clear()
    run(set_many(bucket, [(f"k{number:04}", b"") for number in range(5_000)]))
    assert bucket.calls == [("set_many", 5_000)]


@pytest.mark.parametrize("size", [TEACHING_BYTES // 50, TEACHING_BYTES // 50 + 1])
def test_a_refused_call_of_few_bytes_teaches(size: int) -> None:
    bucket = DynamoDb()
    run(set_many(bucket, [(f"k{number:02}", bytes(size)) for number in range(50)]))
    run(set_many(bucket, [(f"k{number:02}", bytes(size)) for number in range(50)]))
    assert bucket.learned.set_many.most == (25 if size * 50 <= TEACHING_BYTES else MOST_KEYS)


def test_two_errors_of_one_hiccup_do_not_teach_that_a_store_reads_no_batches() -> None:
    keys = [f"k{number:03}" for number in range(100)]
    bucket = Accident(dict.fromkeys(keys, b"1"))
    bucket.failing = (0, 1)
    assert run(get_many(bucket, keys)) == list(bucket.data.items())
    assert bucket.calls[:2] == [("get_many", 100), ("get_many", 2)]
    assert {name for name, _ in bucket.calls[2:]} == {"get"}  # the rest of this read, and no longer
    assert bucket.learned.batch_reads.work is None
    bucket.calls = [("", 0)] * 2
    run(get_many(bucket, keys))
    assert bucket.calls[2:] == [("get_many", 100)]


def test_a_store_that_refuses_batches_in_unknown_words_is_asked_twice_a_read() -> None:
    keys = [f"k{number:03}" for number in range(300)]
    bucket = OddRedis(dict.fromkeys(keys, b"1"))
    for _ in range(3):
        bucket.calls.clear()
        assert run(get_many(bucket, keys)) == list(bucket.data.items())
        assert [call for call in bucket.calls if call[0] != "get"] == [("get_many", 300), ("get_many", 2)]


def test_two_refused_keys_say_nothing_where_batches_were_read() -> None:
    keys = [f"k{number:03}" for number in range(100)]
    bucket = Accident(dict.fromkeys(keys, b"1"))
    bucket.failing = range(1, 8)  # 100, 50, 25, 12, 6, 3 and 2 keys
    run(get_many(bucket, keys))
    assert bucket.calls == [("get_many", 100)]
    assert run(get_many(bucket, keys)) == list(bucket.data.items())
    assert [name for name, _ in bucket.calls[8:10]] == ["get", "get"]
    assert {name for name, _ in bucket.calls[10:]} == {"get_many"}


def test_a_part_asks_for_a_repeated_key_once() -> None:
    bucket = Sqlite({"a": b"1", "b": b"2"})

    async def check() -> None:
        for _ in range(10):
            read = Read(["a", "b"] * 50, PART_BYTES)
            while read.left:
                part = await read.next(bucket)
                assert (part.keys, part.values) == (["a", "b"] * 50, {"a": b"1", "b": b"2"})

    run(check())
    assert bucket.calls == [("get_many", 2)] * 10


def test_a_key_that_is_listed_twice_is_there_once() -> None:
    class Scanned(Sqlite):
        async def list_keys(self) -> list[str]:
            return ["b", "a", "b", "c", "a"]

    assert run(list_keys(Scanned())) == ["a", "b", "c"]
    assert run(list_keys(Scanned(), "b")) == ["b"]


def test_nothing_is_known_of_a_new_store() -> None:
    assert Sqlite().learned == Learned()
