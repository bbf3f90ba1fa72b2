"""Checks of the reported result of an operation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from tests.faults.schedule import DENIED, GONE
from tests.faults.seen import Seen, few
from tests.faults.store import Call


def lists_are_the_batch(seen: Seen) -> Iterator[str]:
    """Every key of a failed batch is in exactly one of the three lists, which follows from its last call."""
    outcome = seen.outcome
    if not outcome.listed:
        return
    said = {
        "applied": outcome.applied,
        "failed": [key for key, _ in outcome.failed],
        "not attempted": outcome.not_attempted,
    }
    lists = Counter(key for keys in said.values() for key in keys)
    if lists != Counter(seen.distinct):
        missing, more = Counter(seen.distinct) - lists, lists - Counter(seen.distinct)
        yield f"not in any list: {few(missing)}; in the lists too often: {few(more)}"
    last = {key: call for call in seen.calls if call.made and not call.probes for key in call.keys}
    for word, keys in said.items():
        wrong = {key: call for key in keys if _word(call := last.get(key)) != word}
        if wrong:
            yield f"said to be {word}, but {_word(next(iter(wrong.values())))}: {few(wrong)}"
    alone: dict[str, set[str]] = {}
    together: dict[str, set[str]] = {}
    for call in filter(lambda call: call.made, seen.failed_calls):
        single = len(call.keys) == 1 and not call.busy
        for key in call.keys:
            (alone if single else together).setdefault(key, set()).add(call.error or "")
    invented = [
        key
        for key, reason in outcome.failed
        if reason not in alone.get(key, ())
        and (key in alone or reason not in map(SHARED.format, together.get(key, ())))
    ]
    if invented:
        yield f"failed with a reason that the store never gave for it: {few(invented)}"
    proven = alone.keys() - set(outcome.applied) - _unproven(seen.calls)
    if outcome.by_themselves is not None and outcome.by_themselves != proven:
        yield f"said to have failed by themselves: {few(outcome.by_themselves)}, and it was {few(proven)}"


SHARED = "a call that held this key failed, and the key was not tried again: {}"
"""The reason for a key that did not fail in a call of its own."""


def _unproven(calls: list[Call]) -> set[str]:
    """The keys that may have failed only because the store was failing: no call was accepted after theirs."""
    unproven: set[str] = set()
    for call in calls:
        if call.worked:
            unproven.clear()
        elif len(call.keys) == 1:
            unproven.update(call.keys)
    return unproven


def _word(call: Call | None) -> str:
    if call is None:
        return "not attempted"
    return "applied" if call.worked else "failed"


def told_as_it_is(seen: Seen) -> Iterator[str]:
    """The report of each key agrees with the contents of the store."""
    outcome, before, after = seen.outcome, seen.before, seen.after
    changed = {key for key in before.keys() | after.keys() if before.get(key) != after.get(key)}
    if not seen.distinct.issuperset(changed):
        yield f"changed, and not in the batch: {few(changed - seen.distinct)}"
    if seen.reads:
        if changed:
            yield f"changed by a read: {few(changed)}"
        if outcome.error is None:
            held = [(key, after.get(key)) for key in seen.asked]
            if list(outcome.answer) != held:
                wrong = [pair for pair, right in zip(outcome.answer, held, strict=False) if pair != right]
                yield f"{len(outcome.answer)} pairs for {len(held)} keys; not as in the store: {few(wrong)}"
        return
    if outcome.error is not None and not outcome.listed and changed:
        yield f"changed, where nothing was said to be: {few(changed)}"
    applied = seen.distinct if outcome.error is None else outcome.applied
    if lost := [key for key in applied if after.get(key) != seen.wanted.get(key)]:
        yield f"said to be applied, and is not: {few(lost)}"
    if touched := changed.intersection(outcome.not_attempted):
        yield f"changed, and said not to be attempted: {few(touched)}"
    if torn := [
        key for key, _ in outcome.failed if after.get(key) not in (before.get(key), seen.wanted.get(key))
    ]:
        yield f"neither the old value nor the new: {few(torn)}"


def with_good_reason(seen: Seen) -> Iterator[str]:
    """An operation fails if it must, and only then."""
    outcome = seen.outcome
    final = [
        call.error
        for call in seen.calls
        if not call.worked
        and (
            call is seen.calls[-1]
            if call.busy
            else not call.probes and (call.hopeless or len(call.keys) == 1)
        )
    ]
    if outcome.error is None:
        if final:
            yield f"a success, though the store said {few(final)} where no smaller call could help"
        return
    if seen.undisturbed:
        yield "failed, though nothing stood in its way but the ways of its backend"
        return
    last = seen.calls[-1]
    if not final or outcome.error != final[-1]:
        yield f"the error is {outcome.error!r}, and what the store said in the end {few(final[-1:])}"
    if seen.reads and not last.hopeless and (last.worked or len(last.keys) > 1):
        yield "raised, though no key had failed by itself"
    if not seen.reads and not outcome.listed and last.error not in (GONE, DENIED):
        yield "a write that failed told no lists"


def gives_up_in_time(seen: Seen) -> Iterator[str]:
    """A failed write has tried every key, unless the store is lost. Then it gives up at once.

    A store is lost when two keys have failed in calls of their own, one of them not tried before, and then
    the deletion of a key that is not there has failed.
    """
    outcome = seen.outcome
    if seen.reads or not outcome.listed:
        return
    in_a_row, tested = 0, False
    for number, call in enumerate(seen.calls):
        if call.probes:
            tested = True
            if not call.worked and not call.busy and call is not seen.calls[-1]:
                yield f"went on after call {number} had shown that the store takes no writes"
        elif call.worked:
            in_a_row = 0
        elif len(call.keys) == 1 and not call.busy:
            in_a_row, tested = in_a_row + 1, False
            if in_a_row > 2 and not any(
                each.probes or each.worked or each.busy for each in seen.calls[:number]
            ):
                yield f"{in_a_row} keys failed in a row, and the store was not tested"
    left = seen.distinct - seen.failed_alone.union(outcome.applied)
    last = seen.calls[-1]
    if left and not last.hopeless and not (tested and not last.worked):
        yield f"gave up after {in_a_row} keys: {few(left)}"
