"""The adapter over the WIT modules: what it makes of host errors, and which calls it makes when."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any, Self

import pytest

from kv_batch.asynchronous import Asynchronous
from kv_batch.batch import Retry, delete_many, get_many, list_keys, set_many
from kv_batch.errors import (
    BatchFailed,
    NoSuchStore,
    ResultTooLarge,
    StoreBusy,
    StoreError,
    StoreFailed,
    StoreNotGranted,
    StoreUnreachable,
)
from kv_batch.reachability import (
    BLOCKING_PROBE_TTL,
    DRAIN_TIMEOUT,
    PROBE_TIMEOUT,
    PROBE_TTL,
    ROUND_TIMEOUT,
    Reachability,
)
from kv_batch.reading import MAX_CONCURRENT_READS
from kv_batch.translation import store_error
from kv_batch.wit import (
    MAX_CONCURRENT_WRITES,
    Wit,
    WitBucket,
    open_bucket,
)
from tests.clock import LOOP_CLOCK, VirtualLoop, run
from tests.redis_errors import REDIS_ERRORS
from tests.wit_types import Err, key_value, wasi_keyvalue_store

CASES = [
    (wasi_keyvalue_store.Error_NoSuchStore(), NoSuchStore),
    (wasi_keyvalue_store.Error_AccessDenied(), StoreNotGranted),
    (wasi_keyvalue_store.Error_Other("too many requests"), StoreBusy),
    (wasi_keyvalue_store.Error_Other("database is locked"), StoreBusy),
    (wasi_keyvalue_store.Error_Other("OperationalError: database table is locked: x"), StoreBusy),
    (wasi_keyvalue_store.Error_Other("ThrottlingException: Rate of requests exceeds"), StoreBusy),
    (wasi_keyvalue_store.Error_Other("ProvisionedThroughputExceededException: slow down"), StoreBusy),
    (wasi_keyvalue_store.Error_Other("Request rate is large. More Request Units"), StoreBusy),
    *((wasi_keyvalue_store.Error_Other(passed), expected) for _, passed, expected, _ in REDIS_ERRORS),
    (wasi_keyvalue_store.Error_Other("query result exceeds limit of 134217728 bytes"), ResultTooLarge),
    (wasi_keyvalue_store.Error_Other("disk I/O error"), StoreFailed),
    (wasi_keyvalue_store.Error_Other(""), StoreFailed),
    (key_value.Error_NoSuchStore(), NoSuchStore),
    (key_value.Error_AccessDenied(), StoreNotGranted),
    (key_value.Error_StoreTableFull(), StoreBusy),
    (key_value.Error_Other("too many requests"), StoreBusy),
    (key_value.Error_Other("disk I/O error"), StoreFailed),
]


@pytest.mark.parametrize(("value", "expected"), CASES)
def test_each_error_of_the_host_has_its_own(value: object, expected: type[StoreError]) -> None:
    error = store_error(value)
    assert type(error) is expected
    assert error.reason


def test_a_reason_is_told_in_short() -> None:
    aws = (
        "ServiceError(ServiceError { source: Unhandled(Unhandled { source: ErrorMetadata { "
        'code: Some("Valid"), message: Some("Too many \\"items\\""), extras: Some({}) }, '
        'raw: Response { headers: {"secret": 1} } } })'
    )
    assert store_error(wasi_keyvalue_store.Error_Other(aws)).reason == 'Valid: Too many \\"items\\"'
    assert len(store_error(wasi_keyvalue_store.Error_Other("x" * 10_000)).reason) == 301


def test_no_error_of_the_interfaces_is_forgotten() -> None:
    known = {type(value) for value, _ in CASES}
    for module in (wasi_keyvalue_store, key_value):
        assert {getattr(module, name) for name in dir(module) if name.startswith("Error_")} <= known


def test_what_the_host_raises_arrives_translated() -> None:
    def refuse(*_: object) -> Any:
        raise Err(wasi_keyvalue_store.Error_Other("disk I/O error"))

    wit_bucket = SimpleNamespace(get=refuse, list_keys=refuse)
    store = SimpleNamespace(open=lambda _: wit_bucket)
    batch = SimpleNamespace(get_many=refuse, set_many=refuse, delete_many=refuse)

    async def check() -> None:
        bucket = await open_bucket(Wit(store, batch, Err), "default")
        for call in (
            bucket.get("a"),
            bucket.get_each(["a", "b"]),
            bucket.get_many(["a"]),
            bucket.set_many([("a", b"")]),
            bucket.delete_many(["a"]),
            bucket.list_keys(),
        ):
            with pytest.raises(StoreFailed, match="disk I/O error"):
                await call
        with pytest.raises(StoreFailed):
            await open_bucket(Wit(SimpleNamespace(open=refuse), batch, Err), "default")

    run(check())


@dataclass
class AsyncStore:
    """`spin:key-value`'s store, whose calls take a while, and which counts how many are under way.

    Attributes:
        delay: Seconds that each call takes.
        file: Whether it is a file, whose calls block.
    """

    data: dict[str, bytes]
    fails: str = ""
    delay: float = 0.001
    opened: int = 0
    asked: int = 0
    under_way: int = 0
    most: int = 0
    hangs: asyncio.Event | None = None
    calls: list[str] = field(default_factory=list)
    file: bool = False

    async def takes(self) -> None:
        """The time of a call."""
        if self.file:
            blocked(self.delay)
        else:
            await asyncio.sleep(self.delay)

    async def open(self, _: str) -> AsyncStore:
        self.opened += 1
        await self.takes()
        return self

    async def exists(self, key: str) -> bool:
        self.asked += 1
        await self.takes()
        if self.hangs is not None:
            await self.hangs.wait()
        if self.fails == "all":
            raise Err(key_value.Error_Other("broken pipe"))
        if self.fails == "busy":
            raise Err(key_value.Error_Other("too many requests"))
        return key in self.data

    async def get(self, key: str) -> bytes | None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await self.takes()
        self.under_way -= 1
        if key == self.fails:
            raise Err(key_value.Error_Other("gone"))
        return self.data.get(key)

    async def set(self, key: str, value: bytes) -> None:
        await self.get(key)
        self.data[key] = value

    async def delete(self, key: str) -> None:
        await self.get(key)
        self.data.pop(key, None)


MANY = [(f"many {number}", b"1") for number in range(MAX_CONCURRENT_WRITES + 1)]
"""More than are written one by one."""


def blocked(seconds: float) -> None:
    """The whole instance stands still."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    loop.stand_still(seconds)


