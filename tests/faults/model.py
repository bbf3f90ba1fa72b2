"""The model: the knowledge of a caller who sees only the reports of the contract."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from kv_batch.bucket import LIMIT_EXPIRES, SMALLEST_LIMIT
from kv_batch.translation import NO_BATCH_READS
from tests.faults.call_checks import bounded, fit_for_the_host, learned_well, not_sent_again
from tests.faults.outcome_checks import (
    gives_up_in_time,
    lists_are_the_batch,
    told_as_it_is,
    with_good_reason,
)
from tests.faults.schedule import ANY_NUMBER, BEFORE, Name, Value
from tests.faults.seen import Seen, few

CHECKS: Final = (
    fit_for_the_host,
    not_sent_again,
    bounded,
    learned_well,
    lists_are_the_batch,
    told_as_it_is,
    with_good_reason,
    gives_up_in_time,
)
"""Each check yields the violations, in words."""


class Model:
    """The knowledge of a caller who sees only the reports of the contract.

    Attributes:
        possible: The values that each key may have now. A key without an entry must be absent.
        taught: The operations that have shown the backend's limit, and the time when they did. They must not
            exceed the limit again until it expires.
        exceeded: The operations that have met the limit.
        disturbed: Whether a fault or a refused key has affected an operation so far.
    """

    def __init__(self) -> None:
        self.possible: dict[str, set[Value]] = {key: {value} for key, value in BEFORE.items()}
        self.taught: dict[Name, float] = {}
        self.exceeded: set[Name] = set()
        self.disturbed = False

    def check(self, seen: Seen) -> None:
        """Checks one operation, and learns from its outcome.

        Raises:
            AssertionError: the operation breaks the contract. The message has the violations and the calls.
        """
        broken = [f"{check.__name__}: {what}" for check in CHECKS for what in check(seen)]
        self._learn(seen)
        broken += self._as_known(seen)
        broken += self._taught(seen)
        if broken:
            calls = [
                f"    {call.name} of {len(call.keys)}: {call.error or 'done'}"
                f"{'' if call.worked or call.error else ', with a stranger'}"
                for call in seen.calls[:40]
            ]
            text = "\n".join([*(f"  {each}" for each in broken), "  The calls:", *calls])
            raise AssertionError(f"operation {seen.number}, {seen.operation}:\n{text}")

    def _learn(self, seen: Seen) -> None:
        outcome, possible = seen.outcome, self.possible
        if seen.reads:
            possible.update((key, {value}) for key, value in outcome.answer)
            return
        done = seen.distinct if outcome.error is None else outcome.applied
        possible.update((key, {seen.wanted.get(key)}) for key in done)
        for key, _ in outcome.failed:
            possible[key] = possible.get(key, {None}) | {seen.wanted.get(key)}

    def _as_known(self, seen: Seen) -> Iterator[str]:
        """The store holds only values that all reports so far allow."""
        after, possible = seen.after, self.possible
        unknown = [
            key for key in after.keys() | possible.keys() if after.get(key) not in possible.get(key, {None})
        ]
        if unknown:
            yield f"the store holds what nobody said that it may: {few(unknown)}"

    def _taught(self, seen: Seen) -> Iterator[str]:
        """One undisturbed operation that meets the limit twice shows the limit of the backend."""
        name, count = seen.operation.name, len(seen.distinct)
        if seen.now - self.taught.get(name, float("-inf")) < LIMIT_EXPIRES:
            too_large = [len(call.keys) for call in seen.calls if len(call.keys) > seen.limit]
            if too_large:
                yield f"a call of {too_large[0]} keys: it had been shown that {seen.limit} are the most"
        backend = seen.backend
        worded = not backend.reads_in_batches and bool(NO_BATCH_READS.search(backend.says))
        learnable = seen.limit >= SMALLEST_LIMIT or (seen.reads and worded)
        if count >= 4 * seen.limit and learnable and seen.undisturbed:
            self.taught.setdefault(name, seen.now)
        if count > seen.limit:
            self.exceeded.add(name)
        self.disturbed = self.disturbed or not seen.undisturbed
        easy = seen.reads and count <= seen.limit and seen.backend.cap == ANY_NUMBER
        if easy and not self.disturbed and not self.exceeded and len(seen.calls) > 1:
            yield f"{len(seen.calls)} calls for {count} keys, where nothing ever stood in the way of one"
