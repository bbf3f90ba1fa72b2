"""Readiness: whether the stores that the gateway needs answer a read (`GET /readyz`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from kv_batch.errors import StoreError

PROBE_INTERVAL = 1.0
"""Seconds between two probes of an instance. Requests in between get the last result."""

PROBE_RETRY_SECONDS = 0.5
"""Seconds for which a probe is retried on a busy store."""

States = dict[str, StoreError | None]
"""The label of each store, with the error of its probe, or None if it answered."""


class Readiness:
    """The states of the stores of an instance:

    state      at a request                        next state
    unknown    probe all stores                    probing
    probing    wait for the result of the probe    known
    known      answer the last result              unknown, after PROBE_INTERVAL

    """

    def __init__(self) -> None:
        self._states: States = {}
        self._probed = float("-inf")
        self._waiting: list[asyncio.Future[None]] | None = None  # None unless probing

    async def states(self, labels: list[str], probe: Callable[[str], Awaitable[None]]) -> States:
        """The state of each store.

        Args:
            labels: The labels of the stores.
            probe: Reads from a store. Raises a StoreError if it does not answer.
        """
        if self._waiting is not None:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future
        elif time.monotonic() >= self._probed + PROBE_INTERVAL:
            self._waiting = []
            try:
                self._states = {label: await _error_of(probe(label)) for label in labels}
            finally:
                self._probed = time.monotonic()
                waiting, self._waiting = self._waiting, None
                for future in waiting:
                    future.set_result(None)
        return self._states


async def _error_of(probe: Awaitable[None]) -> StoreError | None:
    try:
        await probe
    except StoreError as error:
        return error
    return None