def wit_over(store: AsyncStore, *, batches: bool = False) -> Wit:
    """A host of one store, which is asynchronous.

    Args:
        store: Its single keys.
        batches: Whether it reads in batches: else it is Redis.
    """

    def get_many(_: object, keys: list[str]) -> list[tuple[str, bytes]]:
        blocked(store.delay)
        store.calls.append("get_many")
        if batches:
            return [(key, store.data[key]) for key in keys if key in store.data]
        raise Err(wasi_keyvalue_store.Error_Other("wrong number of arguments for 'keys' command"))

    def set_many(_: object, pairs: list[tuple[str, bytes]]) -> None:
        blocked(store.delay)
        store.calls.append("set_many")
        store.data.update(pairs)

    def remove(_: object, keys: list[str]) -> None:
        blocked(store.delay)
        store.calls.append("delete_many")
        for key in keys:
            store.data.pop(key, None)

    def all_keys(_: object) -> wasi_keyvalue_store.KeyResponse:
        blocked(store.delay)
        store.calls.append("list_keys")
        return wasi_keyvalue_store.KeyResponse(list(store.data), None)

    def get(key: str) -> bytes | None:
        blocked(store.delay)
        store.calls.append("get")
        return store.data.get(key)

    bucket = SimpleNamespace(get=get, list_keys=all_keys)
    running: set[asyncio.Future[None]] = set()
    return Wit(
        SimpleNamespace(open=lambda _: bucket),
        SimpleNamespace(get_many=get_many, set_many=set_many, delete_many=remove),
        Err,
        Asynchronous(
            SimpleNamespace(Store=store),
            LOOP_CLOCK,
            lambda coroutine: running.add(asyncio.ensure_future(coroutine)),
        ),
    )


