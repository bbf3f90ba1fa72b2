"""Whether a store can be asked now, and who waits for whom.

An asynchronous host has two kinds of calls:

- A *blocking* call (`wasi:keyvalue`). The instance stands still, with all its requests, until the store
  answers, and the call cannot be given up. Spin's Redis client waits minutes for a server that is gone.
- A *round* of asynchronous calls (`spin:key-value@3`), side by side. The other requests go on, and a round
  can be given up: its calls then end in the background.

On Redis, a blocking call that is made while a round is under way may wait for ever: Spin's client has a queue
of 50 places, a call of the round may have been granted the next one, and cannot take it while the instance
stands still (docs/decisions/0009). So a blocking call of a store that is Redis, or may be, is made *alone*:

    step of `Reachability.alone`                  others meanwhile                   at most
    1 the store answers a probe                   -                                  PROBE_TIMEOUT
    2 its door closes: its own rounds end         new rounds of this store wait      ROUND_TIMEOUT
    3 it has answered within                      as before                          PROBE_TIMEOUT
      BLOCKING_PROBE_TTL, or is probed
    4 the instance's door closes: the rounds of   new rounds of all stores wait, and OTHERS_TIMEOUT
      other stores end, or are left behind        blocking calls that must be alone
    5 the call is made                            the instance stands still          the store's time

A store that reads in batches is no Redis: SQLite is a file, and Spin's clients of DynamoDB and Cosmos DB give
up by themselves. Its blocking calls are made at once, without a probe.

    a store is    since                          what is done before a round or an `alone` call
    unheard       the start, or a failed call    probe
    heard         it answered anything           nothing for PROBE_TTL, then probe
    being probed  the first request that probes  wait for the answer of that probe: there is one at a time
    unreachable   PROBE_TIMEOUT without answer   the probe goes on; requests wait for it as long
    listed        its keys are read as a stream  wait for the stream, which begins alone (SQLite's lock)

No store waits for another one longer than OTHERS_TIMEOUT for each blocking call that must be alone, and such
a call longer than that for all others together. A store whose rounds did not end in that time is left behind,
and not waited for again until they have ended.

A request cannot wake another (componentize-py), so whoever waits for another looks again from time to time.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kv_batch.bucket import Clock
from kv_batch.errors import StoreBusy, StoreError, StoreFailed, StoreUnreachable
from kv_batch.waiting import QUEUE_TIMEOUT, Door, Spawn, Waiter, Waker

PROBE_TTL = 1.0
"""Seconds for which a store that has answered is taken to be there."""

BLOCKING_PROBE_TTL = 0.1
"""The same, before a blocking call: what it meets is not given up."""

PROBE_TIMEOUT = 5.0
"""Seconds that a store has to answer a probe."""

ROUND_TIMEOUT = 30.0
"""Seconds that a round may take; and seconds of silence that end the reading of a stream of keys. A value of
3 MB takes that long at 100 KB/s."""

OTHERS_TIMEOUT = 1.0
"""Seconds that a blocking call waits for the rounds of other stores: two round trips of 200 ms, and time to
spare."""


class Instance:
    """What is under way in an instance, of all its stores.

    Attributes:
        stores: Those with rounds under way.
    """

    def __init__(self, clock: Clock, spawn: Spawn) -> None:
        """An instance of a host.

        Args:
            clock: The host's.
            spawn: Runs a coroutine beside the request, and after it if need be.
        """
        self.waiting = Waiter(clock)
        self.spawn = spawn
        self.door = Door(self.waiting)
        self.stores: set[Reachability] = set()


class Reachability:
    """Whether one store can be asked, and what of it is under way.

    Attributes:
        rounds: How many rounds and probes are under way, those given up included.
    """

    def __init__(self, instance: Instance, probe: Callable[[], Awaitable[None]]) -> None:
        """A store of an instance.

        Args:
            instance: Which.
            probe: Asks the store for anything, asynchronously; raises the StoreError that it answers with.
        """
        self.rounds = 0
        self._instance = instance
        self._waiting = instance.waiting
        self._probe = probe
        self._door = Door(self._waiting)
        self._heard = float("-inf")
        self._probing = False
        self._refusal: StoreError | None = None
        self._left_behind = False
        self._listed = False

    def heard(self) -> None:
        """A call was answered."""
        self._heard = self._waiting.clock.now()

    def failed(self) -> None:
        """A call failed: the store is asked whether it is there before the next."""
        self._heard = float("-inf")

    async def answers(self, within: float = PROBE_TTL) -> None:
        """Returns if the store has answered within so many seconds, or now answers a probe.

        Raises:
            StoreUnreachable: it does not, for PROBE_TIMEOUT.
            StoreError: it answers with an error.
        """
        await self._enter()
        await self._answers(within)

    async def _answers(self, within: float) -> None:
        # An answer is good when it is noticed, however old it is by then.
        if self._probing:
            answered = await self._waiting.until(lambda: not self._probing, PROBE_TIMEOUT)
        elif self._waiting.clock.now() - self._heard <= within:
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
        """Returns when a round may begin, which it must before anything is awaited.

        Raises:
            StoreBusy: it may not for QUEUE_TIMEOUT.
        """
        while self._listed or self._door.is_closed or self._instance.door.is_closed:
            await self.not_listed()
            await self._door.through()
            await self._instance.door.through()

    async def not_listed(self) -> None:
        """Returns when the keys of the store are not being read as a stream.

        Raises:
            StoreBusy: they were for QUEUE_TIMEOUT.
        """
        if self._listed and not await self._waiting.until(lambda: not self._listed, QUEUE_TIMEOUT):
            raise StoreBusy("the keys of the store are being listed")

    async def round(self, calls: Callable[[], Awaitable[None]], progress: Callable[[], int]) -> bool:
        """Makes asynchronous calls, side by side; says whether they have ended.

        They have not when for ROUND_TIMEOUT none came any further: then they end in the background.

        Args:
            calls: Makes them, and keeps what comes of each.
            progress: A number that changes when one of them has come further.

        Raises:
            StoreUnreachable, StoreBusy: none was made.
        """
        await self._enter()
        return await self._ended_by(self._begin(calls), progress)

    async def listing(self, calls: Callable[[], Awaitable[None]], progress: Callable[[], int]) -> bool:
        """The same as `round` for reading the keys of the store as a stream, which begins alone: SQLite would
        hold its lock against calls that began before as well.

        Raises:
            StoreError: as `alone`.
        """

        async def read() -> None:
            try:
                await calls()
            finally:
                self._listed = False

        async with self.alone():
            self._listed = True
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
        """For a blocking call, which must follow at once: see the table at the top.

        Raises:
            StoreUnreachable: the store does not answer.
            StoreBusy: others kept it too long.
            StoreError: it answers a probe with an error.
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
    """What is said of a call that was not made, since another that comes before it met this error."""
    if isinstance(error, StoreFailed):
        return StoreUnreachable(error.reason)
    return StoreBusy(error.reason) if isinstance(error, StoreBusy) else error
