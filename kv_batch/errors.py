"""The errors of the contract.

    KvBatchError
    ├── StoreError                the host or its backend did not do what was asked
    │   ├── NoSuchStore           the host has no store of that name
    │   ├── StoreNotGranted       the component may not open the store
    │   ├── StoreBusy             the store accepts no call now: "too many requests", a locked database
    │   ├── StoreUnreachable      the store did not answer the reachability probe; the call was not made
    │   ├── StoreFailed           any other error, in the host's own words
    │   │   └── ResultTooLarge    the result has more bytes than the host returns from one call
    │   └── KeysFailed            some keys of a write that was made key by key failed
    └── BatchFailed               set_many or delete_many was not done whole

Host errors become `StoreError`s in one place, `kv_batch.translation`. What a gateway adds derives from
`KvBatchError` too (`gateway.problems`).
"""

from __future__ import annotations

from collections.abc import Mapping


class KvBatchError(Exception):
    """Base of every error that kv-batch raises on purpose."""


class StoreError(KvBatchError):
    """The store refused or failed.

    Attributes:
        reason: What the host said, for a person to read.
        key: The one key that was being read when it happened, where there was just one.
    """

    def __init__(self, reason: str, key: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.key = key


class NoSuchStore(StoreError):
    """`error::no-such-store`: the host does not recognise the store's name."""


class StoreNotGranted(StoreError):
    """`error::access-denied`: the component was not granted the store."""


class StoreBusy(StoreError):
    """The store takes no more calls now: over a limit of the host or of the backend, or locked by another.

    Attributes:
        made: Whether a part of the call may have been done. Where the host itself refused it, or a database
            was locked, nothing was.
    """

    def __init__(self, reason: str, key: str | None = None, *, made: bool = False) -> None:
        super().__init__(reason, key)
        self.made = made


class StoreUnreachable(StoreError):
    """The store did not answer the reachability probe. The call was not made."""


class StoreFailed(StoreError):
    """`error::other`: an implementation-specific error, such as I/O."""


class ResultTooLarge(StoreFailed):
    """The values, or the names of the keys, are more bytes than the host hands over in one call."""


class KeysFailed(StoreError):
    """A write that was made key by key: what is not named here was applied.

    Attributes:
        failed: The error of each key that failed, by itself.
    """

    def __init__(self, failed: Mapping[str, StoreError]) -> None:
        super().__init__(next(iter(failed.values())).reason)
        self.failed = failed


class BatchFailed(KvBatchError):
    """A set-many or delete-many that was not done whole. It may be sent again as it is.

    Every key of the batch is in exactly one of the three lists, repeats left out.

    Attributes:
        applied: Keys that were set or deleted.
        failed: (key, reason) of the keys that were in a call which failed, and in none that worked: the
            store holds the old value or the new.
        not_attempted: Keys that were in no call: the store holds what it held.
        cause: The last error of a call that was not tried again in parts.
        by_themselves: Those of `failed` whose reason is their own: no other key was in their call, and the
            store was not given up for it.
    """

    def __init__(
        self,
        applied: list[str],
        failed: list[tuple[str, str]],
        not_attempted: list[str],
        cause: StoreError,
        by_themselves: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(
            f"{len(applied)} applied, {len(failed)} failed, {len(not_attempted)} not attempted: "
            f"{cause.reason}"
        )
        self.applied = applied
        self.failed = failed
        self.not_attempted = not_attempted
        self.cause = cause
        self.by_themselves = by_themselves