def test_a_blocking_host_tries_one_batch_read_on_redis() -> None:
    """On WASI 0.2 each request has an instance of its own, which must learn at once."""
    data = {f"k{number}": b"%d" % number for number in range(600)}
    batches: list[int] = []

    def refuse(_: object, keys: list[str]) -> list[tuple[str, bytes]]:
        batches.append(len(keys))
        raise Err(wasi_keyvalue_store.Error_Other("wrong number of arguments for 'keys' command"))

    store = SimpleNamespace(open=lambda _: SimpleNamespace(get=data.get))
    wit = Wit(store, SimpleNamespace(get_many=refuse), Err)

    async def check() -> None:
        bucket = await open_bucket(wit, "default")
        assert await get_many(bucket, list(data)) == list(data.items())
        assert await get_many(bucket, ["k1", "k2"]) == [("k1", b"1"), ("k2", b"2")]

    asyncio.run(check())
    assert batches == [600]


def test_single_reads_run_side_by_side_but_not_without_bound() -> None:
    store = AsyncStore({f"k{i}": b"%d" % i for i in range(1_000)})

    async def check() -> None:
        bucket = await open_bucket(wit_over(store), "default")
        keys = [*store.data, "missing"]
        assert await get_many(bucket, keys) == [(key, store.data.get(key)) for key in keys]

    run(check())
    assert (store.opened, store.most) == (1, MAX_CONCURRENT_READS)


def test_a_failing_single_read_leaves_none_running() -> None:
    store = AsyncStore({}, fails="k5")

    async def check() -> None:
        bucket = await open_bucket(wit_over(store), "default")
        with pytest.raises(StoreFailed) as failure:
            await get_many(bucket, [f"k{i}" for i in range(50)])
        assert (failure.value.key, store.under_way) == ("k5", 0)

    run(check())


def blocking_alone(store: AsyncStore, *others: AsyncStore) -> Wit:
    """A host whose blocking call may come only while no read is under way: any other would never end."""
    wit = wit_over(store)

    def set_many(_: object, pairs: list[tuple[str, bytes]]) -> None:
        assert all(each.under_way == 0 for each in (store, *others))
        store.calls.append("set_many")
        store.data.update(pairs)

    wit.batch.set_many = set_many
    return wit


def test_no_call_blocks_the_instance_while_reads_are_under_way() -> None:
    keys = [f"k{number}" for number in range(500)]
    store = AsyncStore(dict.fromkeys(keys, b"1"))

    async def check() -> None:
        bucket = await open_bucket(blocking_alone(store), "default")
        work = []
        for _ in range(10):
            work += [get_many(bucket, keys), set_many(bucket, MANY), get_many(bucket, keys[:3])]
            work += [set_many(bucket, MANY[:50]), delete_many(bucket, ["x", "y"])]
        await asyncio.wait_for(asyncio.gather(*work), 20)
        assert store.calls.count("set_many") == 10

    run(check())


def test_reads_that_do_not_end_keep_no_other_store_from_its_work() -> None:
    store = AsyncStore({})
    never = asyncio.Event()

    async def get(_: str) -> None:
        await never.wait()

    async def check() -> None:
        wit = wit_over(store)
        slow, other = await open_bucket(wit, "slow"), await open_bucket(wit, "other")
        works, store.get = store.get, get  # type: ignore[method-assign, assignment]
        reads = asyncio.ensure_future(slow.get_each(["a", "b"]))
        await asyncio.sleep(0.01)
        start = LOOP_CLOCK.now()
        await other.set_many(MANY)
        assert LOOP_CLOCK.now() - start < 0.1
        with pytest.raises(StoreBusy, match="have not ended"):
            await slow.set_many(MANY)
        assert LOOP_CLOCK.now() - start < DRAIN_TIMEOUT + 0.2
        with pytest.raises(StoreFailed, match="has not answered for 30 seconds"):
            await reads
        assert ROUND_TIMEOUT < LOOP_CLOCK.now() < ROUND_TIMEOUT + 2
        store.get = works  # type: ignore[method-assign]
        never.set()
        # Nothing of it is left behind.
        await asyncio.wait_for(slow.set_many(MANY), 5)
        assert await slow.get_each([MANY[0][0], "b"]) == [b"1", None]
        assert [(reachable(each).rounds, reachable(each).is_closed) for each in (slow, other)] == [
            (0, False)
        ] * 2

    run(check())


def reachable(bucket: WitBucket) -> Reachability:
    assert bucket._async is not None
    return bucket._async.reachable


@pytest.mark.parametrize("file", [True, False])
def test_a_store_that_answers_is_not_probed_again_and_again(file: bool) -> None:
    store = AsyncStore({}, file=file)

    async def check() -> None:
        bucket = await open_bucket(wit_over(store), "default")
        for _ in range(10):
            await set_many(bucket, [("a", b"1")])
        assert store.asked == 1
        await asyncio.sleep(2 * PROBE_TTL)  # it was long ago
        await set_many(bucket, [("a", b"1")])
        assert store.asked == (1 if file else 2)

    run(check())


