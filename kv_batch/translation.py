"""Errors of the WIT interfaces as `StoreError`s: by their case, and by their words where it says nothing."""

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
"""Characters of a reason that are told. Hosts show their errors as they debug them, at length."""

# Spin shows an error of the AWS SDK with the whole response; this is what it is about.
_AWS_ERROR = re.compile(r'code: Some\("([^"\\]*)"\), message: Some\("((?:[^"\\]|\\.)*)"\)')

# How Spin says that a result is over its cap of 128 MiB (and the embedded host, over its own).
_TOO_LARGE = re.compile(r"query result exceeds limit")

# In the order: Spin's own limit on connections, SQLite; both make no part of the call.
_BUSY = re.compile(r"too many requests|database (table )?is locked", re.IGNORECASE)

# DynamoDB, Cosmos DB, Redis.
_THROTTLED = re.compile(
    r"[Tt]hrottl|ProvisionedThroughputExceeded|RequestLimitExceeded|TooManyRequests|Request rate is large"
    r"|\b(LOADING|TRYAGAIN|BUSY) "
)

# What Redis answers to Spin's get-many, which it sends as KEYS with all the keys.
NO_BATCH_READS = re.compile(r"wrong number of arguments for 'keys' command")


def store_error(value: object, key: str | None = None) -> StoreError:
    """The error for one of the cases of the WIT variant `error`.

    Both interfaces name their cases alike. That a store is busy has no case of its own, nor that a result is
    too large: those are told by their words.
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
