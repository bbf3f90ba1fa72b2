"""Retries of calls that a busy store did not accept."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar, TypeVarTuple

from kv_batch.bucket import Clock
from kv_batch.errors import NoSuchStore, StoreBusy, StoreNotGranted, StoreUnreachable

RETRY_SECONDS = 10.0
"""Seconds for which calls to a busy store are retried by default."""

FIRST_BACKOFF = 0.05
"""Seconds between the first failed call and its retry. Each further pause is twice as long."""

MAX_BACKOFF = 2.0
"""The longest pause between two retries, in seconds."""

SMALLER = 4
"""The factor by which a call shrinks after its second failure. Getting from MOST_KEYS to a single key takes
less than RETRY_SECONDS: a store that accepts 50 keys a second refuses every larger call."""

Arguments = TypeVarTuple("Arguments")
Result = TypeVar("Result")

HOPELESS = (NoSuchStore, StoreNotGranted, StoreUnreachable)
"""Errors that a smaller batch would hit too."""


class Retry:
    """The retry policy of one request: exponential backoff with jitter, and smaller calls after two failures.

    Attributes:
        seconds: How long calls are retried while none is accepted. 0 disables retries.
        calls: The number of calls to the store so far. Keys that are read one by one count one each.
        retries: The number of these calls that were retries.
    """

    calls = 0
    retries = 0
    _since: float | None = None  # when the first call of this busy period began
    _pause = FIRST_BACKOFF

    def __init__(self, seconds: float = RETRY_SECONDS) -> None:
        self.seconds = seconds

    def taken(self) -> None:
        """Records that a call was accepted: the store is no longer busy."""
        self._since, self._pause = None, FIRST_BACKOFF

    async def accepted(
        self, clock: Clock, call: Callable[[*Arguments], Awaitable[Result]], *arguments: *Arguments
    ) -> Result:
        """Makes a call until the store accepts it. Returns its result.

        Raises:
            StoreError: that of the call. StoreBusy: the store has been busy for `seconds`.
        """
        while True:
            began = clock.now()
            self.calls += 1
            try:
                result = await call(*arguments)
            except StoreBusy as error:
                await self.pause(error, began, clock)
            else:
                self.taken()
                return result

    async def pause(self, error: StoreBusy, began: float, clock: Clock) -> bool:
        """Waits before a retry. Returns whether the call should be smaller than the last.

        Args:
            error: The error of the failed call.
            began: The time when that call began.
            clock: The clock of the host.

        Raises:
            StoreBusy: the store has been busy for `seconds`.
        """
        if self._since is None:
            self._since = began
        # Instances that met the busy store together should not come back together.
        pause = self._pause * (0.75 + clock.random() / 2)
        if clock.now() + pause > self._since + self.seconds:
            raise error
        again = self._pause > FIRST_BACKOFF
        self._pause = min(2 * self._pause, MAX_BACKOFF)
        self.retries += 1
        await clock.wait(pause)
        return again