@pytest.mark.parametrize(
    ("file", "batches", "singly"), [(True, True, 0), (False, True, 0), (False, None, 20), (False, False, 20)]
)
def test_a_remote_store_is_probed_before_each_call_that_blocks(
    file: bool, batches: bool | None, singly: int
) -> None:
    store = AsyncStore({"a": b"1"}, file=file)

    async def check() -> None:
        bucket = await open_bucket(wit_over(store), "default")
        bucket.learned.batch_reads.work = batches
        bucket.learned.batch_reads._expires = float("inf")
        for _ in range(10):
            await set_many(bucket, MANY)
            await asyncio.sleep(2 * BLOCKING_PROBE_TTL)
        assert store.asked == (1 if file else 10)
        assert await bucket.get("a") == b"1"
        assert store.most == (0 if file else 1)
        # The calls that block nobody.
        await set_many(bucket, MANY[:20])
        await delete_many(bucket, [key for key, _ in MANY[5:20]])
        assert store.most == (0 if file else singly or 1)
        assert sorted(store.data) == sorted(["a", *(key for key, _ in MANY if key not in dict(MANY[5:20]))])

    run(check())


@pytest.mark.parametrize(
    ("batches", "calls", "most"), [(False, ["get_many"], 30), (True, ["get_many", "set_many"], 0)]
)
def test_an_instance_that_only_writes_learns_whether_the_store_reads_in_batches(
    batches: bool, calls: list[str], most: int
) -> None:
    store = AsyncStore({})

    async def check() -> None:
        bucket = await open_bucket(wit_over(store, batches=batches), "default")
        await set_many(bucket, MANY[:30])
        assert (store.calls, store.most) == (calls, most)
        await delete_many(bucket, [key for key, _ in MANY[:30]])
        assert store.calls == [*calls, *["delete_many"] * batches]
        assert store.data == {}

    run(check())


def test_a_locked_file_is_known_to_be_one_when_it_answers() -> None:
    store = AsyncStore({"a": b"1"}, fails="busy", file=True)

    async def check() -> None:
        bucket = await open_bucket(wit_over(store), "default")
        assert not reachable(bucket).is_file
        store.fails = ""
        await bucket.answers()
        assert reachable(bucket).is_file
        assert await bucket.get("a") == b"1"
        assert store.calls == ["get"]

    run(check())


def test_a_silent_store_is_told_in_time_and_no_call_blocks_on_it() -> None:
    store = AsyncStore({})

    async def check() -> None:
        store.hangs = asyncio.Event()
        wit = wit_over(store)
        for _ in range(3):
            start = LOOP_CLOCK.now()
            opened = [open_bucket(wit, "default") for _ in range(5)]
            for outcome in await asyncio.gather(*opened, return_exceptions=True):
                assert isinstance(outcome, StoreUnreachable), outcome
                assert "has not answered" in outcome.reason
            assert LOOP_CLOCK.now() - start < PROBE_TIMEOUT + 0.1
        assert (store.opened, store.asked, store.calls) == (1, 1, [])  # one probe, however many wait for it
        store.hangs.set()
        await asyncio.sleep(0)
        bucket = await open_bucket(wit, "default")
        await set_many(bucket, MANY)
        assert store.calls == ["set_many"]

    run(check())


def test_after_a_failed_call_the_store_is_probed() -> None:
    store = AsyncStore({})

    async def check() -> None:
        bucket = await open_bucket(wit_over(store), "default")
        bucket.learned.batch_reads.work = False
        store.fails = "a"
        with pytest.raises(StoreFailed, match="gone"):
            await bucket.get("a")
        assert store.asked == 1
        store.fails = "all"
        for pairs in [("a", b"1"), ("b", b"2")], MANY:
            with pytest.raises(BatchFailed) as failure:
                await set_many(bucket, pairs)
            assert (failure.value.failed, failure.value.not_attempted) == ([], [key for key, _ in pairs])
            assert failure.value.cause.reason == "broken pipe"
        assert (store.asked, store.data, store.calls) == (3, {}, [])

    run(check())


