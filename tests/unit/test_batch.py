"""The contract, over buckets that misbehave as each backend does."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import nullcontext
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from kv_batch.batch import Retry, delete_many, get_many, set_many
from kv_batch.bucket import MOST_KEYS, Limit
from kv_batch.errors import (
    BatchFailed,
    KeysFailed,
    NoSuchStore,
    StoreBusy,
    StoreError,
    StoreFailed,
    StoreNotGranted,
    StoreUnreachable,
)
from kv_batch.writing import MAX_CALL_BYTES
from tests.buckets import WORKING, Cosmos, Down, DynamoDb, Liar, Redis, Refusing, SmallCap, Sqlite

Result = TypeVar("Result")


def run(coroutine: Coroutine[object, object, Result]) -> Result:
    return asyncio.run(coroutine)


def calls(bucket: Sqlite, name: str) -> list[int]:
    return [count for called, count in bucket.calls if called == name]


@pytest.fixture(params=WORKING, ids=lambda cls: cls.__name__)
def bucket(request: pytest.FixtureRequest) -> Sqlite:
    made: Sqlite = request.param({"a": b"1", "b": b"2", "*": b"star", "empty": b""})
    return made


@pytest.mark.parametrize(
    "keys",
    [
        [],
        ["a"],
        ["missing"],
        ["a", "a"],
        ["a", "b"],
        ["b", "missing", "a", "b", "missing"],
        ["*"],
        ["*", "a"],
        ["empty", "missing"],
        [f"k{i}" for i in range(100)],
        [f"k{i}" for i in range(101)],
        [*(f"k{i}" for i in range(7_000)), "a"],
    ],
    ids=lambda keys: f"{len(keys)} keys: {','.join(keys)[:20]}",
)
def test_every_key_is_answered_in_the_order_asked(bucket: Sqlite, keys: list[str]) -> None:
    assert run(get_many(bucket, keys)) == [(key, bucket.data.get(key)) for key in keys]


def test_the_last_value_of_a_repeated_key_wins(bucket: Sqlite) -> None:
    run(set_many(bucket, [("x", b"1"), ("y", b"2"), ("x", b"3")]))
    assert (bucket.data["x"], bucket.data["y"]) == (b"3", b"2")


def test_a_delete_skips_what_is_not_there(bucket: Sqlite) -> None:
    run(delete_many(bucket, ["a", "missing", "a"]))
    assert set(bucket.data) == {"b", "*", "empty"}


@pytest.mark.parametrize("count", [1, 25, 26, 100, 101, 10_000])
def test_a_batch_of_any_length_is_written_and_deleted(bucket: Sqlite, count: int) -> None:
    pairs = [(f"n{i}", b"%d" % i) for i in range(count)]
    run(set_many(bucket, pairs))
    assert dict(pairs).items() <= bucket.data.items()
    run(delete_many(bucket, [key for key, _ in pairs]))
    assert set(bucket.data) == {"a", "b", "*", "empty"}


def test_an_empty_batch_never_reaches_the_backend(bucket: Sqlite) -> None:
    run(set_many(bucket, []))
    run(delete_many(bucket, []))
    assert run(get_many(bucket, [])) == []
    assert bucket.calls == []


def test_one_distinct_key_is_never_read_with_the_batch_call(bucket: Sqlite) -> None:
    assert run(get_many(bucket, ["a", "a"])) == [("a", b"1"), ("a", b"1")]
    assert bucket.calls == [("get", 1)]


def test_on_redis_the_batch_read_is_not_tried_again() -> None:
    bucket = Redis({f"k{i}": b"1" for i in range(300)})
    run(get_many(bucket, list(bucket.data)))
    assert calls(bucket, "get_many") == [300]
    bucket.calls.clear()
    run(get_many(bucket, list(bucket.data)))
    assert calls(bucket, "get_many") == []
    assert len(calls(bucket, "get")) == 300


def test_the_limits_of_dynamodb_are_found_once_and_exactly() -> None:
    bucket = DynamoDb()
    pairs = [(f"k{i}", b"1") for i in range(10_000)]
    keys = [key for key, _ in pairs]
    run(set_many(bucket, pairs))
    run(get_many(bucket, keys))
    run(delete_many(bucket, keys))
    # 10000, 6400, 3200 … down to 50, to 200, to 50; and once more what has shown the limit.
    assert len(calls(bucket, "refused")) == (9 + 1) + (7 + 2) + (9 + 1)
    bucket.calls.clear()
    run(set_many(bucket, pairs))
    run(get_many(bucket, keys))
    run(delete_many(bucket, keys))
    assert calls(bucket, "refused") == []
    assert set(calls(bucket, "set_many")) == set(calls(bucket, "delete_many")) == {25}
    assert set(calls(bucket, "get_many")) == {100}


def test_a_result_over_the_cap_of_the_host_is_read_in_parts() -> None:
    bucket = SmallCap({f"k{i:03}": b"v" * 90 for i in range(100)})
    assert run(get_many(bucket, list(bucket.data))) == list(bucket.data.items())


def test_an_answer_for_a_key_nobody_asked_for_is_thrown_away() -> None:
    bucket = Liar({"a": b"1"})
    assert run(get_many(bucket, ["a", "b"])) == [("a", b"1"), ("b", None)]


def test_large_values_are_written_in_calls_of_bounded_size() -> None:
    sizes: list[int] = []

    class Weighed(Sqlite):
        async def set_many(self, pairs):  # type: ignore[no-untyped-def]
            sizes.append(sum(len(value) for _, value in pairs))
            await super().set_many(pairs)

    value = bytes(3 * 1024 * 1024)
    bucket = Weighed()
    run(set_many(bucket, [(f"k{i}", value) for i in range(10)] + [("huge", value * 4)]))
    assert len(bucket.data) == 11
    assert sorted(sizes)[:-1] == [2 * len(value)] * 5
    assert max(sizes[:-1]) <= MAX_CALL_BYTES


def test_a_call_sends_its_pairs_in_the_order_of_their_keys() -> None:
    class Watching(Sqlite):
        async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
            sent.append([key for key, _ in pairs])
            await super().set_many(pairs)

    sent: list[list[str]] = []
    keys = [f"k{number * 7_919 % MOST_KEYS:05}" for number in range(MOST_KEYS)]
    run(set_many(Watching(), [(key, b"") for key in [*keys, "b", "a"]]))
    assert sent == [sorted(keys), ["a", "b"]]


def test_a_refused_key_is_named_and_the_rest_is_written() -> None:
    bucket = Cosmos()
    pairs = [(f"k{i}", b"1") for i in range(1_000)]
    pairs[500] = ("bad/key", b"1")
    with pytest.raises(BatchFailed) as failure:
        run(set_many(bucket, pairs))
    error = failure.value
    assert error.failed == [("bad/key", "the id 'bad/key' contains illegal characters")]
    assert error.not_attempted == []
    assert set(error.applied) == set(bucket.data) == {key for key, _ in pairs} - {"bad/key"}
    # One path down the halves, with a sibling at each step, 2 log2(n); and one that tests the store.
    assert len(bucket.calls) <= 23
    assert bucket.learned.set_many.most == MOST_KEYS  # a bad key says nothing about the backend's limits


@pytest.mark.parametrize("at", [0, 1, 4_999, 9_997])
def test_refused_keys_that_are_neighbours_stop_none_of_the_rest(at: int) -> None:
    bucket = Refusing()
    keys = [f"k{number:05}" for number in range(10_000)]
    bucket.refused = frozenset(keys[at : at + 3])
    with pytest.raises(BatchFailed) as failure:
        run(set_many(bucket, [(key, b"1") for key in keys]))
    error = failure.value
    assert error.failed == [(key, f"refused: {key}") for key in keys[at : at + 3]]
    assert error.by_themselves == bucket.refused
    assert (len(error.applied), error.not_attempted) == (9_997, [])
    assert bucket.data.keys() == set(keys) - bucket.refused
    assert len(bucket.calls) <= 3 * 2 * 14
    assert bucket.learned.set_many.most == MOST_KEYS


@pytest.mark.parametrize("first", [0, 60, 120])
def test_a_store_that_refuses_each_key_by_itself_is_asked_for_all_of_them(first: int) -> None:
    bucket = Refusing()
    keys = [f"k{number:03}" for number in range(120)]
    bucket.refused = frozenset(keys[first:])
    with pytest.raises(BatchFailed) if bucket.refused else nullcontext() as failure:
        run(set_many(bucket, [(key, b"1") for key in keys]))
    assert bucket.data.keys() == set(keys[:first])
    if failure is not None:
        assert failure.value.failed == [(key, f"refused: {key}") for key in keys[first:]]
        assert failure.value.by_themselves == bucket.refused
        assert len(bucket.calls) <= 3 * len(bucket.refused) + 30


@given(st.sets(st.integers(0, 999), max_size=40), st.sampled_from([set_many, delete_many]))
@settings(deadline=None)
def test_refused_keys_may_be_many_and_anywhere(refused: set[int], write: Any) -> None:
    bucket = Refusing()
    keys = [f"k{number:03}" for number in range(1_000)]
    bucket.refused = frozenset(keys[number] for number in refused)
    bucket.data = {} if write is set_many else dict.fromkeys(keys, b"1")
    items: list[Any] = [(key, b"1") for key in keys] if write is set_many else keys
    if not refused:
        run(write(bucket, items))
    else:
        with pytest.raises(BatchFailed) as failure:
            run(write(bucket, items))
        named = [keys[number] for number in sorted(refused)]
        assert failure.value.failed == [(key, f"refused: {key}") for key in named]
        assert failure.value.not_attempted == []
    done = set(keys) - bucket.refused
    assert bucket.data.keys() == (done if write is set_many else bucket.refused)


@pytest.mark.parametrize("calls_taken", [1, 2, 20])
def test_a_store_that_fails_in_the_middle_is_given_up_after_few_calls(calls_taken: int) -> None:
    class Failing(DynamoDb):
        def note(self, name: str, keys: Sequence[object]) -> None:
            super().note(name, keys)
            if len(self.calls) > calls_taken and name != "refused":
                raise StoreFailed("connection reset")

    bucket = Failing()
    bucket.learned.set_many = Limit(25, _expires=1e9)
    keys = [f"k{number:05}" for number in range(10_000)]
    with pytest.raises(BatchFailed) as failure:
        run(set_many(bucket, [(key, b"1") for key in keys]))
    error = failure.value
    done = 25 * calls_taken
    assert error.applied == keys[:done]
    # Those of the call that failed, and one far away, by which the store was tested.
    assert [key for key, _ in error.failed] == [*keys[done : done + 25], keys[-1]]
    assert error.not_attempted == keys[done + 25 : -1]
    assert error.by_themselves == frozenset()
    assert len(bucket.calls) <= calls_taken + 10


@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("write", [set_many, delete_many])
def test_no_key_is_refused_by_itself_where_only_a_dead_store_refused_it(count: int, write: Any) -> None:
    keys = [f"k{number}" for number in range(count)]
    bucket = Down()
    with pytest.raises(BatchFailed) as failure:
        run(write(bucket, [(key, b"1") for key in keys] if write is set_many else keys))
    assert failure.value.by_themselves == frozenset()
    assert bucket.calls[-1] == ("delete_many", 1)


@pytest.mark.parametrize("dies", [False, True])
def test_the_last_keys_of_a_batch_that_fail_are_tested_once_more(dies: bool) -> None:
    """After two keys the store was tested, and the third is the last."""

    class Dying(Refusing):
        async def delete_many(self, keys: Sequence[str]) -> None:
            await super().delete_many(keys)
            if dies and ("set_many", 1) in self.calls and self.calls.count(("delete_many", 1)) > 1:
                raise StoreFailed("connection refused")

    bucket = Dying()
    bucket.refused = frozenset("abc")
    with pytest.raises(BatchFailed) as failure:
        run(set_many(bucket, [(key, b"1") for key in "abc"]))
    assert [key for key, _ in failure.value.failed] == ["a", "b", "c"]
    assert bucket.calls[-2:] == [("set_many", 1), ("delete_many", 1)]
    assert failure.value.by_themselves == (frozenset("ac") if dies else frozenset("abc"))


def test_a_store_that_is_busy_when_it_is_tested_is_waited_for() -> None:
    class Busy(Refusing):
        """Each key is a call of its own, and so has an error of its own."""

        async def delete_many(self, keys: Sequence[str]) -> None:
            self.note("delete_many", keys)
            if len(self.calls) < 5:
                raise KeysFailed(dict.fromkeys(keys, StoreBusy("too many requests")))

    bucket = Busy()
    bucket.refused = frozenset("a")
    with pytest.raises(BatchFailed) as failure:
        run(set_many(bucket, [("a", b"1")]))
    assert failure.value.by_themselves == bucket.refused
    assert bucket.calls == [("set_many", 1), *[("delete_many", 1)] * 4]


def test_a_store_that_writes_key_by_key_says_of_each() -> None:
    class OneByOne(Sqlite):
        async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
            self.note("set_many", pairs)
            failed: dict[str, StoreError] = {}
            for key, value in pairs:
                number = int(key[1:])
                if number % 50 == 7:
                    failed[key] = StoreFailed(f"refused: {key}")
                elif number % 50 == 8 and len(self.calls) == 1:
                    failed[key] = StoreBusy("too many requests")
                else:
                    self.data[key] = value
            if failed:
                raise KeysFailed(failed)

    bucket = OneByOne()
    keys = [f"k{number}" for number in range(100)]
    with pytest.raises(BatchFailed) as failure:
        run(set_many(bucket, [(key, b"1") for key in keys]))
    error = failure.value
    assert error.failed == [("k7", "refused: k7"), ("k57", "refused: k57")]
    assert error.by_themselves == {"k7", "k57"}
    assert (len(error.applied), error.not_attempted) == (98, [])
    assert bucket.calls == [("set_many", 100), ("set_many", 2)]  # the second of those that were busy
    assert len(bucket.time.pauses) == 1


def test_a_key_that_may_be_changed_is_not_said_to_be_untouched_when_the_store_is_gone() -> None:
    class Gone(Sqlite):
        async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
            self.note("set_many", pairs)
            if len(self.calls) < 3:
                raise StoreFailed("connection reset")
            raise NoSuchStore("no")

    large = bytes(MAX_CALL_BYTES)
    with pytest.raises(BatchFailed) as failure:
        run(set_many(Gone(), [(f"k{number}", large) for number in range(4)]))
    assert [key for key, _ in failure.value.failed] == ["k0", "k3"]
    assert failure.value.not_attempted == ["k1", "k2"]


def test_a_dead_backend_is_not_hammered() -> None:
    bucket = Down()
    keys = [f"k{i}" for i in range(10_000)]
    with pytest.raises(BatchFailed) as failure:
        run(delete_many(bucket, keys))
    error = failure.value
    # All that was in the first call may have been changed by it; of the rest the store was never told.
    assert error.applied == []
    assert [key for key, _ in error.failed] == keys[:MOST_KEYS]
    assert error.not_attempted == keys[MOST_KEYS:]
    assert len(bucket.calls) <= 20
    bucket.calls.clear()
    with pytest.raises(StoreFailed):
        run(get_many(bucket, keys))
    assert len(bucket.calls) <= 5
    assert bucket.learned.batch_reads.work is None  # that it is down says nothing of how it reads


@pytest.mark.parametrize(("made", "failed"), [(True, MOST_KEYS), (False, 0)])
def test_a_busy_host_is_not_asked_again_if_it_shall_not(made: bool, failed: int) -> None:
    class Busy(Sqlite):
        async def set_many(self, pairs):  # type: ignore[no-untyped-def]
            self.note("set_many", pairs)
            if len(self.calls) > 1:
                raise StoreBusy("too many requests", made=made)
            self.data.update(pairs)

    bucket = Busy()
    pairs = [(f"k{i}", b"1") for i in range(3 * MOST_KEYS)]
    with pytest.raises(BatchFailed) as failure:
        run(set_many(bucket, pairs, retry=Retry(0)))
    error = failure.value
    assert (len(bucket.calls), bucket.time.pauses) == (2, [])
    assert isinstance(error.cause, StoreBusy)
    counts = [len(error.applied), len(error.failed), len(error.not_attempted)]
    assert counts == [MOST_KEYS, failed, 2 * MOST_KEYS - failed]
    assert error.by_themselves == frozenset()


def test_a_key_of_a_failed_call_is_never_said_to_be_untouched() -> None:
    class HalfDone(Down):
        async def set_many(self, pairs):  # type: ignore[no-untyped-def]
            self.data.update(pairs[: len(pairs) // 2])
            await super().set_many(pairs)

    bucket = HalfDone()
    with pytest.raises(BatchFailed) as failure:
        run(set_many(bucket, [(f"k{i}", b"1") for i in range(100)]))
    assert not set(bucket.data) & set(failure.value.not_attempted)
    assert {key for key, _ in failure.value.failed} >= set(bucket.data)


def test_a_store_that_is_not_there_is_asked_for_nothing() -> None:
    class Silent(Sqlite):
        async def set_many(self, pairs):  # type: ignore[no-untyped-def]
            self.note("set_many", pairs)
            if len(self.calls) > 1:
                raise StoreUnreachable("the store has not answered for 5 seconds")

    bucket = Silent()
    with pytest.raises(BatchFailed) as failure:
        run(set_many(bucket, [(f"k{i}", b"1") for i in range(2 * MOST_KEYS)]))
    error = failure.value
    assert [len(error.applied), len(error.failed), len(error.not_attempted)] == [MOST_KEYS, 0, MOST_KEYS]
    assert len(bucket.calls) == 2


@pytest.mark.parametrize("refusal", [NoSuchStore, StoreNotGranted])
def test_a_store_that_cannot_be_had_is_said_to_be_so(refusal: type[StoreFailed]) -> None:
    class Refused(Sqlite):
        async def set_many(self, pairs):  # type: ignore[no-untyped-def]
            raise refusal("no")

    with pytest.raises(refusal):
        run(set_many(Refused(), [("a", b"1"), ("b", b"2")]))


KEYS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)
MANY_KEYS = st.lists(KEYS | st.sampled_from("abc*?[]"), max_size=60)


@given(
    st.sampled_from([Sqlite, Redis, DynamoDb, SmallCap, Liar]),
    st.dictionaries(KEYS, st.binary(max_size=40), max_size=40),
    MANY_KEYS,
)
def test_get_many_agrees_with_a_dict(cls: type[Sqlite], data: dict[str, bytes], keys: list[str]) -> None:
    bucket = cls(data)
    asked = [*keys, *list(data)[::2]]
    assert run(get_many(bucket, asked)) == [(key, data.get(key)) for key in asked]


class Model(RuleBasedStateMachine):
    """Every bucket, whatever is done to it, holds what a dict would."""

    def __init__(self) -> None:
        super().__init__()
        self.model: dict[str, bytes] = {}
        self.buckets = [cls() for cls in (Sqlite, Redis, DynamoDb, SmallCap, Liar)]

    @rule(pairs=st.lists(st.tuples(KEYS, st.binary(max_size=9)), max_size=70))
    def set_many(self, pairs: list[tuple[str, bytes]]) -> None:
        self.model.update(pairs)
        for bucket in self.buckets:
            run(set_many(bucket, pairs))

    @rule(keys=MANY_KEYS)
    def delete_many(self, keys: list[str]) -> None:
        for key in keys:
            self.model.pop(key, None)
        for bucket in self.buckets:
            run(delete_many(bucket, keys))

    @rule(keys=MANY_KEYS)
    def get_many(self, keys: list[str]) -> None:
        for bucket in self.buckets:
            assert run(get_many(bucket, keys)) == [(key, self.model.get(key)) for key in keys]

    @invariant()
    def same(self) -> None:
        assert all(bucket.data == self.model for bucket in self.buckets)


TestModel = Model.TestCase
