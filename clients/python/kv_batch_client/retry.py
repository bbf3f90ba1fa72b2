"""How long a failing operation is tried again: growing pauses, and one deadline since the last progress."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from kv_batch_client.errors import ClientError, GatewayProblem

FIRST_PAUSE = 0.1
"""Seconds."""

MAX_PAUSE = 5.0
"""Seconds."""


class Retry:
    """The retries of one operation.

    Args:
        seconds: The time without progress after which the operation fails. 0 means no retry.
        clock, sleep: Those of `time`, or of a test.
        on_wait: Is called before each pause, with the error and the pause in seconds.
    """

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        on_wait: Callable[[ClientError, float], None] | None = None,
    ) -> None:
        self._seconds = seconds
        self._clock = clock
        self._sleep = sleep
        self._on_wait = on_wait
        self._pause = FIRST_PAUSE
        self._deadline: float | None = None

    def progressed(self) -> None:
        """Begins anew: the next failure is the first again."""
        self._pause = FIRST_PAUSE
        self._deadline = None

    def wait(self, error: ClientError) -> None:
        """Pauses before the next try. A Retry-After is obeyed if it ends before the deadline.

        Raises:
            ClientError: `error`, if the deadline would pass.
        """
        now = self._clock()
        if self._deadline is None:
            self._deadline = now + self._seconds
        pause = self._pause * random.uniform(0.5, 1)  # noqa: S311 - jitter needs no cryptography
        if isinstance(error, GatewayProblem) and error.retry_after is not None:
            pause = max(pause, error.retry_after)
        if now + pause > self._deadline:
            raise error
        self._pause = min(self._pause * 2, MAX_PAUSE)
        if self._on_wait is not None:
            self._on_wait(error, pause)
        self._sleep(pause)
