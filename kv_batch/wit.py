"""A `Bucket` over the WIT interfaces: the adapter that both guests share.

It imports no host: the generated modules are handed to it (`Wit`), so that it runs in any Python guest
whatever its bindings are called, and natively over fakes. Host errors become `StoreError`s here, and
nowhere else.

In another guest than this project's::

    import asyncio
    from componentize_py_types import Err
    from wit_world.imports import batch, wasi_keyvalue_store as store
    from kv_batch.batch import get_many
    from kv_batch.wit import Wit, open_bucket

    bucket = await open_bucket(Wit(store, batch, Err), "default")
    pairs = await get_many(bucket, ["a", "b"])
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from kv_batch.bucket import Learned
from kv_batch.errors import NoSuchStore, StoreBusy, StoreError, StoreFailed, StoreNotGranted, StoreSilent

SINGLY_AT_ONCE = 128
"""Single keys that are read or written at once, where the host's functions for them are async."""

FRESH = 0.002
"""Seconds for which an answer is good before a call that blocks the instance: the call follows at once."""

QUESTION = "kv-batch: are you there?"
"""The key whose existence a store is asked for, to hear from it at all."""

LATELY = 1.0
"""Seconds for which a store that has answered is taken to be there."""

PATIENCE = 5.0
"""Seconds that a store has to say that it is there."""

PATIENCE_FOR_OTHERS = 0.25
"""Seconds that a call of one store waits for reads of another to end."""

PAUSE = 0.001
"""Seconds between two looks at whether reads are still under way."""

LOOK_AGAIN = 0.05
"""Seconds between two looks at whether the keys of a store are still being listed."""

STREAM_KEYS = 10_000
"""The most keys that one read of a stream of keys takes."""

TOO_MANY = "query result exceeds limit"
"""How Spin says that what was asked for is more than it hands over at once (128 MiB)."""

LONGEST_REASON = 300
"""Characters of a reason that are told. Hosts show their errors as they debug them, at length."""

# Spin shows an error of the AWS SDK with the whole response; this is what it is about.
_AWS_ERROR = re.compile(r'code: Some\("([^"\\]*)"\), message: Some\("((?:[^"\\]|\\.)*)"\)')

Result = TypeVar("Result")


@dataclass(frozen=True)
class Wit:
    """The generated modules of a guest.

    Attributes:
        store: `wasi:keyvalue/store@0.2.0-draft2`.
        batch: `wasi:keyvalue/batch@0.2.0-draft2`.
        err: `componentize_py_types.Err`, the exception that carries the host's error in its `value`.
        asynchronous: What an asynchronous host has besides; None on another.
        opening: Buckets of stores that have not answered yet, by label.
        listing: The buckets whose keys are being read from a stream. Spin's SQLite holds its lock until such
            a stream has ended, so a call that blocks the instance meanwhile would wait for ever.
        singly: The buckets of which single keys are being read or written, once for each round. A call that
            blocks the instance stops them where they are: with Spin's Redis client, that may be in the place
            of its queue that the call itself, or that of another instance, waits for, and then for ever.
    """

    store: Any
    batch: Any
    err: type[Exception]
    asynchronous: Asynchronous | None = None
    opening: dict[str, WitBucket] = field(default_factory=dict)
    listing: list[WitBucket] = field(default_factory=list)
    singly: list[WitBucket] = field(default_factory=list)


@dataclass(frozen=True)
class Asynchronous:
    """What lets a guest wait for a store without being stopped by it.

    A call of `wasi:keyvalue` blocks the instance, with all its requests, until the store answers: on Spin,
    whose Redis client waits five minutes for a server that is gone, until then. So where there has been no
    answer for a while, the store is first asked through `spin:key-value`, which can be given up.

    Attributes:
        key_value: `spin:key-value/key-value@3.0.0`, whose functions are async.
        wait: Waits for so many seconds.
        spawn: Runs a coroutine beside the request, and after it if need be.
    """

    key_value: Any
    wait: Callable[[float], Awaitable[None]]
    spawn: Callable[[Coroutine[Any, Any, None]], None]


def store_error(value: object, key: str | None = None) -> StoreError:
    """The error for one of the cases of the WIT variant `error`.

    Both interfaces name their cases alike. "too many requests" has no case of its own: those are the words
    in which Spin says that its limit on outbound connections is reached.
    """
    case = type(value).__name__
    reason = _told(str(getattr(value, "value", "")))
    if case == "Error_NoSuchStore":
        return NoSuchStore("the host knows no such store")
    if case == "Error_AccessDenied":
        return StoreNotGranted("the host denies access to the store")
    if case == "Error_StoreTableFull":
        return StoreBusy("the host has too many stores open")
    if reason == "too many requests":
        return StoreBusy(reason)
    return StoreFailed(reason or "the host gave no reason", key)


def _told(reason: str) -> str:
    if aws := _AWS_ERROR.search(reason):
        reason = f"{aws[1]}: {aws[2]}"
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…"


