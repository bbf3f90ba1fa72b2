"""Which keys a write reports as failed, and how far it says that it came."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from kv_batch_client import ClientError, ConnectionLost, GatewayProblem, WriteStopped
from kv_batch_client.lines import Part, key_line, parts
from kv_batch_client.retry import Retry
from kv_batch_client.writing import Written, write_parts

DONE = None
LOST = ConnectionLost("lost")


def failing(*keys: str, status: int = 502, **members: object) -> GatewayProblem:
    """The answer to a part of which some keys failed."""
    failed = [{"key": key, "reason": "refused"} for key in keys]
    code = "store-failed" if status == 502 else "malformed-body"
    return GatewayProblem(status, code, "title", "", {"applied": 0, "failed": failed, **members})


@dataclass
class Answers:
    """Gives one answer after another, and keeps what was sent."""

    answers: list[ClientError | None]
    sent: list[list[bytes]] = field(default_factory=list)

    def send(self, part: Part) -> None:
        self.sent.append(part.lines)
        answer = self.answers.pop(0) if self.answers else DONE
        if answer is not None:
            raise answer


def write(keys: str, answers: Answers, retry_seconds: float = 3600) -> Written:
    """Writes a key a letter in parts of three lines."""
    retry = Retry(retry_seconds, sleep=lambda _: None)
    return write_parts(answers.send, parts(map(key_line, keys), max_lines=3), retry)


@pytest.mark.parametrize(
    ("keys", "answers", "failed"),
    [
        ("abcdef", [failing("b"), DONE], {"b"}),
        ("abcdbe", [failing("b"), DONE], set()),  # applied by a later part
        ("abcdbe", [failing("b"), failing("b")], {"b"}),
        ("abcdbe", [failing("b"), failing("d")], {"d"}),
        ("abcdbe", [failing("b"), LOST, DONE], set()),
        ("bbc", [failing("b", resume_line=2), DONE], set()),  # applied by a later line of its part
        ("abcbde", [failing("b"), failing("d", resume_line=3), DONE], {"d"}),
        ("abcdeb", [failing("b"), failing(resume_line=3), DONE], set()),
    ],
)
def test_a_key_has_failed_if_no_later_line_of_it_was_applied(
    keys: str, answers: list[ClientError | None], failed: set[str]
) -> None:
    gateway = Answers(answers)
    written = write(keys, gateway)
    assert gateway.answers == []
    assert (set(written.failed), written.pairs) == (failed, len(keys))


@pytest.mark.parametrize(
    ("keys", "answers", "failed", "next_line"),
    [
        ("abcdbe", [failing("b"), LOST], {"b"}, 4),
        ("abcdbe", [failing("b"), GatewayProblem(502, "", "a proxy's", "", {})], {"b"}, 4),
        ("bbc", [failing("b", resume_line=2)], {"b"}, 2),
        ("abcdeb", [failing("b"), failing(resume_line=3)], {"b"}, 6),
        ("abcbde", [failing("b"), failing(resume_line=3)], set(), 6),
        ("abcbde", [failing("b"), failing(status=400, line=3)], set(), 6),
        ("abcdeb", [failing("b"), failing("d", status=400, line=3)], {"b", "d"}, 6),
        ("abcbde", [failing("b"), failing(status=400, line=3, resume_line=1)], {"b"}, 4),
    ],
)
def test_a_write_that_stops_keeps_the_keys_that_were_not_applied(
    keys: str, answers: list[ClientError | None], failed: set[str], next_line: int
) -> None:
    """It was to be sent again, but was not."""
    with pytest.raises(WriteStopped) as caught:
        write(keys, Answers(answers), retry_seconds=0)
    assert (set(caught.value.failed), caught.value.next_line) == (failed, next_line)


@pytest.mark.parametrize("error", [LOST, GatewayProblem(413, "", "a proxy's", "", {})])
def test_a_part_that_takes_too_long_is_sent_in_smaller_pieces(error: ClientError) -> None:
    """A proxy that ends each request after a fixed time, or has a limit, would end the same part for ever."""
    sent = list[int]()
    there = list[bytes]()

    def send(part: Part) -> None:
        sent.append(len(part.lines))
        if len(part.lines) > 3:
            raise error
        there.extend(part.lines)

    lines = [key_line(str(number)) for number in range(20)]
    pieces = parts(lines, max_lines=16)
    written = write_parts(send, pieces, Retry(3600, sleep=lambda _: None))
    assert (there, written.pairs) == (lines, 20)
    assert sent == [16, 8, 4, 2, 3, 4, 2, 3, 4, 2, 3, 1, 4, 2, 2]


def test_a_line_that_is_too_large_for_a_proxy_ends_the_write() -> None:
    problem = GatewayProblem(413, "", "a proxy's", "", {})
    with pytest.raises(WriteStopped) as caught:
        write("ab", Answers([problem, DONE, problem]), retry_seconds=3600)
    assert (caught.value.cause, caught.value.next_line) == (problem, 2)
