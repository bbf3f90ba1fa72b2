"""The port to the host: its configuration and its stores."""

from __future__ import annotations

from typing import Protocol

from kv_batch.bucket import Bucket


class Host(Protocol):
    """The host that the gateway runs on."""

    def config(self, name: str) -> str | None:
        """The value of a variable of the component (`spin.toml`), or None if it is not declared."""
        ...

    async def open(self, label: str) -> Bucket:
        """Opens the store with that label.

        Raises:
            StoreNotGranted, NoSuchStore, StoreFailed: as the host says.
        """
        ...
