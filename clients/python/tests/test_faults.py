"""Imports and exports against a gateway that fails at any line: success means equal stores."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_gateway import Fault, Gateway, Kind
from kv_batch_client import ClientError, GatewayProblem, Store, Unreachable, WriteStopped
from kv_batch_client.errors import BadInput, problem_of
from kv_batch_client.lines import Part, checked, end_line, pair_line, parts
from kv_batch_client.retry import Retry

KINDS: list[Kind] = ["ok", "cut-before", "cut-after", "busy", "resume", "proxy"]
faults = st.lists(st.builds(Fault, st.sampled_from(KINDS), st.integers(0, 6)), max_size=8)
patiences = st.sampled_from([0, 3600])
names = st.sampled_from(list("abcdefghij"))
pair_lists = st.lists(st.tuples(names, st.binary(max_size=3)), max_size=25)


def opened(gateway: Gateway, retry_seconds: float = 3600, part_lines: int = 4) -> Store:
    store = Store(
        "http://gateway.test", transport=gateway, retry_seconds=retry_seconds, part_lines=part_lines
    )
    store._connection.was_reached = True
    store._retry = lambda: _quick(retry_seconds)  # type: ignore[method-assign]
    return store


def _quick(seconds: float) -> Retry:
    return Retry(seconds, sleep=lambda _: None)


@given(pairs=pair_lists, faults=faults, refused=st.sets(names, max_size=2), patience=patiences)
def test_a_write_that_succeeds_made_the_store_equal(
    pairs: list[tuple[str, bytes]], faults: list[Fault], refused: set[str], patience: float
) -> None:
    gateway = Gateway(faults=list(faults), refused=refused)
    wanted = {key: value for key, value in pairs if key not in refused}
    try:
        written = opened(gateway, patience).set_many(pairs)
    except WriteStopped as stopped:
        assert patience == 0
        before = {key for key, _ in pairs[: stopped.next_line - 1]}
        assert before - refused <= gateway.pairs.keys()
        return
    assert gateway.pairs == wanted
    assert written.failed.keys() == {key for key, _ in pairs} & refused
    assert written.pairs == len(pairs)


@given(
    pairs=st.dictionaries(names, st.binary(max_size=3)),
    faults=st.lists(st.builds(Fault, st.sampled_from([*KINDS, "refuse"]), st.integers(0, 6)), max_size=8),
    patience=st.sampled_from([0, 3600]),
)
def test_an_export_that_ends_has_every_pair_once(
    pairs: dict[str, bytes], faults: list[Fault], patience: float
) -> None:
    store = opened(Gateway(pairs, list(faults)), patience)
    read = list[tuple[str, bytes]]()
    try:
        read.extend(store.pairs())
    except ClientError:
        assert patience == 0
        return
    assert read == sorted(pairs.items())


@given(pairs=st.dictionaries(names, st.binary(max_size=3)), faults=faults, asked=st.lists(names, max_size=12))
def test_get_many_answers_every_key_in_order(
    pairs: dict[str, bytes], faults: list[Fault], asked: list[str]
) -> None:
    store = opened(Gateway(pairs, list(faults)))
    assert list(store.get_many(asked)) == [(key, pairs.get(key)) for key in asked]


@given(
    lines=st.lists(st.sampled_from([b"", b'{"key": "a"}', b" "])),
    size=st.integers(1, 5),
    most=st.integers(1, 40),
)
def test_parts_are_the_input_with_its_line_numbers(lines: list[bytes], size: int, most: int) -> None:
    cut = list(parts(lines, max_lines=size, max_bytes=most))
    assert [line for part in cut for line in part.lines] == lines
    for part in cut:
        assert lines[part.first - 1 : part.after - 1] == part.lines
        assert part.rest(2) == Part(part.lines[1:], part.first + 1)


def test_a_gateway_that_never_answered_is_not_waited_for() -> None:
    gateway = Gateway(faults=[Fault("cut-before")])
    with Store("http://gateway.test", transport=gateway) as store, pytest.raises(WriteStopped) as caught:
        store.set_many([("a", b"1")])
    assert isinstance(caught.value.cause, Unreachable)
    assert gateway.requests == 1


def test_a_part_is_sent_in_pieces_with_its_length() -> None:
    requests = list[httpx.Request]()
    sent = list[int]()

    def answer(request: httpx.Request) -> httpx.Response:
        request.read()
        requests.append(request)
        return httpx.Response(200, json={})

    lines = [pair_line(f"k{number}", b"v" * 1_000) for number in range(1_000)]
    store = Store("http://gateway.test", transport=httpx.MockTransport(answer), part_lines=600)
    store.write_lines("set-many", lines, on_sent=sent.append)
    assert b"".join(request.content for request in requests).splitlines() == [
        *lines[:600], end_line(600).strip(), *lines[600:], end_line(400).strip()
    ]  # fmt: skip
    for request in requests:
        assert request.headers["content-length"] == str(len(request.content))
        assert "transfer-encoding" not in request.headers
    assert sent == sorted(sent)
    assert (len(sent) > 3, sent[-1]) == (True, 1_000)


@pytest.mark.parametrize(
    "error",
    [
        httpx.RemoteProtocolError("Server disconnected without sending a response."),
        httpx.ReadError("[Errno 104] Connection reset by peer"),
    ],
)
def test_a_gateway_that_is_killed_before_its_first_answer_is_waited_for(error: Exception) -> None:
    page = httpx.Response(200, json={"keys": ["a"], "next": None})
    answers: list[Exception | httpx.Response] = [error, httpx.ConnectError("refused"), page]
    waits = list[str]()

    def answer(_: httpx.Request) -> httpx.Response:
        given = answers.pop(0)
        if isinstance(given, Exception):
            raise given
        return given

    store = Store(
        "http://gateway.test",
        transport=httpx.MockTransport(answer),
        on_wait=lambda lost, _: waits.append(str(lost)),
    )
    assert list(store.keys()) == ["a"]
    reason = str(error).removeprefix("[Errno 104] ").removesuffix(".")
    assert waits == [
        f"The connection to http://gateway.test/v1/default was lost: {each}" for each in (reason, "refused")
    ]


def test_a_bad_line_has_its_number_in_the_input() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        lines = request.read().split(b"\n")
        if b"bad" not in lines:
            return httpx.Response(200, json={})
        document = {"type": "/problems/malformed-body", "title": "T", "line": lines.index(b"bad") + 1}
        return httpx.Response(400, json=document)

    good = pair_line("a", b"1")
    store = Store("http://gateway.test", transport=httpx.MockTransport(answer), part_lines=3)
    with pytest.raises(WriteStopped) as caught:
        store.write_lines("set-many", [good, b"", good, good, b"bad", good])
    assert (caught.value.bad_line, caught.value.next_line) == (5, 5)


def test_retry_after_beyond_the_deadline_is_not_waited_for() -> None:
    headers = {"retry-after": "100"}
    document = {"type": "/problems/store-busy", "title": "Busy"}
    transport = httpx.MockTransport(lambda _: httpx.Response(503, json=document, headers=headers))
    store = Store("http://gateway.test", transport=transport, retry_seconds=5)
    with pytest.raises(GatewayProblem) as caught:
        list(store.keys())
    assert caught.value.retry_after == 100


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        (None, 3_000, 3_600),
        ("Fri, 31 Dec 1999 23:59:59 GMT", 0, 0),
    ],
)
def test_retry_after_is_a_number_or_a_date(header: str | None, least: float, most: float) -> None:
    in_an_hour = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    seconds = problem_of(503, b"", header or in_an_hour).retry_after
    assert seconds is not None
    assert least <= seconds <= most
    assert problem_of(503, b"", "soon").retry_after is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b'{"key": "a", "value": "1"}\n{"end": {"pairs": 2}}', "Line 2 is the end line of 2 pairs, but 1"),
        (b'{"problem": {"title": "The store failed"}}', "The store failed"),
        (b'{"key": "a", "value": "1"}', "no end line"),
    ],
)
def test_a_file_that_was_cut_is_refused(text: bytes, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        list(checked(text.split(b"\n"), needs_end=True))


def test_a_file_with_end_lines_in_it_keeps_its_line_numbers() -> None:
    line, end = pair_line("a", b"1"), b'{"end": {"pairs": 1}}'
    assert list(checked([line, end, b"", line, end], needs_end=True)) == [line, b"", b"", line, b""]


def test_a_write_whose_source_fails_says_how_far_it_came() -> None:
    gateway = Gateway(refused={"b"})
    line, end = pair_line("a", b"1"), b'{"end": {"pairs": 9}}'
    lines = [pair_line("b", b"2"), line, line, line, line, end]
    with pytest.raises(WriteStopped) as caught:
        opened(gateway).write_lines("set-many", checked(lines))
    assert isinstance(caught.value.cause, BadInput)
    assert (caught.value.next_line, caught.value.failed) == (5, {"b": "refused"})
    assert gateway.pairs == {"a": b"1"}
