"""How a request bears a busy store."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kv_batch.bucket import Clock
from kv_batch.errors import NoSuchStore, StoreBusy, StoreNotGranted, StoreUnreachable

RETRY_SECONDS = 10.0
"""Seconds for which a busy store is asked again, unless told otherwise."""

FIRST_BACKOFF = 0.05
"""Seconds between a call that met a busy store and the next. Each further pause is twice as long."""

MAX_BACKOFF = 2.0
"""Seconds of the longest of these pauses."""

SMALLER = 4
"""How many times smaller a call is made again that has met a busy store twice. From MOST_KEYS to a single key
it takes less than RETRY_SECONDS: one that takes 50 keys a second refuses any call of more."""

HOPELESS = (NoSuchStore, StoreNotGranted, StoreUnreachable)
"""Errors that a smaller batch would hit too."""


@dataclass
class Retry:
    """How a request bears a busy store: the same call again, with growing pauses, and smaller after two.

    Attributes:
        seconds: For how long, without any call taken. 0 for never.
        count: How many calls were made again.
    """

    seconds: float = RETRY_SECONDS
    count: int = 0
    _since: float | None = None  # when the first call began that met the busy store
    _pause: float = FIRST_BACKOFF

    def taken(self) -> None:
        """A call was taken: the store is no longer busy."""
        self._since, self._pause = None, FIRST_BACKOFF

    async def pause(self, error: StoreBusy, began: float, clock: Clock) -> bool:
        """Waits before a call is made again; says whether it should be a smaller one.

        Args:
            error: What the call met.
            began: When the call began.
            clock: That of the store's host.

        Raises:
            StoreBusy: it has been busy for too long.
        """
        if self._since is None:
            self._since = began
        # Clients that met the busy store together should not come back together.
        pause = self._pause * random.uniform(0.75, 1.25)  # noqa: S311 - nothing secret
        if clock.now() + pause > self._since + self.seconds:
            raise error
        again = self._pause > FIRST_BACKOFF
        self._pause = min(2 * self._pause, MAX_BACKOFF)
        self.count += 1
        await clock.wait(pause)
        return again
