"""A store through the asynchronous functions of `spin:key-value@3.0.0`: single keys, side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from kv_batch.bucket import PROBE_KEY, Clock
from kv_batch.errors import StoreError, StoreFailed
from kv_batch.reachability import ROUND_TIMEOUT, Instance, Reachability
from kv_batch.translation import store_error
from kv_batch.waiting import Spawn

STREAM_KEYS = 10_000
"""The most keys that one read of a stream of keys takes."""


@dataclass(frozen=True)
class Asynchronous:
    """What lets a guest wait for a store without being stopped by it.

    Attributes:
        key_value: `spin:key-value/key-value@3.0.0`, whose functions are async.
        clock: Seconds, and waiting in a way that lets the instance's other requests go on.
        spawn: Runs a coroutine beside the request, and after it if need be.
    """

    key_value: Any
    clock: Clock
    spawn: Spawn


class AsyncStore:
    """One store of an asynchronous host.

    Attributes:
        reachable: Whether it can be asked now.
    """

    def __init__(self, host: Asynchronous, err: type[Exception], instance: Instance, label: str) -> None:
        self.reachable = Reachability(instance, self._probe)
        self._host = host
        self._err = err
        self._label = label
        self._store: Any = None

    async def calls(
        self, function: str, calls: Sequence[tuple[Any, ...]], *, probed: bool = True
    ) -> list[Any]:
        """What comes of calls of one asynchronous function, in their order; a StoreError where one failed.

        Args:
            function: The name of a method of `spin:key-value/key-value.Store`.
            calls: The arguments of each call, the key first.
            probed: Whether a store that was not heard from lately is probed before.
        """
        if probed:
            await self.reachable.answers()
        method = getattr(self._store, function)
        unanswered = StoreFailed(f"the store has not answered for {ROUND_TIMEOUT:.0f} seconds")
        outcomes: list[Any] = [unanswered] * len(calls)
        done = 0

        async def one(index: int, call: tuple[Any, ...]) -> None:
            nonlocal done
            try:
                outcomes[index] = await method(*call)
                self.reachable.heard()
            except self._err as error:
                outcomes[index] = self._error(error.value, call[0])  # type: ignore[attr-defined]
            done += 1

        async def all_of_them() -> None:
            if len(calls) == 1:
                await one(0, calls[0])
            else:
                await asyncio.gather(*map(one, range(len(calls)), calls))

        await self.reachable.round(all_of_them, lambda: done)
        return outcomes[:]  # what still comes, comes too late

    async def keys(self) -> list[str]:
        """The keys of a store that has more than the host lists at once. Much slower, since Spin hands them
        over one by one; the instance's other calls of this store wait for it."""
        keys: list[str] = []
        failure: StoreError | None = None

        async def read() -> None:
            nonlocal failure
            try:
                reader, ended = await self._store.get_keys()
                with reader:
                    while not reader.writer_dropped:
                        keys.extend(await reader.read(STREAM_KEYS))
                if isinstance(result := await ended.read(), self._err):
                    raise result
                self.reachable.heard()
            except self._err as error:
                failure = self._error(error.value)  # type: ignore[attr-defined]

        if not await self.reachable.listing(read, lambda: len(keys)):
            raise StoreFailed(f"the store has listed no key for {ROUND_TIMEOUT:.0f} seconds")
        if failure is not None:
            raise failure
        return keys

    async def _probe(self) -> None:
        try:
            if self._store is None:
                self._store = await self._host.key_value.Store.open(self._label)
            await self._store.exists(PROBE_KEY)
        except self._err as error:
            failure = error.value  # type: ignore[attr-defined]
        else:
            return
        raise self._error(failure)

    def _error(self, value: object, key: str | None = None) -> StoreError:
        self.reachable.failed()
        return store_error(value, key)
