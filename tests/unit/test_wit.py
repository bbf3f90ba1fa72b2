"""The adapter over the WIT modules: host errors are translated, and single reads run side by side."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any, Self

import pytest

from kv_batch.batch import delete_many, get_many, set_many
from kv_batch.errors import (
    BatchFailed,
    NoSuchStore,
    StoreBusy,
    StoreError,
    StoreFailed,
    StoreNotGranted,
    StoreSilent,
)
from kv_batch.wit import SINGLY_AT_ONCE, Asynchronous, Wit, open_bucket, store_error
from tests.wit_types import Err, key_value, wasi_keyvalue_store

CASES = [
    (wasi_keyvalue_store.Error_NoSuchStore(), NoSuchStore),
    (wasi_keyvalue_store.Error_AccessDenied(), StoreNotGranted),
    (wasi_keyvalue_store.Error_Other("too many requests"), StoreBusy),
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

    asyncio.run(check())


@dataclass
class AsyncStore:
    """`spin:key-value`'s store, whose gets take a while and count how many are under way."""

    data: dict[str, bytes]
    fails: str = ""
    opened: int = 0
    asked: int = 0
    under_way: int = 0
    most: int = 0
    hangs: asyncio.Event | None = None
    calls: list[str] = field(default_factory=list)

    async def open(self, _: str) -> AsyncStore:
        self.opened += 1
        return self

    async def exists(self, key: str) -> bool:
        self.asked += 1
        if self.hangs is not None:
            await self.hangs.wait()
        if self.fails == "all":
            raise Err(key_value.Error_Other("broken pipe"))
        return key in self.data

    async def get(self, key: str) -> bytes | None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.001)
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


MANY = [(f"many {number}", b"1") for number in range(SINGLY_AT_ONCE + 1)]
"""More than are written one by one."""


def wit_over(store: AsyncStore) -> Wit:
    def refuse(*_: object) -> Any:
        store.calls.append("get_many")
        raise Err(wasi_keyvalue_store.Error_Other("wrong number of arguments for 'keys' command"))

    def set_many(_: object, pairs: list[tuple[str, bytes]]) -> None:
        store.calls.append("set_many")
        store.data.update(pairs)

    def remove(_: object, keys: list[str]) -> None:
        for key in keys:
            store.data.pop(key, None)

    bucket = SimpleNamespace(get=store.data.get)
    running: set[asyncio.Future[None]] = set()
    return Wit(
        SimpleNamespace(open=lambda _: bucket),
        SimpleNamespace(get_many=refuse, set_many=set_many, delete_many=remove),
        Err,
        Asynchronous(
            SimpleNamespace(Store=store),
            asyncio.sleep,
            lambda coroutine: running.add(asyncio.ensure_future(coroutine)),
        ),
    )


def test_single_reads_run_side_by_side_but_not_without_bound() -> None:
    store = AsyncStore({f"k{i}": b"%d" % i for i in range(1_000)})

    async def check() -> None:
        bucket = await open_bucket(wit_over(store), "default")
        keys = [*store.data, "missing"]
        assert await get_many(bucket, keys) == [(key, store.data.get(key)) for key in keys]

    asyncio.run(check())
    assert (store.opened, store.most) == (1, SINGLY_AT_ONCE)


def test_a_failing_single_read_leaves_none_running() -> None:
    store = AsyncStore({}, fails="k5")

    async def check() -> None:
        bucket = await open_bucket(wit_over(store), "default")
        with pytest.raises(StoreFailed) as failure:
            await get_many(bucket, [f"k{i}" for i in range(50)])
        assert (failure.value.key, store.under_way) == ("k5", 0)

    asyncio.run(check())


def blocking_alone(store: AsyncStore, *others: AsyncStore) -> Wit:
    """A host whose blocking call may come only while no read is under way: any other would never end."""
    wit = wit_over(store)

    def set_many(_: object, pairs: list[tuple[str, bytes]]) -> None:
        assert all(each.under_way == 0 for each in (store, *others))
        store.calls.append("set_many")
        store.data.update(pairs)

    return replace(wit, batch=SimpleNamespace(get_many=wit.batch.get_many, set_many=set_many))


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

    asyncio.run(check())


def test_reads_that_do_not_end_keep_no_other_store_from_its_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kv_batch.wit.PATIENCE", 0.2)
    monkeypatch.setattr("kv_batch.wit.PATIENCE_FOR_OTHERS", 0.05)
    store = AsyncStore({})
    never = asyncio.Event()

    async def get(_: str) -> None:
        await never.wait()

    async def check() -> None:
        wit = wit_over(store)
        slow, other = await open_bucket(wit, "slow"), await open_bucket(wit, "other")
        with monkeypatch.context() as patched:
            patched.setattr(store, "get", get)
            reads = asyncio.ensure_future(slow.get_each(["a", "b"]))
            await asyncio.sleep(0.01)
            start = time.monotonic()
            await other.set_many(MANY)
            assert time.monotonic() - start < 0.15
            with pytest.raises(StoreSilent):
                await slow.set_many(MANY)
            never.set()
            await reads
        # Nothing of it is left behind.
        await asyncio.wait_for(slow.set_many(MANY), 5)
        assert await slow.get_each([MANY[0][0], "b"]) == [b"1", None]
        assert (wit.singly, slow.awaited, other.awaited) == ([], 0, 0)

    asyncio.run(check())


