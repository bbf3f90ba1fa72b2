"""The contract over a store that fails as stores do: its reports about a batch are always true."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace

import pytest
from hypothesis import given, note, settings

from guests.blocking import run
from kv_batch.batch import delete_many, get_many, set_many
from kv_batch.bucket import BatchReads, Bucket, Learned, Limit
from kv_batch.errors import BatchFailed, StoreError
from tests.faults.model import Model
from tests.faults.schedule import (
    BUSY,
    DENIED,
    GONE,
    RESET,
    SILENT,
    STRANGER,
    THROTTLED,
    Fault,
    Operation,
    Schedule,
    schedules,
)
from tests.faults.seen import Outcome, Seen
from tests.faults.store import FaultyBucket, FaultyStore, Refusal


def perform(bucket: Bucket, operation: Operation, number: int) -> Outcome:
    """Runs one operation. Returns the report of the contract."""
    try:
        match operation.name:
            case "get_many":
                return Outcome(answer=run(get_many(bucket, operation.asked)))
            case "set_many":
                run(set_many(bucket, operation.pairs(number)))
            case "delete_many":
                run(delete_many(bucket, operation.asked))
    except BatchFailed as error:
        lists = (error.applied, error.failed, error.not_attempted, error.by_themselves)
        return Outcome(error.cause.reason, True, *lists)
    except StoreError as error:
        return Outcome(error.reason)
    return Outcome()


def performed(schedule: Schedule) -> Iterator[Seen]:
    """Plays a schedule. Each operation must be checked before the next one."""
    store = FaultyStore(schedule)
    bucket = FaultyBucket(store)
    for number, operation in enumerate(schedule.operations):
        store.begin()
        before = dict(store.data)
        known = deepcopy(bucket.learned)
        outcome = perform(bucket, operation, number)
        learned = (known, deepcopy(bucket.learned))
        now = bucket.time.seconds
        yield Seen(store.backend, operation, number, outcome, store.calls, before, store.data, learned, now)


def play(schedule: Schedule) -> None:
    """Plays a schedule, and checks each operation."""
    model = Model()
    for seen in performed(schedule):
        model.check(seen)


@settings(max_examples=10_000, deadline=None, print_blob=True)
@given(schedules((RESET, RESET, RESET, BUSY, THROTTLED, SILENT, GONE, DENIED, STRANGER)))
def test_what_is_said_is_true(schedule: Schedule) -> None:
    note(f"play({schedule!r})")
    play(schedule)


WORST = {
    "down: what the first call did is not known": Schedule(
        "SQLite",
        "as asked",
        (Operation("set_many", ("a", "b", "c", "d", "*")), Operation("get_many", ("d",))),
        (Fault(0, 0, 6, done="all"),),
    ),
    "busy, after a larger call failed": Schedule(
        "Cosmos",
        "as asked",
        (Operation("delete_many", ("a", "*", "k0", "b/")),),
        (Fault(0, 1, says=BUSY),),
    ),
    "the store is gone, after a larger call failed": Schedule(
        "SQLite",
        "as asked",
        (Operation("set_many", ("a", "b", "c")),),
        (Fault(0, 0, done="all"), Fault(0, 1, says=GONE)),
    ),
    "down in the middle of a batch that is cut by a limit": Schedule(
        "DynamoDB",
        "as asked",
        (Operation("set_many", (), 101), Operation("set_many", ("a",), 400), Operation("get_many", (), 400)),
        (Fault(1, 3, None, done="the first half"),),
    ),
    "silent, after a larger call failed": Schedule(
        "SQLite",
        "as asked",
        (Operation("delete_many", ("a", "*", "k0")),),
        (Fault(0, 0, done="all"), Fault(0, 1, None, says=SILENT)),
    ),
    "each key refused, and busy when it is tested": Schedule(
        "SQLite",
        "as asked",
        (Operation("set_many", ("a", "b")),),
        (Fault(0, 0, 3), Fault(0, 3, None, says=BUSY)),
    ),
    "silent from the start": Schedule(
        "Cosmos",
        "as asked",
        (Operation("set_many", ("a", "b")), Operation("get_many", ("a",))),
        (Fault(0, 0, None, says=SILENT),),
    ),
    "a stranger to the first batch read, and to that of two": Schedule(
        "SQLite",
        "in any order",
        (Operation("get_many", ("a", "b", "a"), 100),),
        (Fault(0, 0, 2, says=STRANGER),),
    ),
}


@pytest.mark.parametrize("schedule", WORST.values(), ids=WORST)
def test_what_is_said_is_true_of_the_worst_cases(schedule: Schedule) -> None:
    play(schedule)


@given(schedules((RESET, GONE)))
@settings(max_examples=20, deadline=None)
def test_a_schedule_prints_as_python(schedule: Schedule) -> None:
    assert eval(repr(schedule)) == schedule


# The model finds wrong reports

THREE_LISTS = Schedule(
    "DynamoDB",
    "as asked",
    (Operation("set_many", (), 101), Operation("set_many", (), 100)),
    (Fault(1, 1, calls=None, says=THROTTLED, done="some"),),
)
"""The second operation ends with 25 keys applied, 25 failed and 50 not attempted."""

A_READ = Schedule("SQLite", "as asked", (Operation("get_many", ("a", "b", "a", "*")),))

Alter = Callable[[Outcome], Outcome]

LIES: list[tuple[str, Schedule, Alter, str]] = [
    ("a failed key as applied", THREE_LISTS,
     lambda said: replace(said, applied=[*said.applied, said.failed[0][0]], failed=said.failed[1:]),
     "said to be applied, but failed"),
    ("an applied key as failed", THREE_LISTS,
     lambda said: replace(said, applied=said.applied[1:], failed=[*said.failed, (said.applied[0], BUSY)]),
     "said to be failed, but applied"),
    ("a failed key as not attempted", THREE_LISTS,
     lambda said: replace(
         said, failed=said.failed[1:], not_attempted=[said.failed[0][0], *said.not_attempted]),
     "said to be not attempted, but failed"),
    ("a key as attempted", THREE_LISTS,
     lambda said: replace(said, failed=[*said.failed, ("k99", BUSY)], not_attempted=said.not_attempted[:-1]),
     "said to be failed, but not attempted"),
    ("a key in two lists", THREE_LISTS,
     lambda said: replace(said, not_attempted=[*said.not_attempted, said.failed[0][0]]),
     "in the lists too often: 'k25'"),
    ("no word of a key", THREE_LISTS, lambda said: replace(said, not_attempted=()), "not in any list"),
    ("a reason made up", THREE_LISTS,
     lambda said: replace(said, failed=[(key, "bad luck") for key, _ in said.failed]),
     "a reason that the store never gave"),
    ("another error", THREE_LISTS,
     lambda said: replace(said, error=RESET), "what the store said in the end 'Throttling"),
    ("success", THREE_LISTS, lambda said: Outcome(), "said to be applied, and is not"),
    ("that nothing was done", THREE_LISTS, lambda said: Outcome(BUSY), "where nothing was said to be"),
    ("failure", A_READ, lambda said: Outcome(RESET), "nothing stood in its way"),
    ("a value left out", A_READ, lambda said: replace(said, answer=said.answer[1:]), "3 pairs for 4 keys"),
    ("a repeat left out", A_READ, lambda said: replace(said, answer=[*said.answer[:2], said.answer[3]]),
     "3 pairs for 4 keys"),
    ("another order", A_READ, lambda said: replace(said, answer=said.answer[::-1]), "not as in the store"),
    ("a false value", A_READ, lambda said: replace(said, answer=[("a", b"false"), *said.answer[1:]]),
     "not as in the store: ('a', b'false')"),
]  # fmt: skip
"""A false report, the schedule whose last operation it replaces, how it is made, and the model's answer."""


