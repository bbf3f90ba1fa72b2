"""Reachability: whether a store can be called now, and which calls wait for which.

An asynchronous host has two kinds of calls:

- A *blocking* call (`wasi:keyvalue`) stops the instance, with all its requests, until the store answers. It
  cannot be cancelled. Spin's Redis client waits minutes for a server that is gone, and its DynamoDB client
  for as long as the server is silent.
- A *round* of concurrent asynchronous calls (`spin:key-value@3`). Other requests proceed meanwhile. A round
  can be abandoned: its calls then end in the background.

Spin's SQLite is a *file*: its asynchronous calls block as well, so they end before they return. That shows in
the probe of a store, and nothing else about it must be known. Calls of a file are made at once, and block.
Any other store is *remote*. On Redis, a blocking call during a round can deadlock: Spin's client has a queue
of 50 places; a call of the round may have been granted the next place, and cannot take it while the instance
is stopped (docs/decisions/0009). So a blocking call of a remote store is made *alone*:

    step of `Reachability.alone`              others meanwhile               at most
    1 the store answers a probe               -                              PROBE_TIMEOUT
    2 its turn among the blocking calls       -                              QUEUE_TIMEOUT
    3 its own rounds end; if not: it is busy  new rounds of this store wait  DRAIN_TIMEOUT
    4 it has answered within                  as before                      PROBE_TIMEOUT
      BLOCKING_PROBE_TTL, or is probed
    5 the call is made                        the instance stands still      the store's time

All steps before the call together take at most QUEUE_TIMEOUT. Rounds that make progress may last longer than
DRAIN_TIMEOUT, on a slow network: then the call is retried as any call to a busy store (`kv_batch.retry`), and
small rounds proceed between two attempts.

    a store is    since                          what is done before a round or an `alone` call
    unheard       the start, or a failed call    probe
    heard         it answered anything           nothing for PROBE_TTL, then probe
    being probed  the first request that probes  wait for the answer of that probe: there is one at a time
    unreachable   PROBE_TIMEOUT without answer   the probe goes on; requests wait for it as long
    closed        step 3; or the keys of a file  wait until it is open
                  are read as a stream, which
                  holds its lock
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from kv_batch.bucket import Clock
from kv_batch.errors import StoreBusy, StoreError, StoreFailed, StoreUnreachable
from kv_batch.waiting import Spawn, Task, until

PROBE_TTL = 1.0
"""Seconds after an answer for which a store counts as reachable."""

BLOCKING_PROBE_TTL = 0.1
"""The same in seconds before a blocking call, which cannot be cancelled."""

PROBE_TIMEOUT = 5.0
"""Seconds after which a probe without an answer fails."""

ROUND_TIMEOUT = 30.0
"""Seconds without progress after which a round is abandoned, and the reading of a stream of keys. At 100 KB/s
a value of 3 MB takes that long."""

DRAIN_TIMEOUT = 1.0
"""Seconds that a blocking call keeps new rounds waiting until those in progress have ended: two round trips
of 200 ms, and a reserve."""

QUEUE_TIMEOUT = 30.0
"""Seconds that a call waits for the calls of other requests before it fails with StoreBusy."""


class Reachability:
    """The reachability of one store, and its rounds in progress.

    Attributes:
        is_file: Whether the last probe ended before it returned.
        is_closed: Whether no call may begin now, except the one that has closed it.
        rounds: The number of rounds and probes in progress, abandoned ones included.
        heard_at: When a remote store last answered a call; `-inf` if the last call failed, or none was made.
    """

    def __init__(self, clock: Clock, spawn: Spawn, probe: Callable[[Task], Awaitable[bool]]) -> None:
        """A store of an instance.

        Args:
            clock: The clock of the host.
            spawn: Runs a coroutine concurrently with the request, and beyond its end. It returns before the
                coroutine begins.
            probe: Makes one cheap asynchronous call. Returns whether it ended before it returned. Raises the
                StoreError of that call.
        """
        self.is_file = False
        self.is_closed = False
        self.rounds = 0
        self.heard_at = float("-inf")
        self._clock = clock
        self._spawn = spawn
        self._probe = probe
        self._asked: Task | None = None  # the probe that is not answered
        self._passing = 0  # rounds that wait until the store is open
        self._queue: deque[object] = deque()  # blocking calls that wait for their turn

    def heard(self) -> float:
        """Records that the store answered a call. Returns the time."""
        self.heard_at = self._clock.now()
        return self.heard_at

    def failed(self) -> None:
        """Records that a call failed: the store is probed before the next one."""
        self.heard_at = float("-inf")

    async def answers(self, deadline: float | None = None) -> None:
        """Ensures that the store is reachable: it has answered within PROBE_TTL, or answers a probe now.

        Args:
            deadline: The time until which to wait; None for QUEUE_TIMEOUT from now.

        Raises:
            StoreUnreachable: the probe was not answered within PROBE_TIMEOUT.
            StoreBusy: the store was closed until the deadline.
            StoreError: the probe failed with this error.
        """
        deadline = self._deadline(deadline)
        await self.enter(deadline)
        await self._answers(PROBE_TTL, deadline)

    async def _answers(self, within: float, deadline: float) -> None:
        # An answer counts when it is noticed, however old it is by then.
        now = self._clock.now()
        if (asked := self._asked) is not None:

            def end() -> float:
                return min(deadline, max(now, asked.progressed_at) + PROBE_TIMEOUT)

            answered = await until(self._clock, lambda: self._asked is not asked, end)
        elif now - self.heard_at <= within:
            return
        else:
            self._asked = self._begin(self._ask)
            answered = await self._asked.ended(min(deadline - now, PROBE_TIMEOUT))
        if not answered and self._clock.now() >= deadline:
            raise _busy()
        if not answered:
            raise StoreUnreachable(f"the store has not answered for {PROBE_TIMEOUT:.0f} seconds")
        if asked is not None and isinstance(asked.error, StoreError):
            # A new one for each request: a raised error refers to all that its request holds.
            raise type(asked.error)(asked.error.reason)

    async def _ask(self, task: Task) -> None:
        try:
            self.is_file = await self._probe(task)
            self.heard()
        except StoreError as error:
            raise not_made(error) from None
        finally:
            self._asked = None

    async def enter(self, deadline: float | None = None) -> None:
        """Waits until a call may begin. The caller must begin it before it awaits anything else.

        Raises:
            StoreBusy: the store was closed until the deadline.
        """
        if not self.is_closed:
            return
        end = self._deadline(deadline)
        self._passing += 1
        try:
            if not await until(self._clock, lambda: not self.is_closed, lambda: end):
                raise _busy()
        finally:
            self._passing -= 1

    def _deadline(self, deadline: float | None) -> float:
        return self._clock.now() + QUEUE_TIMEOUT if deadline is None else deadline

    async def round(self, calls: Callable[[Task], Awaitable[None]]) -> bool:
        """Makes concurrent asynchronous calls. Returns whether they have ended.

        Calls without progress for ROUND_TIMEOUT are abandoned: they end in the background.

        Args:
            calls: Makes the calls, keeps their results, and tells the task of its progress.

        Raises:
            StoreError: as `answers`. No call was made.
        """
        deadline = self._deadline(None)
        await self.answers(deadline)
        await self.enter(deadline)
        return await self._ended(self._begin(calls))

    async def stream(self, calls: Callable[[Task], Awaitable[None]]) -> bool:
        """As `round`, for reading the keys of the store as a stream, which holds the lock of a file."""
        if not self.is_file:
            return await self.round(calls)
        await self.enter()
        self.is_closed = True

        async def alone(task: Task) -> None:
            try:
                await calls(task)
            finally:
                self.is_closed = False

        return await self._ended(self._begin(alone))

    def _begin(self, calls: Callable[[Task], Awaitable[None]]) -> Task:
        self.rounds += 1

        async def run(task: Task) -> None:
            try:
                await calls(task)
            finally:
                self.rounds -= 1

        return Task(self._clock, self._spawn, run)

    async def _ended(self, task: Task) -> bool:
        ended = await task.ended(ROUND_TIMEOUT)
        if not ended:
            self.failed()
        return ended

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """A context for one blocking call of a remote store, which must be made at once (see the table at the
        top). The calls are made in order of arrival, each after the rounds that waited for the one before.

        Raises:
            StoreUnreachable: the store did not answer.
            StoreBusy: it had to wait for other requests for too long.
            StoreError: the probe failed with this error.
        """
        deadline = self._deadline(None)
        await self.answers(deadline)
        place = object()
        self._queue.append(place)
        try:
            if not await until(
                self._clock,
                lambda: self._queue[0] is place and not self.is_closed and not self._passing,
                lambda: deadline,
            ):
                raise _busy()
            self.is_closed = True
        finally:
            self._queue.remove(place)
        try:
            end = min(deadline, self._clock.now() + DRAIN_TIMEOUT)
            if not await until(self._clock, lambda: not self.rounds, lambda: end):
                raise StoreBusy("earlier calls of the store have not ended")
            await self._answers(BLOCKING_PROBE_TTL, deadline)
            yield
        finally:
            self.is_closed = False


def not_made(error: StoreError) -> StoreError:
    """The error of a call that was not made because a call before it failed with `error`."""
    if isinstance(error, StoreFailed):
        return StoreUnreachable(error.reason)
    return StoreBusy(error.reason) if isinstance(error, StoreBusy) else error


def _busy() -> StoreBusy:
    return StoreBusy(f"calls of other requests took more than {QUEUE_TIMEOUT:.0f} seconds")