def test_a_store_that_answers_is_not_asked_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    store = AsyncStore({})

    async def check() -> None:
        bucket = await open_bucket(wit_over(store), "default")
        bucket.learned.reads_in_batches = True
        for _ in range(10):
            await set_many(bucket, [("a", b"1")])
        assert store.asked == 1
        monkeypatch.setattr("kv_batch.wit.LATELY", 0.01)
        await asyncio.sleep(0.02)  # it was long ago
        await set_many(bucket, [("a", b"1")])
        assert store.asked == 2

    asyncio.run(check())


@pytest.mark.parametrize("works", [True, False])
def test_a_store_that_reads_in_no_batches_is_asked_before_each_call_that_blocks(works: bool) -> None:
    store = AsyncStore({"a": b"1"})
    wit = wit_over(store)
    if works:
        wit.batch.get_many = lambda *_: []

    async def check() -> None:
        bucket = await open_bucket(wit, "default")
        assert bucket.learned.reads_in_batches is works
        for _ in range(10):
            await set_many(bucket, MANY)
            await asyncio.sleep(0.01)
        assert store.asked == (1 if works else 10)
        # The calls that block nobody.
        assert await bucket.get("a") == b"1"
        assert store.most == (0 if works else 1)
        await set_many(bucket, MANY[:20])
        await delete_many(bucket, [key for key, _ in MANY[5:20]])
        assert store.most == (0 if works else 20)
        assert sorted(store.data) == sorted(["a", *(key for key, _ in MANY if key not in dict(MANY[5:20]))])

    asyncio.run(check())


def test_a_silent_store_is_told_in_time_and_no_call_blocks_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kv_batch.wit.PATIENCE", 0.05)
    store = AsyncStore({})

    async def check() -> None:
        store.hangs = asyncio.Event()
        wit = wit_over(store)
        for _ in range(3):
            opened = [open_bucket(wit, "default") for _ in range(5)]
            for outcome in await asyncio.gather(*opened, return_exceptions=True):
                assert isinstance(outcome, StoreSilent), outcome
                assert "has not answered" in outcome.reason
        assert (store.opened, store.asked, store.calls) == (1, 1, [])  # one question, however often it is put
        store.hangs.set()
        await asyncio.sleep(0)
        bucket = await open_bucket(wit, "default")
        await set_many(bucket, MANY)
        assert store.calls == ["get_many", "set_many"]

    asyncio.run(check())


def test_after_a_failed_call_the_store_is_asked_whether_it_is_there() -> None:
    store = AsyncStore({})

    async def check() -> None:
        bucket = await open_bucket(wit_over(store), "default")
        bucket.learned.reads_in_batches = True
        with pytest.raises(StoreFailed):
            await bucket.get_many(["a", "b"])
        assert store.asked == 1
        store.fails = "all"
        with pytest.raises(BatchFailed) as failure:
            await set_many(bucket, [("a", b"1"), ("b", b"2")])
        assert store.asked == 2
        assert (failure.value.failed, failure.value.not_attempted) == ([], ["a", "b"])
        assert failure.value.cause.reason == "broken pipe"
        assert "set_many" not in store.calls

    asyncio.run(check())


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

    asyncio.run(check())


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


def wit_of_many_keys(keys: list[str], result: object) -> tuple[Wit, AsyncStore]:
    """A host that lists no keys at once, only as a stream."""

    def too_many(_: object) -> Any:
        raise Err(wasi_keyvalue_store.Error_Other("query result exceeds limit of 134217728 bytes"))

    async def get_keys() -> tuple[KeyStream, SimpleNamespace]:
        store.calls.append("get_keys")
        return KeyStream(keys, result), SimpleNamespace(read=ended)

    async def ended() -> object:
        store.calls.append("ended")
        return result

    store = AsyncStore({"a": b"1"})
    store.get_keys = get_keys  # type: ignore[attr-defined]
    wit = wit_over(store)
    bucket = SimpleNamespace(get=store.data.get, list_keys=too_many)
    return replace(wit, store=SimpleNamespace(open=lambda _: bucket)), store


def test_more_keys_than_the_host_lists_come_as_a_stream_and_no_call_disturbs_it() -> None:
    keys = [str(number) for number in range(20)]
    wit, store = wit_of_many_keys(keys, None)

    async def check() -> None:
        opened = await open_bucket(wit, "default")
        listing = asyncio.ensure_future(opened.list_keys())
        await asyncio.sleep(0.005)
        assert wit.listing
        # A call now would wait, in Spin, for a lock that is held until the stream has ended.
        await opened.set_many(MANY)
        assert store.calls == ["get_many", "get_keys", "ended", "set_many"]
        assert sorted(await listing) == sorted(keys)

    asyncio.run(check())


def test_a_stream_of_keys_that_fails_is_no_list() -> None:
    wit, _ = wit_of_many_keys(["a"], Err(key_value.Error_Other("disk I/O error")))

    async def check() -> None:
        opened = await open_bucket(wit, "default")
        with pytest.raises(StoreFailed, match="disk I/O error"):
            await opened.list_keys()
        assert not wit.listing

    asyncio.run(check())
