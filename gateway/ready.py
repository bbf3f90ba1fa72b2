"""Readiness: whether the stores that the gateway needs answer a read (`GET /readyz`)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from kv_batch.batch import Retry, get_many
from kv_batch.bucket import PROBE_KEY, Bucket
from kv_batch.errors import StoreError

PROBE_INTERVAL = 1.0
"""Seconds that pass at least between two probes of an instance. Requests in between get the last result."""

RETRY_SECONDS = 0.5
"""Seconds for which a probe is retried on a busy store."""

States = dict[str, StoreError | None]
"""By the label of a store: why it did not answer, or None if it did."""


class Readiness:
    """The state of some stores, probed on request. Requests that come during a probe wait for its result."""

    def __init__(self) -> None:
        self._states: States = {}
        self._probed = float("-inf")
        self._waiting: list[asyncio.Future[None]] | None = None  # None: no probe is under way

    async def states(self, labels: list[str], open_bucket: Callable[[str], Awaitable[Bucket]]) -> States:
        """The state of each store.

        Args:
            labels: The labels of the stores.
            open_bucket: Opens a store, or returns the bucket that is open.
        """
        if self._waiting is not None:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future
        elif time.monotonic() >= self._probed + PROBE_INTERVAL:
            self._waiting = []
            try:
                self._states = {label: await _probe(label, open_bucket) for label in labels}
            finally:
                self._probed = time.monotonic()
                waiting, self._waiting = self._waiting, None
                for future in waiting:
                    future.set_result(None)
        return self._states


async def _probe(label: str, open_bucket: Callable[[str], Awaitable[Bucket]]) -> StoreError | None:
    try:
        await get_many(await open_bucket(label), [PROBE_KEY], retry=Retry(RETRY_SECONDS))
    except StoreError as error:
        return error
    return None
