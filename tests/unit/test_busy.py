"""A busy store is waited for, in virtual time; and what is said of it when that was too long."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any

import pytest

from embedded.store import FILE, Database, SqliteBucket
from gateway.wire.media import NDJSON
from kv_batch.batch import RETRY_SECONDS, Retry, delete_many, get_many, list_keys, set_many
from kv_batch.bucket import Bucket
from kv_batch.errors import BatchFailed, StoreBusy
from tests.buckets import Sqlite
from tests.clock import VirtualTime, run
from tests.unit.test_embedded import wit_over
from tests.unit.test_gateway import SmallHost, ask, problem
from tests.unit.test_record import logged
from tests.unit.test_streams import lines_of, numbered


class Busy(Sqlite):
    """Takes no calls for some time.

    Attributes:
        until: Seconds when it takes calls again.
        takes: Seconds that each call takes which it does not take.
    """

    until = 0.0
    takes = 0.0
    reason = "too many requests"

    def note(self, name: str, keys: Sequence[object]) -> None:
        super().note(name, keys)
        if self.time.seconds < self.until:
            self.time.seconds += self.takes
            raise StoreBusy(self.reason)

    async def list_keys(self) -> list[str]:
        self.note("list_keys", [])
        return await super().list_keys()


class Limited(Sqlite):
    """Takes so many writes a second, and no call of more than it has left.

    Attributes:
        rate: Writes a second.
        burst: The most that it has left after a rest.
    """

    rate, burst = 50, 50

    async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
        self.note("set_many", pairs)
        left = min(self.burst, self._left + (self.time.seconds - self._since) * self.rate)
        if len(pairs) > left:
            raise StoreBusy("too many requests")
        self._left, self._since = left - len(pairs), self.time.seconds
        self.data.update(pairs)

    _left = _since = 0.0


OPERATIONS: dict[str, Callable[[Bucket, Retry], Coroutine[Any, Any, object]]] = {
    "get-many of one": lambda bucket, retry: get_many(bucket, ["k1"], retry=retry),
    "get-many": lambda bucket, retry: get_many(bucket, [f"k{n}" for n in range(100)], retry=retry),
    "set-many": lambda bucket, retry: set_many(bucket, [(f"k{n}", b"") for n in range(100)], retry=retry),
    "delete-many": lambda bucket, retry: delete_many(bucket, [f"k{n}" for n in range(100)], retry=retry),
    "keys": lambda bucket, retry: list_keys(bucket, retry=retry),
}


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("seconds", [0.01, 1, 7])  # after 7.5 the next pause may be too long
def test_a_busy_store_is_asked_again_with_growing_pauses(operation: str, seconds: float) -> None:
    bucket, retry = Busy(), Retry()
    bucket.until = seconds
    run(OPERATIONS[operation](bucket, retry))
    assert bucket.time.seconds >= seconds
    assert retry.retries == len(bucket.time.pauses) > 0
    for number, pause in enumerate(bucket.time.pauses):
        full = min(0.05 * 2**number, 2)
        assert 0.75 * full <= pause <= 1.25 * full


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("seconds", [0, 3, RETRY_SECONDS])
def test_but_not_for_longer_than_it_may(operation: str, seconds: float) -> None:
    bucket, retry = Busy(), Retry(seconds)
    bucket.until = 1e9
    with pytest.raises((StoreBusy, BatchFailed)) as failure:
        run(OPERATIONS[operation](bucket, retry))
    assert seconds - 2.5 <= bucket.time.seconds <= seconds
    assert len(bucket.calls) == retry.retries + 1 <= 15
    if seconds == 0:
        assert len(bucket.calls) == 1
    if isinstance(failure.value, BatchFailed):
        assert isinstance(failure.value.cause, StoreBusy)
        # None of the calls was made.
        assert (failure.value.applied, failure.value.failed) == ([], [])
        assert len(failure.value.not_attempted) == 100


def test_the_time_begins_anew_with_each_call_that_is_taken() -> None:
    class Often(Busy):
        def note(self, name: str, keys: Sequence[object]) -> None:
            if len(self.calls) % 2:
                self.until = self.time.seconds + 0.01
            super().note(name, keys)

    bucket, retry = Often(), Retry(1)
    for _ in range(200):
        run(set_many(bucket, [("a", b"1")], retry=retry))
    assert bucket.time.seconds > 5
    assert max(bucket.time.pauses) < 0.1


TARGETS = [
    ("GET", "/v1/default?key=k1", b"", ""),
    ("GET", "/v1/default/keys", b"", ""),
    ("GET", "/v1/default/export", b"", ""),
    ("POST", "/v1/default/get-many", b'{"keys": ["a", "b"]}', "application/json"),
    ("POST", "/v1/default/set-many", b'{"pairs": [{"key": "a", "value": "1"}]}', "application/json"),
    ("POST", "/v1/default/set-many", b'{"key": "a", "value": "1"}\n', NDJSON),
    ("POST", "/v1/default/delete-many", b'{"key": "a", "value": "1"}\n', NDJSON),
    ("POST", "/v1/default/get-many", b'{"key": "a", "value": "1"}\n', NDJSON),
    ("DELETE", "/v1/default?key=a", b"", ""),
]


@pytest.mark.parametrize(("method", "target", "body", "content_type"), TARGETS)
@pytest.mark.parametrize(("variable", "seconds"), [("0", 0.0), ("2.5", 2.5), ("", 10.0), ("10", 10.0)])
def test_every_request_waits_for_retry_seconds_and_the_log_counts_how_often(
    method: str,
    target: str,
    body: bytes,
    content_type: str,
    variable: str,
    seconds: float,
    capsys: pytest.CaptureFixture[str],
) -> None:
    bucket = Busy({"k1": b"1"})
    bucket.until = 1e9
    host = SmallHost(bucket, retry_seconds=variable)
    answer = ask(host, method, target, body, content_type=content_type)
    told = problem(answer)
    assert (told["status"], told["type"]) == (503, "/problems/store-busy")
    assert "retry-after" in dict(answer.headers)
    assert seconds - 2.5 <= bucket.time.seconds <= seconds
    line = logged(capsys)
    assert line["retries"] == len(bucket.time.pauses) == len(bucket.calls) - 1
    assert (line["retries"] == 0) == (seconds == 0)
    if "set-many" in target or "delete-many" in target:
        assert (told["applied"], told["failed"]) == (0, [])
        assert told.get("resume_line", 1) == 1
    bucket.until = bucket.time.seconds + (seconds and 1)
    assert ask(host, method, target, body, content_type=content_type).status == 200


def test_a_locked_database_is_waited_for_once_and_not_for_each_part() -> None:
    """SQLite waits five seconds by itself before it says so."""
    bucket = Busy()
    bucket.until, bucket.takes, bucket.reason = 1e9, 5.0, "database is locked"
    pairs = [{"key": f"k{number}", "value": "1"} for number in range(1_000)]
    answer = ask(SmallHost(bucket), "POST", "/v1/default/set-many", {"pairs": pairs})
    told = problem(answer)
    assert (told["status"], told["applied"], told["failed"]) == (503, 0, [])
    assert len(told["not_attempted"]) == 1_000
    assert dict(answer.headers)["retry-after"]
    assert bucket.time.seconds < RETRY_SECONDS + 2
    bucket.time.seconds = 0
    assert ask(SmallHost(bucket, retry_seconds="0"), "GET", "/v1/default?key=a").status == 503
    assert bucket.time.seconds == 5


def test_the_embedded_store_is_busy_for_writes_while_another_process_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("embedded.store.LOCK_SECONDS", 0.01)
    bucket = SqliteBucket(Database(tmp_path / FILE), "default")
    other = Database(tmp_path / FILE)
    with other.turn() as connection:
        connection.execute("BEGIN EXCLUSIVE")

        async def check() -> None:
            opened = await wit_over(bucket)
            for work in (
                set_many(opened, [("a", b"1"), ("b", b"2")], retry=Retry(0)),
                delete_many(opened, ["a", "b"], retry=Retry(0)),
            ):
                with pytest.raises(BatchFailed) as failure:
                    await work
                assert isinstance(failure.value.cause, StoreBusy)
                assert failure.value.not_attempted == ["a", "b"]
            # In WAL mode, a writer holds up no reader.
            assert await get_many(opened, ["a", "b"], retry=Retry(0)) == [("a", None), ("b", None)]

        run(check())
        connection.execute("ROLLBACK")
    bucket.set_many([("a", b"1")])
    assert bucket.get("a") == b"1"


@pytest.mark.parametrize("burst", [50, 100, 1_000])
def test_a_long_import_through_a_slow_store_finishes(burst: int, capsys: pytest.CaptureFixture[str]) -> None:
    """Scaled: 30,000 pairs at 50 writes a second take ten minutes, a million five hours and a half."""
    bucket = Limited()
    bucket.burst = burst
    pairs = numbered(30_000)
    answer = ask(SmallHost(bucket), "POST", "/v1/default/set-many", lines_of(pairs), content_type=NDJSON)
    assert (answer.status, json.loads(answer.body)) == (200, {"pairs": 30_000})  # type: ignore[arg-type]
    assert len(bucket.data) == 30_000
    assert 590 < bucket.time.seconds < 2 * 600
    assert logged(capsys)["retries"] == len(bucket.time.pauses) > 0


def test_one_that_takes_single_writes_alone_is_written_one_by_one() -> None:
    bucket = Limited()
    bucket.rate, bucket.burst = 1, 1
    run(set_many(bucket, [(f"k{number}", b"") for number in range(200)]))
    assert len(bucket.data) == 200
    assert bucket.time.seconds < 2 * 200


def test_instances_of_the_same_component_do_not_come_back_together() -> None:
    """The state of `random` is in the component, so it is the same in all instances."""
    pauses = []
    for _ in range(2):
        random.seed(1)
        time = VirtualTime()
        run(Retry(RETRY_SECONDS).pause(StoreBusy("too many requests"), 0, time.clock))
        pauses += time.pauses
    assert len(set(pauses)) == 2
