"""One operation, with everything that is known about it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kv_batch.bucket import Learned, Limit
from tests.faults.schedule import Backend, Operation, Value
from tests.faults.store import Call


@dataclass(frozen=True)
class Outcome:
    """The reported result of an operation, natively or over HTTP.

    Attributes:
        error: The last error of the store; None if the operation succeeded.
        listed: Whether the error has the three lists; without them nothing was done.
        applied, failed, not_attempted: The three lists.
        by_themselves: The failed keys that are reported to have failed in a call of their own; None if that
            is not reported.
        answer: The result of get_many.
    """

    error: str | None = None
    listed: bool = False
    applied: Sequence[str] = ()
    failed: Sequence[tuple[str, str]] = ()
    not_attempted: Sequence[str] = ()
    by_themselves: frozenset[str] | None = None
    answer: Sequence[tuple[str, Value]] = ()


@dataclass
class Seen:
    """One operation, with everything that is known about it.

    Attributes:
        number: The number of the operation, from 0.
        calls: The calls that the store received for it.
        before, after: The contents of the store.
        learned: The learned limits of the store before and after; None if they cannot be seen.
        now: The time when the operation ended, in seconds.
    """

    backend: Backend
    operation: Operation
    number: int
    outcome: Outcome
    calls: list[Call]
    before: Mapping[str, bytes]
    after: Mapping[str, bytes]
    learned: tuple[Learned, Learned] | None = None
    now: float = 0.0

    def __post_init__(self) -> None:
        self.asked = self.operation.asked
        self.distinct = set(self.asked)
        self.reads = self.operation.name == "get_many"
        self.wanted: dict[str, Value] = dict.fromkeys(self.asked)
        if self.operation.name == "set_many":
            self.wanted.update(self.operation.pairs(self.number))
        self.failed_calls = [call for call in self.calls if not call.worked and not call.probes]
        self.busy = sum(call.busy for call in self.calls)
        self.failed_alone = {
            call.keys[0] for call in self.failed_calls if len(call.keys) == 1 and not call.hopeless
        }
        self.undisturbed = all(call.fault is None for call in self.calls) and all(
            map(self.backend.takes, self.distinct)
        )

    @property
    def most(self) -> int | None:
        """The maximum number of keys of a call, as learned before; None if that cannot be seen."""
        if self.learned is None:
            return None
        limit: Limit = getattr(self.learned[0], self.operation.name)
        return limit.size(self.now)

    @property
    def passing(self) -> int:
        """The number of calls that met a temporary fault, without retried calls to a busy store."""
        return sum(
            call.fault is not None and call.fault.calls is not None and not call.busy for call in self.calls
        )

    @property
    def limit(self) -> int:
        """The maximum number of keys that the backend accepts in a call of this operation."""
        return self.backend.most(self.operation.name)


def few(keys: object) -> str:
    """The first four of some keys, in words."""
    named = sorted(map(repr, keys))  # type: ignore[call-overload] # any iterable
    return ", ".join(named[:4]) + (f" and {len(named) - 4} more" if len(named) > 4 else "")
