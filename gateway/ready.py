"""Readiness: whether the stores that the gateway needs answer a read (`GET /readyz`)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

from gateway.problems import code_of
from kv_batch.errors import StoreError

PROBE_INTERVAL = 1.0
"""Seconds between two probes of a store by an instance. Requests in between get the last result."""

LONGEST_PROBE = 10.0
"""Seconds after which a store is probed again, although its last probe has not ended."""


class Readiness:
    """The states of the stores of an instance, as last probed.

    No request waits for the probe of another: while a store is probed, others get the result before it. If
    there is none yet, each asks the bucket, which is probed once for all of them.
    """

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._due: dict[str, float] = {}

    async def state(self, label: str, probe: Callable[[str], Awaitable[None]]) -> str:
        """The code of the problem of the last probe of a store; "ok" if it answered.

        Args:
            label: The label of the store.
            probe: Reads from it. Raises a StoreError if it does not answer.
        """
        if label not in self._known or time.monotonic() >= self._due[label]:
            self._due[label] = time.monotonic() + LONGEST_PROBE
            try:
                await probe(label)
                self._known[label] = "ok"
            except StoreError as error:
                self._known[label] = code_of(error)
            finally:
                self._due[label] = time.monotonic() + PROBE_INTERVAL
        return self._known[label]
