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

# Spin's own limit on connections, and SQLite. No part of such a call was executed.
_BUSY = re.compile(r"too many requests|database (table )?is locked", re.IGNORECASE)

# DynamoDB, Cosmos DB, Redis. A part of such a call may have been executed.
_THROTTLED = re.compile(
    r"[Tt]hrottl|ProvisionedThroughputExceeded|RequestLimitExceeded|TooManyRequests|Request rate is large"
    r"|\b(LOADING|TRYAGAIN|BUSY) "
)

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
    return StoreFailed(reason or "the host gave no reason", key)


def _shorten(reason: str) -> str:
    if aws := _AWS_ERROR.search(reason):
        reason = f"{aws[1]}: {aws[2]}"
    return reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}…"
