"""Concurrent calls of single keys, through the asynchronous functions of `spin:key-value@3.0.0`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Sequence
from dataclasses import dataclass
from types import coroutine
from typing import Any

from kv_batch.bucket import Clock, probe_key
from kv_batch.errors import StoreError, StoreFailed
from kv_batch.reachability import ROUND_TIMEOUT, Reachability
from kv_batch.translation import store_error
from kv_batch.waiting import Spawn, Task, gathered

STREAM_KEYS = 10_000
"""The maximum number of keys of one read of a stream of keys."""


@dataclass(frozen=True)
class Asynchronous:
    """What an asynchronous host offers: waiting for a store without stopping the instance.

    Attributes:
        key_value: The generated module of `spin:key-value/key-value@3.0.0`, whose functions are async.
        clock: The time, and waiting while the other requests of the instance proceed.
        spawn: Runs a coroutine concurrently with the request, and beyond its end.
        together: Runs coroutines concurrently, to their end.
    """

    key_value: Any
    clock: Clock
    spawn: Spawn
    together: Callable[[Iterable[Coroutine[Any, Any, None]]], Awaitable[object]] = gathered


class AsyncStore:
    """One store of an asynchronous host.

    Attributes:
        reachable: Its reachability.
    """

    def __init__(self, host: Asynchronous, err: type[Exception], label: str) -> None:
        self.reachable = Reachability(host.clock, host.spawn, self._probe)
        self._host = host
        self._err = err
        self._label = label
        self._store: Any = None

    async def calls(self, function: str, calls: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Makes concurrent calls of one function. Returns their results in order, a StoreError for a failed
        call.

        Args:
            function: The name of a method of `spin:key-value/key-value.Store`.
            calls: The arguments of each call, the key first.
        """
        unanswered = StoreFailed(f"the store has not answered for {ROUND_TIMEOUT:.0f} seconds")
        outcomes: list[Any] = [unanswered] * len(calls)

        async def all_of_them(task: Task) -> None:
            method = getattr(self._store, function)

            async def one(index: int, call: tuple[Any, ...]) -> None:
                try:
                    outcomes[index] = await method(*call)
                    task.progressed_at = self.reachable.heard()
                except self._err as error:
                    outcomes[index] = self._error(error.value, call[0])  # type: ignore[attr-defined]
                    task.progressed_at = self._host.clock.now()

            if len(calls) == 1:
                await one(0, calls[0])
            else:
                await self._host.together(map(one, range(len(calls)), calls))

        await self.reachable.round(all_of_them)
        return outcomes[:]  # results that arrive later are ignored

    async def keys(self) -> list[str]:
        """The keys of a store with more of them than the host lists in one call.

        This is much slower, since Spin writes the keys to the stream one by one. The other calls of this
        store in the instance wait for it.
        """
        keys: list[str] = []
        failure: StoreError | None = None

        async def read(task: Task) -> None:
            nonlocal failure
            try:
                reader, ended = await self._store.get_keys()
                with reader:
                    while not reader.writer_dropped:
                        keys.extend(await reader.read(STREAM_KEYS))
                        task.progressed_at = self._host.clock.now()
                if isinstance(result := await ended.read(), self._err):
                    raise result
                self.reachable.heard()
            except self._err as error:
                failure = self._error(error.value)  # type: ignore[attr-defined]

        if not await self.reachable.stream(read):
            raise StoreFailed(f"the store has listed no key for {ROUND_TIMEOUT:.0f} seconds")
        if failure is not None:
            raise failure
        return keys

    async def _probe(self, task: Task) -> bool:
        try:
            if self._store is None:
                self._store = await self._host.key_value.Store.open(self._label)
                task.progressed_at = self._host.clock.now()
            return await _ends_at_once(self._store.exists(probe_key()))
        except self._err as error:
            failure = error.value  # type: ignore[attr-defined]
        raise self._error(failure)

    def _error(self, value: object, key: str | None = None) -> StoreError:
        self.reachable.failed()
        return store_error(value, key)


@coroutine
def _ends_at_once(call: Coroutine[Any, Any, object]) -> Generator[Any, None, bool]:
    """Runs a call to its end. Returns whether it did not have to wait.

    Raises:
        Exception: that of the call.
    """
    waits = False
    try:
        while True:
            future = call.send(None)
            waits = True
            yield future
    except StopIteration:
        return not waits