@pytest.mark.parametrize(
    ("schedule", "alter", "found"), [lie[1:] for lie in LIES], ids=[lie[0] for lie in LIES]
)
def test_a_lie_is_found(schedule: Schedule, alter: Alter, found: str) -> None:
    play(schedule)  # the true report passes
    model = Model()
    for seen in performed(schedule):
        if seen.operation is not schedule.operations[-1]:
            model.check(seen)
            continue
        with pytest.raises(AssertionError, match=re.escape(found)):
            model.check(replace(seen, outcome=alter(seen.outcome)))


MISUSES: list[tuple[str, Callable[[FaultyStore], object], str]] = [
    ("no key", lambda store: store.get_many([]), "holds no key"),
    ("a key twice", lambda store: store.get_many(["a", "a"]), "holds a key twice"),
    ("one key, as a batch", lambda store: store.get_many(["a"]), "reads one key as a batch"),
    ("a key of no one's", lambda store: store.get("z"), "holds a key that the batch does not"),
    ("a write", lambda store: store.delete_many(["a"]), "none that get_many needs"),
    ("a call that was refused", lambda store: store.get_many(["a", "b"]), "was sent again unchanged"),
    ("more than was learned", lambda store: store.get_many([f"k{i}" for i in range(60)]), "limit of 50"),
    ("much", lambda store: [store.get("a") for _ in range(200)], "calls to read 62 keys"),
]
"""Additional calls of the store before a right answer, and the model's answer."""


@pytest.mark.parametrize(
    ("misuse", "found"), [each[1:] for each in MISUSES], ids=[each[0] for each in MISUSES]
)
def test_a_misuse_of_the_host_is_found(misuse: Callable[[FaultyStore], object], found: str) -> None:
    operation = Operation("get_many", ("a", "b"), 60)
    store = FaultyStore(Schedule("Redis", "as asked", (operation,)))
    store.begin()
    before = dict(store.data)
    for _ in range(2):
        with suppress(Refusal):
            misuse(store)
    learned = (Learned(limit(50)), Learned(limit(50)))
    outcome = Outcome(answer=[(key, before.get(key)) for key in operation.asked])
    with pytest.raises(AssertionError, match=re.escape(found)):
        Model().check(Seen(store.backend, operation, 0, outcome, store.calls, before, store.data, learned))


def limit(most: int) -> Limit:
    """A limit that does not expire."""
    return Limit(most, _expires=float("inf"))


WORK, NEVER = Learned(batch_reads=BatchReads(True)), Learned(batch_reads=BatchReads(False))

MISTAKES: list[tuple[str, Learned, Learned, str]] = [
    ("a limit below any backend's", Learned(), Learned(limit(24)), "a limit of 24"),
    ("a larger limit", Learned(limit(100)), Learned(limit(101)), "a limit of 101 after one of 100"),
    ("a limit that no call has shown", Learned(), Learned(limit(50)), "a limit of 50 from 0 refused"),
    ("that batch reads never work", Learned(), NEVER, "no error said so"),
    ("that they do no longer", WORK, NEVER, "never work"),
]
"""Wrong conclusions from a batch read that worked: the knowledge before, after, and the model's answer."""


@pytest.mark.parametrize(
    ("before", "after", "found"), [each[1:] for each in MISTAKES], ids=[each[0] for each in MISTAKES]
)
def test_what_is_learned_wrongly_is_found(before: Learned, after: Learned, found: str) -> None:
    (seen,) = performed(A_READ)
    with pytest.raises(AssertionError, match=f"learned_well: .*{found}"):
        Model().check(replace(seen, learned=(before, after)))
