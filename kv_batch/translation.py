"""Translates errors of the WIT interfaces to `StoreError`s, by their case or by their message."""

from __future__ import annotations

import re

from kv_batch.errors import (
    NoSuchStore,
    ResultTooLarge,
    StoreBusy,
    StoreError,
    StoreFailed,
    StoreNotGranted,
)

LONGEST_REASON = 300
"""The maximum length of a reason in characters. Hosts print errors with debug formatting, at length."""

# Spin prints an error of the AWS SDK with the whole response. These two members say what went wrong.
_AWS_ERROR = re.compile(r'code: Some\("([^"\\]*)"\), message: Some\("((?:[^"\\]|\\.)*)"\)')

# A result over the limit of the host: 128 MiB in Spin, 4 MiB in the embedded host.
_TOO_LARGE = re.compile(r"query result exceeds limit")

# Spin's own limit on connections, SQLite, and Redis, in the spelling of Spin's client
# (tests/backends/test_redis_errors.py). No part of such a call was executed.
_BUSY = re.compile(
    r"too many requests|database (?:table )?is locked"
    r"|\b(?:BusyLoadingError|TryAgain|BUSY|MasterDown|ClusterDown|NOREPLICAS): "
    r"|max number of clients reached",
    re.IGNORECASE,
)

# DynamoDB, Cosmos DB. A part of such a call may have been executed.
_THROTTLED = re.compile(
    r"[Tt]hrottl|ProvisionedThroughputExceeded|RequestLimitExceeded|TooManyRequests|Request rate is large"
)

_ADVICE = {
    "Moved": "The server is a node of a cluster, which Spin's client does not support: use one server",
    "Ask": "The server is a node of a cluster, which Spin's client does not support: use one server",
    "ReadOnly": "The server is a replica: use the address of the primary",
    "OOM": "The server is out of memory: raise its maxmemory, or delete keys",
    "MISCONF": "The server cannot save its data: look at its log",
    "NOAUTH": "Put the password into the URL of the runtime configuration: redis://:PASSWORD@host:6379",
    "NOPERM": "The user in the URL of the runtime configuration needs the permission for this command",
    "WRONGTYPE": "The key holds a list, a set or a hash: another program uses it",
}
"""What helps against an error of Redis, by its word in the spelling of Spin's client."""

_WORD = re.compile(r"(?:An error was signalled by the server - )?([A-Za-z]{1,40}): ")

# The answer of Redis to the get-many of Spin, which sends KEYS with all keys as arguments.
NO_BATCH_READS = re.compile(r"wrong number of arguments for 'keys' command")


def store_error(value: object, key: str | None = None) -> StoreError:
    """The StoreError for one case of the WIT variant `error` of `wasi:keyvalue` or `spin:key-value`.

    The variants have no case for a busy store or for a result that is too large. Those errors are recognized
    by their message.

    Args:
        value: The case, an object of the generated module.
        key: The key of the call, if it was for one key.
    """
    case = type(value).__name__
    reason = _shorten(str(getattr(value, "value", "")))
    if case == "Error_NoSuchStore":
        return NoSuchStore("the host knows no such store")
    if case == "Error_AccessDenied":
        return StoreNotGranted("the host denies access to the store")
    if case == "Error_StoreTableFull":
        return StoreBusy("the host has too many stores open")
    if _BUSY.search(reason):
        return StoreBusy(reason)
    if _THROTTLED.search(reason):
        return StoreBusy(reason, made=True)
    if _TOO_LARGE.search(reason):
        return ResultTooLarge(reason, key)
    word = _WORD.match(reason)
    if word and word[1] in _ADVICE:
        reason = f"{reason.rstrip('.')}. {_ADVICE[word[1]]}"
    return StoreFailed(reason or "the host gave no reason", key)


def _shorten(reason: str) -> str:
    if aws := _AWS_ERROR.search(reason):
        reason = f"{aws[1]}: {aws[2]}"
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…"
