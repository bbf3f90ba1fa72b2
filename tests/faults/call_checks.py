"""Checks of the calls of an operation, and of the limits that were learned from them."""

from __future__ import annotations

from collections.abc import Iterator

from kv_batch.bucket import SMALLEST_LIMIT, Limit
from kv_batch.translation import NO_BATCH_READS
from tests.faults.schedule import ANY_NUMBER
from tests.faults.seen import Seen

MOST_WHILE_DOWN = 25
"""The maximum number of calls of one operation to a store that is down: a path of halves, and its leaves."""

MOST_RETRIES = 15
"""The maximum number of consecutive calls to a busy store. Their pauses add up to RETRY_SECONDS."""


def fit_for_the_host(seen: Seen) -> Iterator[str]:
    """No backend may receive these calls."""
    names = {"get", "get_many"} if seen.reads else {seen.operation.name}
    for number, call in enumerate(each for each in seen.calls if seen.reads or not each.probes):
        at = f"call {number}, {call.name} of {len(call.keys)} keys,"
        if call.name not in names:
            yield f"{at} is none that {seen.operation.name} needs"
        if not call.keys:
            yield f"{at} holds no key"
        if len(set(call.keys)) < len(call.keys):
            yield f"{at} holds a key twice"
        if not seen.distinct.issuperset(call.keys):
            yield f"{at} holds a key that the batch does not"
        if call.name == "get_many" and len(call.keys) == 1:
            yield f"{at} reads one key as a batch, which kills the host on Redis"
        if seen.most is not None and call.name != "get" and len(call.keys) > seen.most:
            yield f"{at} is larger than the limit of {seen.most} that was learned"


def not_sent_again(seen: Seen) -> Iterator[str]:
    """A failed call is only retried in parts, unless the store was only busy."""
    refused: set[tuple[str, ...]] = set()
    for number, call in enumerate(seen.calls):
        if (call.name, *call.keys) in refused:
            yield f"call {number}, {call.name} of {len(call.keys)} keys, was sent again unchanged"
        if call.busy:
            refused.clear()  # the store may accept now what it refused then
        elif not call.worked:
            refused.add((call.name, *call.keys))


def bounded(seen: Seen) -> Iterator[str]:
    """The number of calls of an operation on n keys is bounded.

    - A store that is down gets MOST_WHILE_DOWN calls.
    - A read makes one call per key at most, one more for each two keys that must be told apart, and a path of
      halves.
    - A write without faults makes n / limit calls. Each failed call of several keys adds two (and the rest of
      a limit that it teaches). Such failed calls form one path of halves for each key that fails alone, one
      path for a limit with two more calls that confirm it, and two calls for a temporary fault.
    - After the 1st, 2nd, 4th … consecutive failure of a single key, two more calls test whether the store
      accepts writes.
    - A busy store gets MOST_RETRIES calls in a row, and then smaller calls, which grow again as they are
      accepted.
    """
    count, calls = len(seen.distinct), len(seen.calls)
    path = count.bit_length() + 1
    down = sum(call.down for call in seen.calls)
    if down > MOST_WHILE_DOWN:
        yield f"{down} calls to a store that is down"
    in_a_row = 0
    for call in seen.calls:
        in_a_row = in_a_row + 1 if call.busy else 0
        if in_a_row > MOST_RETRIES:
            yield f"{in_a_row} calls in a row to a store that is busy"
            break
    if seen.reads:
        # Single keys are read concurrently: if the store was busy for one, all of them are read again.
        read = [call.keys[0] for call in seen.calls if call.name == "get" and call.worked]
        again = len(read) - len(set(read)) if seen.busy else 0
        if calls - again > 1.5 * count + path + 2 + 3 * seen.busy:
            yield f"{calls} calls to read {count} keys"
        return
    several = sum(len(call.keys) > 1 and not call.busy for call in seen.failed_calls)
    tests = 2 * len(seen.failed_alone)
    whole = -(-count // (seen.most or SMALLEST_LIMIT))
    most = whole + 2 * several + 2 * (count // SMALLEST_LIMIT + 1) if several else whole
    most += tests + 3 * seen.busy
    if calls > most:
        yield f"{calls} calls to write {count} keys, of which {several} failed: {most} would do"
    most = (len(seen.failed_alone) + 1) * path + 2 + 2 * seen.passing + seen.busy
    if seen.limit >= SMALLEST_LIMIT and several > most:
        yield f"{several} failed calls of several keys, where {most} show what {count} keys are about"


def learned_well(seen: Seen) -> Iterator[str]:
    """Only what calls have shown is learned. One failure alone shows nothing."""
    if seen.learned is None:
        return
    limits: list[Limit] = [getattr(each, seen.operation.name) for each in seen.learned]
    before, after = (limit.most for limit in limits)
    expired = limits[0].size(seen.now) > before
    if after < SMALLEST_LIMIT or (after > before and not expired):
        yield f"learned a limit of {after} after one of {before}"
    refusals = sum(len(call.keys) > after and call.made for call in seen.failed_calls)
    if after < before and refusals < (2 if limits[0] == Limit(before) else 1):
        yield f"learned a limit of {after} from {refusals} refused calls"
    if not seen.reads and not seen.passing and seen.limit == ANY_NUMBER and after < before:
        yield f"learned a limit of {after} from keys that are refused by themselves"
    knew, knows = (each.batch_reads.work for each in seen.learned)
    said = any(NO_BATCH_READS.search(call.error or "") for call in seen.calls)
    if knew is not knows is False and not said:
        yield "learned that batch reads never work, and no error said so"
    if (knew is not knows is True) and not any(
        call.name == "get_many" and call.worked for call in seen.calls
    ):
        yield "learned that batch reads work, and none did"
