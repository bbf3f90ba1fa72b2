"""Reachability: whether a store can be called now, and which calls wait for which.

An asynchronous host has two kinds of calls:

- A *blocking* call (`wasi:keyvalue`) stops the instance, with all its requests, until the store answers. It
  cannot be cancelled. Spin's Redis client waits minutes for a server that is gone.
- A *round* of concurrent asynchronous calls (`spin:key-value@3`). Other requests proceed meanwhile. A round
  can be abandoned: its calls then end in the background.

On Redis, a blocking call during a round can deadlock: Spin's client has a queue of 50 places; a call of the
round may have been granted the next place, and cannot take it while the instance is stopped
(docs/decisions/0009). So on a store that is Redis, or may be, a blocking call is made *alone*:

    step of `Reachability.alone`                  others meanwhile                   at most
    1 the store answers a probe                   -                                  PROBE_TIMEOUT
    2 its door closes: its own rounds end         new rounds of this store wait      ROUND_TIMEOUT
    3 it has answered within                      as before                          PROBE_TIMEOUT
      BLOCKING_PROBE_TTL, or is probed
    4 the instance's door closes: the rounds of   new rounds of all stores wait, and OTHERS_TIMEOUT
      other stores end, or are left behind        blocking calls that must be alone
    5 the call is made                            the instance stands still          the store's time

A store that reads in batches is not Redis: SQLite is a file, and Spin's clients of DynamoDB and Cosmos DB
have timeouts of their own. Its blocking calls are made at once, without a probe.

    a store is    since                          what is done before a round or an `alone` call
    unheard       the start, or a failed call    probe
    heard         it answered anything           nothing for PROBE_TTL, then probe
    being probed  the first request that probes  wait for the answer of that probe: there is one at a time
    unreachable   PROBE_TIMEOUT without answer   the probe goes on; requests wait for it as long
    listed        its keys are read as a stream  wait for the stream, which begins alone (SQLite's lock)

A store waits at most OTHERS_TIMEOUT for each blocking call of another store that must be alone, and such a
call waits at most as long for the rounds of all other stores together. A store whose rounds did not end in
that time is left behind: it is not waited for again until they have ended.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kv_batch.bucket import Clock
from kv_batch.errors import StoreBusy, StoreError, StoreFailed, StoreUnreachable
from kv_batch.waiting import QUEUE_TIMEOUT, Door, Spawn, Waiter, Waker

PROBE_TTL = 1.0
"""Seconds after an answer for which a store counts as reachable."""

BLOCKING_PROBE_TTL = 0.1
"""The same in seconds before a blocking call, which cannot be cancelled."""

PROBE_TIMEOUT = 5.0
"""Seconds after which a probe without an answer fails."""

ROUND_TIMEOUT = 30.0
"""Seconds without progress after which a round is abandoned, and the reading of a stream of keys. At 100 KB/s
a value of 3 MB takes that long."""

OTHERS_TIMEOUT = 1.0
"""Seconds that a blocking call waits for the rounds of other stores: two round trips of 200 ms, and a
reserve."""


class Instance:
    """The calls in progress in one instance of the component, over all its stores.

    Attributes:
        stores: The stores with rounds in progress.
    """

    def __init__(self, clock: Clock, spawn: Spawn) -> None:
        """An instance of a host.

        Args:
            clock: The clock of the host.
            spawn: Runs a coroutine concurrently with the request, and beyond its end.
        """
        self.waiting = Waiter(clock)
        self.spawn = spawn
        self.door = Door(self.waiting)
        self.stores: set[Reachability] = set()


class Reachability:
    """The reachability of one store, and its rounds in progress.

    Attributes:
        rounds: The number of rounds and probes in progress, abandoned ones included.
        heard_at: When the store last answered a call; `-inf` if the last call failed, or none was made.
        is_listed: Whether a stream of the keys of the store is being read.
    """

    def __init__(self, instance: Instance, probe: Callable[[], Awaitable[None]]) -> None:
        """A store of an instance.

        Args:
            instance: The instance.
            probe: Makes one cheap asynchronous call. Raises the StoreError of that call.
        """
        self.rounds = 0
        self._instance = instance
        self._waiting = instance.waiting
        self._probe = probe
        self._door = Door(self._waiting)
        self.heard_at = float("-inf")
        self._probing = False
        self._refusal: StoreError | None = None
        self._left_behind = False
        self.is_listed = False

    def heard(self) -> None:
        """Records that the store answered a call."""
        self.heard_at = self._waiting.clock.now()

    def failed(self) -> None:
        """Records that a call failed: the store is probed before the next one."""
        self.heard_at = float("-inf")

    async def answers(self, within: float = PROBE_TTL) -> None:
        """Ensures that the store is reachable: it has answered within so many seconds, or answers a probe
        now.

        Raises:
            StoreUnreachable: the probe was not answered within PROBE_TIMEOUT.
            StoreError: the probe failed with this error.
        """
        await self._enter()
        await self._answers(within)

    async def _answers(self, within: float) -> None:
        # An answer counts when it is noticed, however old it is by then.
        if self._probing:
            answered = await self._waiting.until(lambda: not self._probing, PROBE_TIMEOUT)
        elif self._waiting.clock.now() - self.heard_at <= within:
            return
        else:
            self._probing = True
            answered = await self._begin(self._ask).woken(lambda: 0, PROBE_TIMEOUT)
        if not answered:
            raise StoreUnreachable(f"the store has not answered for {PROBE_TIMEOUT:.0f} seconds")
        if self._refusal is not None:
            raise self._refusal

    async def _ask(self) -> None:
        self._refusal = None
        try:
            await self._probe()
            self.heard()
        except StoreError as error:
            self._refusal = not_made(error)
        finally:
            self._probing = False

    def _ended(self) -> None:
        self.rounds -= 1
        if not self.rounds:
            self._left_behind = False
            self._instance.stores.discard(self)

    async def _enter(self) -> None:
        """Waits until a round may begin. The caller must begin it before it awaits anything else.

        Raises:
            StoreBusy: it had to wait for QUEUE_TIMEOUT.
        """
        while self.is_listed or self._door.is_closed or self._instance.door.is_closed:
            await self.not_listed()
            await self._door.through()
            await self._instance.door.through()

    async def not_listed(self) -> None:
        """Waits until no stream of the keys of the store is being read.

        Raises:
            StoreBusy: it had to wait for QUEUE_TIMEOUT.
        """
        if self.is_listed and not await self._waiting.until(lambda: not self.is_listed, QUEUE_TIMEOUT):
            raise StoreBusy("the keys of the store are being listed")

    async def round(self, calls: Callable[[], Awaitable[None]], progress: Callable[[], int]) -> bool:
        """Makes concurrent asynchronous calls. Returns whether they have ended.

        Calls without progress for ROUND_TIMEOUT are abandoned: they end in the background.

        Args:
            calls: Makes the calls, and keeps their results.
            progress: Returns a number that changes with the progress of the calls.

        Raises:
            StoreUnreachable, StoreBusy: no call was made.
        """
        await self._enter()
        return await self._ended_by(self._begin(calls), progress)

    async def listing(self, calls: Callable[[], Awaitable[None]], progress: Callable[[], int]) -> bool:
        """As `round`, for reading the keys of the store as a stream.

        The stream begins alone: on SQLite it holds the lock, also against calls that began before it.

        Raises:
            StoreError: as `alone`.
        """

        async def read() -> None:
            try:
                await calls()
            finally:
                self.is_listed = False

        async with self.alone():
            self.is_listed = True
            waker = self._begin(read)
        return await self._ended_by(waker, progress)

    def _begin(self, calls: Callable[[], Awaitable[None]]) -> Waker:
        waker = Waker(self._waiting.clock, self._instance.spawn)
        self.rounds += 1
        self._instance.stores.add(self)

        async def run() -> None:
            try:
                await calls()
            except Exception as error:  # noqa: BLE001 - raised below: what left a spawned task would be a trap
                waker.error = error
            finally:
                self._ended()
                waker.wake()

        self._instance.spawn(run())
        return waker

    async def _ended_by(self, waker: Waker, progress: Callable[[], int]) -> bool:
        ended = await waker.woken(progress, ROUND_TIMEOUT)
        if not ended:
            self.failed()
        return ended

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """A context for one blocking call, which must be made at once: see the table of this module.

        Raises:
            StoreUnreachable: the store did not answer.
            StoreBusy: it had to wait for other requests for too long.
            StoreError: the probe failed with this error.
        """
        await self.answers()
        async with self._door.closed():
            await self.not_listed()
            if not await self._waiting.until(lambda: not self.rounds, ROUND_TIMEOUT):
                raise StoreUnreachable(
                    f"earlier calls have not been answered for {ROUND_TIMEOUT:.0f} seconds"
                )
            await self._answers(BLOCKING_PROBE_TTL)
            async with self._instance.door.closed():
                await self._others_end()
                yield

    async def _others_end(self) -> None:
        def under_way() -> list[Reachability]:
            return [each for each in self._instance.stores if each is not self and not each._left_behind]  # noqa: SLF001

        if not await self._waiting.until(lambda: not under_way(), OTHERS_TIMEOUT):
            for store in under_way():
                store._left_behind = True  # noqa: SLF001 - one class, one table of states


def not_made(error: StoreError) -> StoreError:
    """The error of a call that was not made because a call before it failed with `error`."""
    if isinstance(error, StoreFailed):
        return StoreUnreachable(error.reason)
    return StoreBusy(error.reason) if isinstance(error, StoreBusy) else error
