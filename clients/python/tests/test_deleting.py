"""Deletes by prefix that need several requests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kv_batch_client import ClientError, ConnectionLost, Deleted, DeleteStopped, GatewayProblem, Unreachable
from kv_batch_client.deleting import delete_all
from kv_batch_client.retry import Retry

LOST = ConnectionLost("lost")
PROXY = GatewayProblem(504, "", "a proxy's", "", {})
FORBIDDEN = GatewayProblem(403, "forbidden", "", "", {})


def failed(applied: int, *keys: str) -> GatewayProblem:
    items = [{"key": key, "reason": "refused"} for key in keys]
    return GatewayProblem(502, "store-failed", "", "", {"applied": applied, "failed": items})


class Clock:
    """Each pause takes 4 seconds."""

    now = 0.0

    def retry(self, seconds: float) -> Retry:
        return Retry(seconds, clock=lambda: self.now, sleep=self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.now += 4


def delete(answers: list[int | ClientError], counts: list[int], retry_seconds: float = 5) -> Deleted:
    left: Iterator[int] = iter(counts)

    def send() -> int:
        answer = answers.pop(0)
        if isinstance(answer, ClientError):
            raise answer
        return answer

    def count() -> int:
        value = next(left, None)
        if value is None:
            raise LOST
        return value

    return delete_all(send, count, Clock().retry(retry_seconds))


@pytest.mark.parametrize(
    ("answers", "counts", "deleted"),
    [
        ([5], [], Deleted(5)),
        ([failed(10, "x"), 5], [], Deleted(15)),
        ([failed(1), failed(1), failed(1), failed(1), 1], [], Deleted(5)),  # beyond the time, with progress
        ([LOST, 5], [], Deleted(5, is_exact=False)),
        ([failed(10), PROXY, 5], [5], Deleted(15, is_exact=False)),
        ([LOST, LOST, LOST, LOST, 5], [40, 30, 20, 10], Deleted(5, is_exact=False)),
    ],
)
def test_the_answers_are_added_up(
    answers: list[int | ClientError], counts: list[int], deleted: Deleted
) -> None:
    assert delete(answers, counts) == deleted
    assert answers == []


@pytest.mark.parametrize(
    ("answers", "counts", "deleted"),
    [
        ([failed(10), failed(0), failed(0)], [], Deleted(10)),
        ([failed(10, "x"), failed(0, "x")], [], Deleted(10, failed={"x": "refused"})),
        ([failed(10), FORBIDDEN], [], Deleted(10)),
        ([LOST, LOST, LOST], [40, 40], Deleted(0, is_exact=False)),
    ],
)
def test_a_delete_that_stops_says_what_it_did(
    answers: list[int | ClientError], counts: list[int], deleted: Deleted
) -> None:
    with pytest.raises(DeleteStopped) as caught:
        delete(answers, counts)
    assert caught.value.deleted == deleted
    assert answers == []


@pytest.mark.parametrize("error", [FORBIDDEN, Unreachable("down")])
def test_a_delete_that_never_began_has_its_plain_error(error: ClientError) -> None:
    with pytest.raises(type(error)) as caught:
        delete([error], [])
    assert caught.value is error
