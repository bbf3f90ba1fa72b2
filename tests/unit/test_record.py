"""What is kept of a request: its id, its line in the log, and where its time went."""

from __future__ import annotations

import asyncio
import json
import re
import sys
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.gateway import Gateway
from gateway.http import Request
from gateway.record import LoggedBody, trace_id
from kv_batch.errors import StoreFailed
from tests.buckets import Down, Sqlite
from tests.unit.test_gateway import SmallBody, SmallHost, ask, problem

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
NDJSON = "application/x-ndjson"


def logged(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """The one line that was logged since the last call."""
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert line.endswith("\n")
    record: dict[str, Any] = json.loads(line)
    return record


def without_times(record: dict[str, Any]) -> dict[str, Any]:
    times = [record.pop(name) for name in ("decode_ms", "store_ms", "encode_ms", "send_ms")]
    assert min(times) >= 0
    assert record.pop("ms") == pytest.approx(sum(times), abs=0.01)
    return record


def test_a_request_is_one_line_of_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    headers = {"x-request-id": "abc-123", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    body = b'{"pairs": [{"key": "a-key", "value": "a-value"}, {"key": "b-key", "value": ""}]}'
    answer = ask(
        SmallHost(),
        "POST",
        "/v1/default/set-many",
        body,
        content_type="application/json",
        **{name.replace("-", "_"): value for name, value in headers.items()},
    )
    assert dict(answer.headers)["x-request-id"] == "abc-123"
    assert without_times(logged(capsys)) == {
        "request_id": "abc-123",
        "trace_id": TRACE,
        "method": "POST",
        "route": "/v1/{store}/set-many",
        "store": "default",
        "caller": None,
        "status": 200,
        "problem": None,
        "keys": 2,
        "bytes_in": len(body),
        "bytes_out": len(b'{"pairs": 2}\n'),
        "host_calls": 1,
        "retries": 0,
    }


LINES = [
    # method, target, body, and what the log must say of it
    ("GET", "/v1/default?key=a&key=b", b"", {"keys": 2, "host_calls": 1, "route": "/v1/{store}"}),
    ("HEAD", "/v1/default?key=a", b"", {"keys": 1, "bytes_out": 0, "method": "HEAD"}),
    ("DELETE", "/v1/default?key=a&key=a", b"", {"keys": 2, "host_calls": 1}),
    ("GET", "/v1/default/keys", b"", {"keys": 3, "host_calls": 1, "route": "/v1/{store}/keys"}),
    ("GET", "/v1/default/get-many", b"", {"status": 405, "problem": "method-not-allowed", "keys": 0}),
    ("GET", "/v1/default/secret-path", b"", {"status": 404, "route": None, "store": None}),
    ("POST", "/v1/default/get-many", b"{", {"status": 400, "problem": "malformed-body", "bytes_in": 1}),
]


@pytest.mark.parametrize(("method", "target", "body", "said"), LINES, ids=range(len(LINES)))
def test_what_the_log_says(
    method: str, target: str, body: bytes, said: dict[str, object], capsys: pytest.CaptureFixture[str]
) -> None:
    host = SmallHost(Sqlite({"a": b"1", "b": b"2", "c": b"3"}))
    ask(host, method, target, body, content_type="application/json")
    line = logged(capsys)
    assert {name: line[name] for name in said} == said
    assert "secret" not in str(line)


def exported(bucket: Sqlite, most: int | None = None) -> bytes:
    """An export's chunks, `most` at most, and then it is closed."""

    async def run() -> bytes:
        request = Request("GET", "/v1/default/export", {}, SmallBody([]))
        response = await Gateway(SmallHost(bucket)).handle(request)
        assert isinstance(response.body, LoggedBody)
        chunks = []
        async with aclosing(response.body) as body:
            if most == 0:
                return b""
            async for chunk in body:
                chunks.append(chunk)
                if len(chunks) == most:
                    break
        await response.body.aclose()  # a second time, which changes nothing
        return b"".join(chunks)

    return asyncio.run(run())


def test_a_stream_is_logged_when_it_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    bucket = Sqlite({f"k{number:05}": b"v" * 1_000 for number in range(5_000)})
    body = exported(bucket)
    line = logged(capsys)
    assert (line["keys"], line["bytes_out"], line["status"]) == (5_000, len(body), 200)
    # Left alone before its first chunk (HEAD), and after it.
    for most in 0, 1:
        part = exported(bucket, most)
        assert len(part) < len(body)
        line = logged(capsys)
        assert line["bytes_out"] == len(part)
        assert line["keys"] == 100  # the first part was read for the head's sake


def test_an_import_is_counted_line_by_line(capsys: pytest.CaptureFixture[str]) -> None:
    body = b"".join(b'{"key": "k%d", "value": ""}\n' % number for number in range(30_000))
    ask(SmallHost(), "POST", "/v1/default/set-many", body, content_type=NDJSON)
    line = logged(capsys)
    assert (line["keys"], line["bytes_in"], line["host_calls"]) == (30_000, len(body), 2)


def test_a_stream_that_fails_in_the_middle_is_a_problem_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Failing(Sqlite):
        async def get_many(self, keys: Any) -> list[tuple[str, bytes | None]]:
            if "k00200" in keys:
                raise StoreFailed("no more")
            return await super().get_many(keys)

        async def get_each(self, keys: Any) -> list[bytes | None]:
            raise StoreFailed("no more")

        async def get(self, key: str) -> bytes | None:
            raise StoreFailed("no more")

    bucket = Failing({f"k{number:05}": b"v" * 10_000 for number in range(500)})
    body = exported(bucket)
    assert json.loads(body.splitlines()[-1])["problem"]["status"] == 502
    line = logged(capsys)
    assert (line["status"], line["problem"]) == (200, "store-failed")


def test_calls_that_fail_are_calls_too(capsys: pytest.CaptureFixture[str]) -> None:
    ask(SmallHost(Down()), "DELETE", "/v1/default?key=a&key=b")
    line = logged(capsys)
    assert line["problem"] == "store-failed"
    assert line["host_calls"] == 4  # both, and each, and one that tests the store


@pytest.mark.parametrize(
    "given_id", ["", " ", "a b", "a\nb", "é", "x" * 129, '"', "a,b"], ids=lambda value: repr(value[:5])
)
def test_a_request_id_that_cannot_be_used_is_replaced(
    given_id: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = ask(SmallHost(), "GET", "/v1/default?key=a", x_request_id=given_id)
    made = dict(answer.headers)["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", made)
    assert logged(capsys)["request_id"] == made


def test_each_request_has_an_id_of_its_own_and_a_problem_has_it_too() -> None:
    ids = {dict(ask(SmallHost(), "GET", "/nothing").headers)["x-request-id"] for _ in range(10)}
    assert len(ids) == 10


TRACES = [
    (f"00-{TRACE}-00f067aa0ba902b7-01", TRACE),
    (f"cc-{TRACE}-00f067aa0ba902b7-01-what-comes-later", TRACE),
    (f"cc-{TRACE}-00f067aa0ba902b7-01", TRACE),
    ("", None),
    (f"00-{TRACE}-00f067aa0ba902b7-01-more", None),
    (f"ff-{TRACE}-00f067aa0ba902b7-01", None),
    (f"00-{TRACE.upper()}-00f067aa0ba902b7-01", None),
    (f"00-{'0' * 32}-00f067aa0ba902b7-01", None),
    (f"00-{TRACE}-{'0' * 16}-01", None),
    (f"00-{TRACE}-00f067aa0ba902b7", None),
    (f"00-{TRACE}-00f067aa0ba902b7-1", None),
    (f"cc-{TRACE}-00f067aa0ba902b7-01x", None),
]


@pytest.mark.parametrize(("header", "trace"), TRACES, ids=range(len(TRACES)))
def test_the_trace_is_that_of_a_valid_traceparent(header: str, trace: str | None) -> None:
    assert trace_id(header) == trace


def test_where_the_time_went_is_told_to_a_caller_with_a_token() -> None:
    class Slow(Sqlite):
        async def get(self, key: str) -> bytes | None:
            await asyncio.sleep(0.05)
            return await super().get(key)

    host = SmallHost(Slow(), write_token="writer")
    answer = ask(host, "GET", "/v1/default?key=a", authorization="Bearer writer")
    timing = dict(answer.headers)["server-timing"]
    times = {}
    for metric in timing.split(", "):
        name, _, duration = metric.partition(";dur=")
        times[name] = float(duration)
    assert list(times) == ["decode", "store", "encode"]
    assert times["store"] >= 49
    assert times["decode"] < 49
    # Not to those who are let in without one, nor to those who are not let in.
    for authorization in ({}, {"authorization": "Bearer wrong"}):
        assert "server-timing" not in dict(ask(host, "GET", "/v1/default?key=a", **authorization).headers)
    # Also where the request itself was wrong.
    answer = ask(host, "GET", "/v1/default?kex=a", authorization="Bearer writer")
    assert answer.status == 400
    assert "server-timing" in dict(answer.headers)


SECRET = st.text(alphabet="qQzZ0189-_", min_size=12, max_size=30).map(lambda text: "sec" + text)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=SECRET, value=SECRET, token=SECRET, breaks=st.booleans())
def test_no_key_value_or_token_is_in_the_log(
    key: str, value: str, token: str, breaks: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    class Broken(Sqlite):
        async def set_many(self, pairs: Any) -> None:
            if breaks:
                raise KeyError(key, value)  # an error that quotes what was sent
            raise StoreFailed(f"{key} is not to my liking")

    gateway = Gateway(SmallHost(Broken(), anonymous="none", write_token=token))
    pairs = {"pairs": [{"key": key, "value": value}, {"key": f"{key}2", "value": value}]}
    ask(gateway, "POST", "/v1/default/set-many", pairs, authorization=f"Bearer {token}")
    ask(gateway, "POST", "/v1/default/set-many", pairs, authorization=f"Bearer {token[1:]}")
    ask(gateway, "DELETE", f"/v1/default?key={key}&{value}", authorization=f"Bearer {token}")
    ask(gateway, "GET", f"/v1/{value}/{key}", authorization=f"Bearer {token}")
    ask(
        gateway,
        "POST",
        "/v1/default/get-many",
        f'{{"keys": ["{key}"'.encode(),
        authorization=f"Bearer {token}",
    )
    log = capsys.readouterr().err
    assert log.count("\n") == 5
    for secret in (key, value, token):
        assert secret not in log


def test_an_internal_error_has_the_id_of_its_request(capsys: pytest.CaptureFixture[str]) -> None:
    class Broken(Sqlite):
        async def get(self, key: str) -> bytes | None:
            try:
                return dict[str, bytes]()[key]
            except KeyError as error:
                raise ZeroDivisionError(key) from error

    answer = ask(SmallHost(Broken()), "GET", "/v1/default?key=kkk", x_request_id="mine")
    assert problem(answer)["request_id"] == "mine"
    traceback = logged(capsys)["traceback"]
    assert traceback.index("KeyError\nwhich led to\n") < traceback.index("ZeroDivisionError\n")
    assert "kkk" not in traceback


def test_a_log_that_cannot_be_written_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full:
        def write(self, text: str) -> int:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys, "stderr", Full())
    assert ask(SmallHost(), "GET", "/v1/default?key=a").status == 200


def test_what_a_body_waits_for_its_client_is_no_work_of_ours(capsys: pytest.CaptureFixture[str]) -> None:
    async def run() -> None:
        request = Request("GET", "/v1/default/export", {}, SmallBody([]))
        answer = await Gateway(SmallHost(Sqlite({"a": b"1"}))).handle(request)
        assert isinstance(answer.body, LoggedBody)
        async with aclosing(answer.body) as body:
            async for _ in body:
                await asyncio.sleep(0.05)

    asyncio.run(run())
    line = logged(capsys)
    assert line["send_ms"] >= 49
    assert line["decode_ms"] + line["store_ms"] + line["encode_ms"] < 49
