"""The errors of Redis: as it sends them, as Spin passes them on, and what kv-batch makes of them."""

from __future__ import annotations

from typing import Final

from kv_batch.errors import StoreBusy, StoreError, StoreFailed

_SERVER = "An error was signalled by the server - "

REDIS_ERRORS: Final[list[tuple[str, str, type[StoreError], str]]] = [
    (
        "LOADING Redis is loading the dataset in memory",
        f"{_SERVER}BusyLoadingError: Redis is loading the dataset in memory",
        StoreBusy,
        "",
    ),
    (
        "TRYAGAIN Multiple keys request during rehashing of slot",
        f"{_SERVER}TryAgain: Multiple keys request during rehashing of slot",
        StoreBusy,
        "",
    ),
    ("BUSY Redis is busy running a script", "BUSY: Redis is busy running a script", StoreBusy, ""),
    ("CLUSTERDOWN The cluster is down", f"{_SERVER}ClusterDown: The cluster is down", StoreBusy, ""),
    ("MASTERDOWN Link with MASTER is down", f"{_SERVER}MasterDown: Link with MASTER is down", StoreBusy, ""),
    ("NOREPLICAS Not enough good replicas", "NOREPLICAS: Not enough good replicas", StoreBusy, ""),
    (
        "ERR max number of clients reached",
        f"{_SERVER}ResponseError: max number of clients reached",
        StoreBusy,
        "",
    ),
    ("MOVED 3999 127.0.0.1:6381", f"{_SERVER}Moved: 3999 127.0.0.1:6381", StoreFailed, "use one server"),
    ("ASK 3999 127.0.0.1:6381", f"{_SERVER}Ask: 3999 127.0.0.1:6381", StoreFailed, "use one server"),
    (
        "READONLY You can't write against a read only replica.",
        f"{_SERVER}ReadOnly: You can't write against a read only replica.",
        StoreFailed,
        "use the address of the primary",
    ),
    (
        "OOM command not allowed when used memory > 'maxmemory'.",
        "OOM: command not allowed when used memory > 'maxmemory'.",
        StoreFailed,
        "raise its maxmemory",
    ),
    ("NOAUTH Authentication required.", "NOAUTH: Authentication required.", StoreFailed, "password"),
    (
        "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        "MISCONF: Redis is configured to save RDB snapshots, but it's currently unable to persist to disk.",
        StoreFailed,
        "look at its log",
    ),
    (
        "NOPERM User default has no permissions to run the 'get' command",
        "NOPERM: User default has no permissions to run the 'get' command",
        StoreFailed,
        "permission",
    ),
    (
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "WRONGTYPE: Operation against a key holding the wrong kind of value",
        StoreFailed,
        "another program",
    ),
    ("ERR unknown", f"{_SERVER}ResponseError: unknown", StoreFailed, ""),
]
"""(as sent, as passed on, the error, a part of the sentence that helps). tests/backends/test_redis_errors.py
collects the second from a Spin."""