async def open_bucket(wit: Wit, label: str) -> WitBucket:
    """The store of that label.

    Raises:
        StoreNotGranted, NoSuchStore, StoreSilent, StoreFailed: as the host says.
    """
    # One bucket is opened, and so one question asked, however many requests wait for it.
    bucket = wit.opening.setdefault(label, WitBucket(wit, label))
    try:
        await bucket.ready()
    except StoreSilent:
        raise  # it stays there: the store is still being asked
    except StoreError:
        wit.opening.pop(label, None)
        raise
    wit.opening.pop(label, None)
    return bucket


@contextmanager
def _translated(wit: Wit, key: str | None = None) -> Iterator[None]:
    failure: object = None
    try:
        yield
    except wit.err as error:
        # Raised below, outside the except: `Err` is a frozen dataclass, which must not be chained to.
        failure = error.value  # type: ignore[attr-defined]
    else:
        return
    raise store_error(failure, key)


class WitBucket:
    """An open bucket of the host, as `kv_batch.bucket.Bucket` has it.

    Attributes:
        awaited: How many calls wait for its reads to end; none begins meanwhile.
        stuck: Whether calls of other stores no longer wait for them.
    """

    def __init__(self, wit: Wit, label: str) -> None:
        self._wit = wit
        self._label = label
        self._bucket: Any = None
        self._async_store: Any = None
        self._learned = Learned()
        self._answered = float("-inf")
        self._asking = False
        self._refusal: StoreError | None = None
        self.stuck = False
        self.awaited = 0

    @property
    def learned(self) -> Learned:
        return self._learned

    async def ready(self) -> Any:
        """The host's bucket, of a store that has answered lately, for a call at once: it blocks the instance.

        Raises:
            StoreSilent: it does not answer.
            StoreError: as the host says.
        """
        host = self._wit.asynchronous
        if host is not None:
            lately = LATELY if self._learned.reads_in_batches else FRESH
            await self._there(host, lately)
            while any(not each.stuck or each is self for each in self._wit.singly):
                if not await self._reads_ended(host):
                    break
                await self._there(host, lately)
        if self._bucket is None:
            with self._answer():
                self._bucket = self._wit.store.open(self._label)
            if host is not None:
                self._learn()
        return self._bucket

    def _learn(self) -> None:
        """Finds out whether this store reads in batches: of one that does not, it must be known early."""
        try:
            with _translated(self._wit):
                self._wit.batch.get_many(self._bucket, [QUESTION, f"{QUESTION}?"])
        except StoreFailed:
            self._learned.reads_in_batches = False
        else:
            self._learned.reads_in_batches = True

    async def get(self, key: str) -> bytes | None:
        if self._wit.asynchronous is not None and self._learned.reads_in_batches is False:
            return (await self._reads(self._wit.asynchronous, [key]))[0]
        bucket = await self.ready()
        with self._answer(key):
            value: bytes | None = bucket.get(key)
            return value

    async def get_each(self, keys: Sequence[str]) -> list[bytes | None]:
        if self._wit.asynchronous is None:
            return [await self.get(key) for key in keys]
        values: list[bytes | None] = []
        for start in range(0, len(keys), SINGLY_AT_ONCE):
            values += await self._reads(self._wit.asynchronous, keys[start : start + SINGLY_AT_ONCE])
        return values

    async def _reads(self, host: Asynchronous, keys: Sequence[str]) -> list[bytes | None]:
        return await self._side_by_side(host, map(self._get_async, keys))

    async def _side_by_side(
        self, host: Asynchronous, calls: Iterable[Coroutine[Any, Any, Result]]
    ) -> list[Result]:
        """What comes of calls that do not block the instance: so many as may be under way at once."""
        await self._there(host, LATELY)
        while self.awaited:
            await host.wait(PAUSE)
            await self._there(host, LATELY)
        self._wit.singly.append(self)
        try:
            # All are waited for, also when one fails: none may be left running behind the answer.
            results = await asyncio.gather(*calls, return_exceptions=True)
        finally:
            self._wit.singly.remove(self)
            self.stuck = False
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results  # type: ignore[return-value]  # none is an exception

    async def get_many(self, keys: Sequence[str]) -> list[tuple[str, bytes | None]]:
        bucket = await self.ready()
        with self._answer():
            pairs: list[tuple[str, bytes | None]] = self._wit.batch.get_many(bucket, keys)
            return pairs

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        host = self._few(pairs)
        if host is not None:
            await self._side_by_side(host, (self._set_async(*pair) for pair in pairs))
            return
        bucket = await self.ready()
        with self._answer():
            self._wit.batch.set_many(bucket, pairs)

    async def delete_many(self, keys: Sequence[str]) -> None:
        host = self._few(keys)
        if host is not None:
            await self._side_by_side(host, map(self._delete_async, keys))
            return
        bucket = await self.ready()
        with self._answer():
            self._wit.batch.delete_many(bucket, keys)

    async def list_keys(self) -> list[str]:
        bucket = await self.ready()
        keys: list[str] = []
        cursor: str | None = None
        try:
            with self._answer():
                while True:
                    page = bucket.list_keys(cursor)
                    keys += page.keys
                    if page.cursor is None:
                        return keys
                    cursor = page.cursor
        except StoreFailed as error:
            if self._wit.asynchronous is None or not error.reason.startswith(TOO_MANY):
                raise
        return await self._stream_keys()

    async def _stream_keys(self) -> list[str]:
        """The keys of a store that has more than the host lists at once. Much slower, since Spin hands them
        over one by one; the instance's other calls of a store wait for it."""
        await self.ready()  # it is alone: so must the listing be
        self._wit.listing.append(self)
        try:
            with self._answer():
                reader, ended = await self._async_store.get_keys()
                keys: list[str] = []
                with reader:
                    while not reader.writer_dropped:
                        keys += await reader.read(STREAM_KEYS)
                if isinstance(result := await ended.read(), self._wit.err):
                    raise result
            return keys
        finally:
            self._wit.listing.remove(self)

    async def _get_async(self, key: str) -> bytes | None:
        with self._answer(key):
            value: bytes | None = await self._async_store.get(key)
            return value

    async def _set_async(self, key: str, value: bytes) -> None:
        with self._answer(key):
            await self._async_store.set(key, value)

    async def _delete_async(self, key: str) -> None:
        with self._answer(key):
            await self._async_store.delete(key)

    def _few(self, items: Sized) -> Asynchronous | None:
        """The host, where so few are better written one by one, side by side.

        That is where single keys are read so: Redis. A call for all of them would be one command, but it
        blocks the instance; should the connection be lost just then, Spin's client for it keeps the call, and
        every request of the instance, for a minute or two.
        """
        few = self._learned.reads_in_batches is False and len(items) <= SINGLY_AT_ONCE
        return self._wit.asynchronous if few else None

    @contextmanager
    def _answer(self, key: str | None = None) -> Iterator[None]:
        """One call of the host. After one that failed, the store is asked whether it is there."""
        try:
            with _translated(self._wit, key):
                yield
        except StoreError:
            self._answered = float("-inf")
            raise
        self._answered = time.monotonic()

    async def _ask(self, host: Asynchronous) -> None:
        """Returns once the store has said that it is there.

        The question runs beside the request and may outlive it: it cannot be taken back. The requests that
        wait for its answer look for it from time to time, since one request must not wake another.
        """
        if not self._asking:
            self._asking = True
            host.spawn(self._question(host))
        pause, end = 0.001, time.monotonic() + PATIENCE
        while self._asking:
            if time.monotonic() > end:
                raise StoreSilent(f"the store has not answered for {PATIENCE:.0f} seconds")
            await host.wait(pause)
            pause = min(2 * pause, 0.1)
        if self._refusal is not None:
            raise self._refusal

    async def _there(self, host: Asynchronous, lately: float) -> None:
        """Returns when the store has answered within so many seconds, and no keys are being listed.

        Raises:
            StoreSilent: it does not answer.
            StoreError: as the host says.
        """
        await self._no_listing(host)
        while self._asking or time.monotonic() - self._answered > max(lately, FRESH):
            await self._ask(host)
            await self._no_listing(host)

    async def _reads_ended(self, host: Asynchronous) -> bool:
        """Waits for the reads that are now under way to end. None of their stores begins others meanwhile.

        False where those of another store do not: a store that is gone is not to keep others from their work.

        Raises:
            StoreSilent: those of this store do not end.
        """
        start = time.monotonic()
        awaited = {self, *(bucket for bucket in self._wit.singly if not bucket.stuck)}
        for bucket in awaited:
            bucket.awaited += 1
        try:
            while under_way := awaited.intersection(self._wit.singly):
                waited = time.monotonic() - start
                if waited > PATIENCE:
                    raise StoreSilent(f"the store has not answered for {PATIENCE:.0f} seconds")
                if self not in under_way and waited > PATIENCE_FOR_OTHERS:
                    for bucket in under_way:
                        bucket.stuck = True  # once is enough
                    return False
                await host.wait(PAUSE)
            return True
        finally:
            for bucket in awaited:
                bucket.awaited -= 1

    async def _no_listing(self, host: Asynchronous) -> None:
        """Returns when no keys are being listed."""
        while self._wit.listing:
            await host.wait(LOOK_AGAIN)

    async def _question(self, host: Asynchronous) -> None:
        self._refusal = None
        try:
            with _translated(self._wit):
                if self._async_store is None:
                    self._async_store = await host.key_value.Store.open(self._label)
                await self._no_listing(host)
                await self._async_store.exists(QUESTION)
            self._answered = time.monotonic()
        except StoreFailed as error:
            self._refusal = StoreSilent(error.reason)
        except StoreError as error:
            self._refusal = error
        finally:
            self._asking = False
