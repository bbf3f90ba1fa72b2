"""One operation, with all that there is to judge it by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from kv_batch.bucket import Learned, Limit
from tests.faults.schedule import Backend, Operation, Value
from tests.faults.store import Call


@dataclass(frozen=True)
class Outcome:
    """What was said of an operation, natively or over HTTP.

    Attributes:
        error: What the store said in the end; None where the operation succeeded.
        listed: Whether an error came with the three lists; without them nothing was done.
        by_themselves: Those of the failed keys whose reason is said to be their own; None where that is not
            said.
        answer: What get_many gave.
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
    """One operation, with all that there is to judge it by.

    Attributes:
        number: Of the operation, from 0.
        calls: What the store was asked for it.
        before, after: What the store held.
        learned: What was learned of the store before, and what is now; None where that cannot be seen.
        now: Seconds, when the operation was over.
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
        """The most keys that a call may hold, as was learned before."""
        if self.learned is None:
            return None
        limit: Limit = getattr(self.learned[0], self.operation.name)
        return limit.size(self.now)

    @property
    def passing(self) -> int:
        """The calls that met a fault, and would have met none later; without those made again for it."""
        return sum(
            call.fault is not None and call.fault.calls is not None and not call.busy for call in self.calls
        )

    @property
    def limit(self) -> int:
        """The most keys that the backend takes in a call of this operation."""
        return self.backend.most(self.operation.name)


def few(keys: object) -> str:
    """A few of many, to be read."""
    named = sorted(map(repr, keys))  # type: ignore[call-overload] # anything that can be gone through
    return ", ".join(named[:4]) + (f" and {len(named) - 4} more" if len(named) > 4 else "")