def test_a_write_that_only_a_probe_refused_was_not_attempted() -> None:
    store = AsyncStore({})

    async def check() -> None:
        bucket = await open_bucket(wit_over(store), "default")
        await asyncio.sleep(2 * PROBE_TTL)
        store.fails = "busy"
        with pytest.raises(BatchFailed) as failure:
            await set_many(bucket, [("a", b"1"), ("b", b"2")], retry=Retry(0))
        assert isinstance(failure.value.cause, StoreBusy)
        assert (failure.value.failed, failure.value.not_attempted) == ([], ["a", "b"])
        assert (store.data, store.calls) == ({}, [])

    run(check())


@pytest.mark.parametrize("delay", [0, 0.002, 0.02, 0.1, 0.2, 0.5])
@pytest.mark.parametrize("batches", [True, False])
def test_at_any_distance_a_request_costs_a_few_round_trips(delay: float, batches: bool) -> None:
    keys = [f"k{number}" for number in range(1_000)]
    store = AsyncStore(dict.fromkeys(keys, b"1"), delay=delay)

    async def check() -> None:
        wit = wit_over(store, batches=batches)

        async def within(trips: int, spare: float, work: Callable[[WitBucket], Any]) -> WitBucket:
            start = LOOP_CLOCK.now()
            opened = bucket or await open_bucket(wit, "default")
            await work(opened)
            assert LOOP_CLOCK.now() - start <= trips * delay + spare
            return opened

        bucket: WitBucket | None = None
        bucket = await within(5, 0.1, lambda bucket: get_many(bucket, ["k1"]))
        for pause in 0, 0, 2 * PROBE_TTL:
            await asyncio.sleep(pause)
            await within(2, 0.02, lambda bucket: get_many(bucket, ["k1"]))
            await asyncio.sleep(pause)
            await within(10, 0.1, list_keys)
            await asyncio.sleep(pause)
            await within(12, 0.4, lambda bucket: get_many(bucket, keys))
            await asyncio.sleep(pause)
            await within(3, 0.02, lambda bucket: set_many(bucket, [("a", b"1"), ("b", b"2")]))

    run(check())


@pytest.mark.parametrize("readers", [1, 4, 16])
def test_who_reads_one_store_in_a_loop_does_not_keep_another_from_a_blocking_call(readers: int) -> None:
    store = AsyncStore({"a": b"1"}, delay=0.006)

    async def check() -> None:
        wit = wit_over(store)
        read, listed = await open_bucket(wit, "a"), await open_bucket(wit, "b")
        for bucket in read, listed:
            bucket.learned.batch_reads.work = False
        longest = 0.0

        async def loop() -> None:
            nonlocal longest
            while True:
                start = LOOP_CLOCK.now()
                assert await read.get("a") == b"1"
                longest = max(longest, LOOP_CLOCK.now() - start)

        loops = [asyncio.ensure_future(loop()) for _ in range(readers)]
        for _ in range(20):
            await asyncio.sleep(0.05)
            start = LOOP_CLOCK.now()
            assert await listed.list_keys() == ["a"]
            assert LOOP_CLOCK.now() - start < 0.1
        for each in loops:
            each.cancel()
        assert longest < 0.1

    run(check())


def test_one_failed_batch_read_does_not_turn_them_off() -> None:
    keys = [f"k{number}" for number in range(1_000)]
    store = AsyncStore(dict.fromkeys(keys, b"1"))

    async def check() -> None:
        wit = wit_over(store, batches=True)
        works = wit.batch.get_many

        def locked(*_: object) -> Any:
            wit.batch.get_many = works
            raise Err(wasi_keyvalue_store.Error_Other("database is locked"))

        wit.batch.get_many = locked
        bucket = await open_bucket(wit, "default")
        assert await get_many(bucket, keys) == list(store.data.items())
        await set_many(bucket, [(key, b"2") for key in keys[:100]])
        assert [call for call in store.calls if call != "get_many"] == ["set_many"]
        assert store.calls.count("get_many") <= 2
        assert store.most == 0  # none was read or written by itself

    run(check())


def test_keys_are_listed_to_the_last_page() -> None:
    pages = {
        None: wasi_keyvalue_store.KeyResponse(["a"], "1"),
        "1": wasi_keyvalue_store.KeyResponse([], "2"),
        "2": wasi_keyvalue_store.KeyResponse(["b", "c"], None),
    }
    bucket = SimpleNamespace(list_keys=pages.__getitem__)

    async def check() -> None:
        opened = await open_bucket(Wit(SimpleNamespace(open=lambda _: bucket), None, Err), "default")
        assert await opened.list_keys() == ["a", "b", "c"]

    run(check())


