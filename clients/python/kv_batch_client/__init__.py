"""A client of kv-batch gateways: many keys of a key-value store at once, over HTTP.

    from kv_batch_client import Store

    with Store("http://127.0.0.1:3000", token="...") as store:
        store.set_many([("a", b"1"), ("b", b"2")])
        for key, value in store.get_many(["a", "b", "c"]):  # value is None for a missing key
            print(key, value)

All errors are subclasses of `ClientError`. The command `kvb` is built on this library.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kv_batch_client.deleting import Deleted, DeleteStopped
    from kv_batch_client.errors import (
        BadInput,
        ClientError,
        ConnectionLost,
        GatewayProblem,
        Unreachable,
        WriteStopped,
    )
    from kv_batch_client.store import Store
    from kv_batch_client.writing import Written

__version__ = "1.0.0"
__all__ = [
    "BadInput",
    "ClientError",
    "ConnectionLost",
    "DeleteStopped",
    "Deleted",
    "GatewayProblem",
    "Store",
    "Unreachable",
    "WriteStopped",
    "Written",
]

_MODULES = {"Deleted": "deleting", "DeleteStopped": "deleting", "Store": "store", "Written": "writing"}
"""The modules of the names that are not in `errors`."""


def __getattr__(name: str) -> object:
    # The modules are imported at the first use of a name: the command must be able to take a Ctrl-C before
    # httpx and rich are imported, which takes some tenths of a second.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