class KeyStream:
    """A stream of keys that gives one at a time, as Spin's does, and what a future beside it says."""

    def __init__(self, keys: list[str], result: object) -> None:
        self.keys = list(keys)
        self.writer_dropped = False
        self.result = result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    async def read(self, _: int = 0) -> Any:
        await asyncio.sleep(0.001)
        if not self.keys:
            self.writer_dropped = True
        return [self.keys.pop()] if self.keys else []


def wit_of_many_keys(keys: list[str], result: object, *, file: bool) -> tuple[Wit, AsyncStore]:
    """A host that lists no keys at once, only as a stream."""

    def too_many(_: object) -> Any:
        raise Err(wasi_keyvalue_store.Error_Other("query result exceeds limit of 134217728 bytes"))

    async def get_keys() -> tuple[KeyStream, SimpleNamespace]:
        store.calls.append("get_keys")
        return KeyStream(keys, result), SimpleNamespace(read=ended)

    async def ended() -> object:
        store.calls.append("ended")
        return result

    store = AsyncStore({"a": b"1"}, file=file)
    store.get_keys = get_keys  # type: ignore[attr-defined]
    wit = wit_over(store)
    bucket = SimpleNamespace(get=store.data.get, list_keys=too_many)
    wit.store = SimpleNamespace(open=lambda _: bucket)
    return wit, store


@pytest.mark.parametrize("file", [True, False])
def test_more_keys_than_the_host_lists_come_as_a_stream_and_no_call_disturbs_it(file: bool) -> None:
    keys = [str(number) for number in range(20)]
    wit, store = wit_of_many_keys(keys, None, file=file)

    async def check() -> None:
        opened = await open_bucket(wit, "default")
        listing = asyncio.ensure_future(opened.list_keys())
        await asyncio.sleep(0.01)
        assert reachable(opened).is_closed is file
        # A call now would wait, in Spin, for a lock that is held until the stream has ended.
        await opened.set_many(MANY)
        assert store.calls == ["get_keys", "ended", "set_many"]
        assert sorted(await listing) == sorted(keys)

    run(check())


@pytest.mark.parametrize("file", [True, False])
def test_a_stream_of_keys_that_fails_is_no_list(file: bool) -> None:
    wit, _ = wit_of_many_keys(["a"], Err(key_value.Error_Other("disk I/O error")), file=file)

    async def check() -> None:
        opened = await open_bucket(wit, "default")
        with pytest.raises(StoreFailed, match="disk I/O error"):
            await opened.list_keys()
        assert not reachable(opened).is_closed

    run(check())


@pytest.mark.parametrize("sends", [0, 5])
@pytest.mark.parametrize("file", [True, False])
def test_a_store_that_is_lost_while_its_keys_are_streamed_stops_nobody(sends: int, file: bool) -> None:
    wit, store = wit_of_many_keys([], None, file=file)

    async def read(_: int) -> list[str]:
        if not left:
            await asyncio.Event().wait()
        await asyncio.sleep(20)
        return [left.pop()]

    async def get_keys() -> tuple[KeyStream, SimpleNamespace]:
        stream = KeyStream([], None)
        stream.read = read  # type: ignore[method-assign, assignment]
        return stream, SimpleNamespace(read=None)

    left = [str(number) for number in range(sends)]
    store.get_keys = get_keys  # type: ignore[attr-defined]

    async def check() -> None:
        lost, other = await open_bucket(wit, "lost"), await open_bucket(wit, "other")
        other.learned.batch_reads.work = False
        listing = asyncio.ensure_future(lost.list_keys())
        await asyncio.sleep(0.05)
        start = LOOP_CLOCK.now()
        assert await other.get("a") == b"1"
        assert LOOP_CLOCK.now() - start < 0.1
        with pytest.raises(StoreFailed, match="has listed no key for 30 seconds"):
            await listing
        assert LOOP_CLOCK.now() < 20 * sends + ROUND_TIMEOUT + 1
        if file:
            with pytest.raises(StoreBusy, match="calls of other requests"):
                await lost.get("a")
        else:
            assert await lost.get("a") == b"1"

    run(check())
