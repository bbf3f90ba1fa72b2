"""Streams through the gateway: what is applied, what is said of it, and how far ahead anything is read."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import Sequence
from contextlib import aclosing
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.gateway import Gateway
from gateway.http import BodyCutShort, Request, Response
from gateway.record import LoggedBody
from gateway.stores import MAX_REPORTED_FAILURES
from gateway.streams import FLUSH_BYTES, PART_BYTES, REMEMBERED_KEYS, _Repeats
from gateway.wire.media import JSON, NDJSON
from kv_batch.bucket import MOST_KEYS
from kv_batch.errors import NoSuchStore, StoreFailed
from kv_batch.reading import Part, Read
from tests.buckets import Cosmos, Down, DynamoDb, Refusing, Sqlite, WeighedRedis
from tests.unit.test_gateway import SmallBody, SmallHost, answered, ask, problem


def lines_of(pairs: dict[str, str]) -> bytes:
    return b"".join(json.dumps({"key": key, "value": value}).encode() + b"\n" for key, value in pairs.items())


def numbered(count: int, value: str = "v") -> dict[str, str]:
    return {f"k{number:06}": f"{value}{number}" for number in range(count)}


def cut(body: bytes, size: int) -> list[bytes | Exception]:
    """The body in chunks of a size."""
    return [body[start : start + size] for start in range(0, len(body), size)]


def send(bucket: Sqlite, operation: str, body: SmallBody | bytes, **headers: str) -> Response:
    target = f"/v1/default/{operation}"
    return ask(SmallHost(bucket), "POST", target, body, content_type=NDJSON, **headers)


def ask_all(bucket: Sqlite, method: str, target: str, body: bytes = b"", **headers: str) -> Response:
    """An answer whose body has been read to its end."""

    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return answered(SmallHost(bucket), Request(method, target, named, SmallBody([body])))


def content(answer: Response) -> bytes:
    assert answer.status == 200
    assert isinstance(answer.body, bytes)
    return answer.body


class Failing(Sqlite):
    """Works for so many calls, and then no more."""

    def __init__(self, data: dict[str, bytes], calls: int) -> None:
        super().__init__(data)
        self.left = calls

    def note(self, name: str, keys: Sequence[object]) -> None:
        super().note(name, keys)
        self.left -= 1
        if self.left < 0:
            raise StoreFailed("broken pipe")


def test_an_export_is_sorted_and_sent_back_unchanged() -> None:
    data = {"b": b"2", "a": b"\xff", "é": "é".encode(), "c\n": b'"\\'}
    exported = content(ask_all(Sqlite(data), "GET", "/v1/default/export"))
    assert [json.loads(line)["key"] for line in exported.splitlines()] == sorted(data)

    restored = Sqlite()
    assert json.loads(content(send(restored, "set-many", exported))) == {"pairs": 4}
    assert restored.data == data
    asked = ask_all(restored, "POST", "/v1/default/get-many", exported, content_type=NDJSON)
    assert content(asked) == exported
    assert json.loads(content(send(restored, "delete-many", exported))) == {"keys": 4}
    assert restored.data == {}


@pytest.mark.parametrize(
    ("query", "keys"),
    [("", ["a", "ab", "b"]), ("?prefix=a", ["a", "ab"]), ("?prefix=c", []), ("?prefix=", ["a", "ab", "b"])],
)
def test_an_export_may_be_of_a_prefix(query: str, keys: list[str]) -> None:
    bucket = Sqlite(dict.fromkeys(["b", "ab", "a"], b"1"))
    answer = ask_all(bucket, "GET", f"/v1/default/export{query}")
    assert dict(answer.headers)["content-type"] == NDJSON
    assert [json.loads(line)["key"] for line in content(answer).splitlines()] == keys


def test_an_export_reads_a_part_at_a_time_and_no_more_than_is_taken() -> None:
    bucket = Sqlite({f"{number:04}": b"v" * 20_000 for number in range(1_000)})

    async def run() -> None:
        answer = await Gateway(SmallHost(bucket)).handle(
            Request("GET", "/v1/default/export", {}, SmallBody([]))
        )
        assert isinstance(answer.body, LoggedBody)
        async with aclosing(answer.body) as chunks:
            await anext(chunks)
            second = await anext(chunks)
            assert len(second) < 2 * PART_BYTES
            assert len(bucket.calls) == 2
            del bucket.data["0500"]  # before its part is read
        assert len(bucket.calls) == 2  # closed, it reads no more

    asyncio.run(run())
    keys = [
        json.loads(line)["key"] for line in content(ask_all(bucket, "GET", "/v1/default/export")).splitlines()
    ]
    assert keys == sorted(bucket.data)
    assert len(keys) == 999


def test_a_key_deleted_while_the_export_runs_is_left_out() -> None:
    class Shrinking(Sqlite):
        async def list_keys(self) -> list[str]:
            keys = await super().list_keys()
            del self.data["b"]
            return keys

    exported = content(ask_all(Shrinking({"a": b"1", "b": b"2", "c": b"3"}), "GET", "/v1/default/export"))
    assert [json.loads(line)["key"] for line in exported.splitlines()] == ["a", "c"]


def test_an_export_that_fails_at_once_has_the_status_and_later_a_last_line() -> None:
    assert problem(ask_all(Failing({"a": b"1"}, 0), "GET", "/v1/default/export"))["status"] == 502

    data = {f"{number:04}": b"v" * 20_000 for number in range(300)}
    lines = content(ask_all(Failing(data, 2), "GET", "/v1/default/export")).splitlines()
    assert json.loads(lines[-1])["problem"]["type"] == "/problems/store-failed"
    assert json.loads(lines[-1])["problem"]["status"] == 502
    assert [json.loads(line)["key"] for line in lines[:-1]] == sorted(data)[: len(lines) - 1]
    # Sent on to an import, it is refused, with all that came before it applied.
    restored = Sqlite()
    told = problem(send(restored, "set-many", b"\n".join(lines)))
    assert (told["line"], told["applied"]) == (len(lines), len(lines) - 1)


def test_an_import_is_cut_into_calls_by_count_and_by_bytes() -> None:
    bucket = Sqlite()
    body = lines_of(numbered(2 * MOST_KEYS + 5))
    chunks = cut(body, 70_000)
    assert send(bucket, "set-many", SmallBody(chunks)).status == 200
    assert bucket.calls == [("set_many", MOST_KEYS), ("set_many", MOST_KEYS), ("set_many", 5)]

    large = Sqlite()
    body = lines_of({str(number): "v" * 1_000_000 for number in range(20)})
    chunks = cut(body, 100_000)
    assert send(large, "set-many", SmallBody(chunks)).status == 200
    assert max(size for _, size in large.calls) <= FLUSH_BYTES // 1_000_000 + 1


def test_no_more_of_a_body_is_read_than_is_written() -> None:
    class Watching(Sqlite):
        most = 0

        async def set_many(self, pairs: Sequence[tuple[str, bytes]]) -> None:
            await super().set_many(pairs)
            self.most = max(self.most, body.reads * 70_000 - sum(map(len, self.data.values())))

    text = lines_of({str(number): "v" * 1_000 for number in range(30_000)})
    chunks = cut(text, 70_000)
    body = SmallBody(chunks)
    bucket = Watching()
    assert send(bucket, "set-many", body).status == 200
    assert len(bucket.data) == 30_000
    assert bucket.most < FLUSH_BYTES + 2_000_000


def test_the_last_value_of_a_key_wins_wherever_it_stands() -> None:
    bucket = Sqlite()
    body = lines_of({"a": "first"}) + lines_of(numbered(MOST_KEYS + 600)) + lines_of({"a": "last"})
    chunks = cut(body, 9_999)
    assert json.loads(content(send(bucket, "set-many", SmallBody(chunks)))) == {"pairs": MOST_KEYS + 602}
    assert bucket.data["a"] == b"last"


@pytest.mark.parametrize("at", [0, 1, 10, MOST_KEYS - 1, MOST_KEYS, MOST_KEYS + 2_600])
def test_a_bad_line_is_named_and_all_before_it_is_there(at: int) -> None:
    bucket = Sqlite()
    good = lines_of(numbered(MOST_KEYS + 2_601)).splitlines(keepends=True)
    good[at] = b'{"key": "bad", "value": 1}\n'
    body = b"".join(good)
    chunks = cut(body, 50_000)
    told = problem(send(bucket, "set-many", SmallBody(chunks)))
    assert (told["type"], told["line"], told["applied"]) == ("/problems/invalid-value", at + 1, at)
    assert sorted(bucket.data) == sorted(numbered(at))


def test_a_body_cut_short_leaves_whole_lines_and_says_which() -> None:
    bucket = Sqlite()
    body = lines_of(numbered(10))
    told = problem(send(bucket, "set-many", SmallBody([body[:-5], BodyCutShort()])))
    assert (told["type"], told["line"], told["applied"]) == ("/problems/malformed-body", 10, 9)
    assert sorted(bucket.data) == sorted(numbered(9))


def test_an_import_of_large_lines_stops_at_once_at_a_store_that_takes_nothing() -> None:
    bucket = Down()
    body = lines_of({str(number): "v" * FLUSH_BYTES for number in range(5)})
    told = problem(send(bucket, "set-many", SmallBody(cut(body, 70_000))))
    assert (told["applied"], told["failed"], told["resume_line"]) == (0, [], 1)
    assert bucket.calls == [("set_many", 1), ("delete_many", 1)]


def test_large_lines_that_are_refused_by_themselves_stop_no_import() -> None:
    bucket = Refusing()
    bucket.longest = FLUSH_BYTES
    body = lines_of({"a": "v" * (FLUSH_BYTES + 1), "b": "1", "c": "v" * (FLUSH_BYTES + 1)})
    told = problem(send(bucket, "set-many", SmallBody(cut(body, 70_000))))
    assert [each["key"] for each in told["failed"]] == ["a", "c"]
    assert (told["applied"], "resume_line" in told, bucket.data) == (1, False, {"b": b"1"})


@settings(max_examples=25, deadline=None)
@given(calls=st.integers(0, 5), size=st.integers(4_000, 1_000_000))
def test_after_a_failure_all_before_resume_line_is_done_and_the_rest_completes(calls: int, size: int) -> None:
    bucket = Failing({}, calls)
    pairs = numbered(3 * MOST_KEYS)
    body = lines_of(pairs)
    chunks = cut(body, size)
    answer = send(bucket, "set-many", SmallBody(chunks))
    if answer.status == 200:
        assert len(bucket.data) == 3 * MOST_KEYS
        return
    told = problem(answer)
    assert told["type"] == "/problems/store-failed"
    assert told["applied"] == len(bucket.data)
    done = told["resume_line"] - 1
    assert told["failed"] == []  # it is the store that failed, and no key
    assert set(list(pairs)[:done]) == bucket.data.keys()
    bucket.left = 1_000
    rest = b"".join(body.splitlines(keepends=True)[done:])
    assert send(bucket, "set-many", rest).status == 200
    assert bucket.data == {key: value.encode() for key, value in pairs.items()}


def test_one_key_that_is_refused_does_not_stop_an_import() -> None:
    bucket = Cosmos()
    pairs = {**numbered(100), "a/b": "refused", **numbered(200, "w")}
    told = problem(send(bucket, "set-many", lines_of(pairs)))
    assert told["failed"] == [{"key": "a/b", "reason": "the id 'a/b' contains illegal characters"}]
    assert told["applied"] == 200
    assert "resume_line" not in told  # no line is left to be sent but the one that is named
    assert "All other lines were applied." in told["detail"]
    assert bucket.data.keys() == numbered(200).keys()


def test_refused_lines_that_are_neighbours_do_not_stop_an_import() -> None:
    bucket = Refusing()
    bucket.longest = 100
    pairs = numbered(1_000)
    refused = list(pairs)[10:13]
    told = problem(send(bucket, "set-many", lines_of(pairs | dict.fromkeys(refused, "v" * 101))))
    assert told["failed"] == [{"key": key, "reason": f"refused: {key}"} for key in refused]
    assert told["applied"] == 997
    assert "resume_line" not in told
    assert bucket.data.keys() == pairs.keys() - set(refused)


def test_more_refused_lines_than_can_be_named_end_an_import_where_it_can_go_on() -> None:
    bucket = Refusing()
    pairs = numbered(MOST_KEYS + 10)
    bucket.refused = frozenset(list(pairs)[5 : MAX_REPORTED_FAILURES + 6])
    told = problem(send(bucket, "set-many", lines_of(pairs)))
    assert [each["key"] for each in told["failed"]] == list(pairs)[5 : MAX_REPORTED_FAILURES + 5]
    assert told["resume_line"] == MAX_REPORTED_FAILURES + 6
    assert told["applied"] == MOST_KEYS - MAX_REPORTED_FAILURES - 1


@pytest.mark.parametrize("refused_later", [False, True])
def test_a_key_that_failed_and_was_then_written_is_not_reported(refused_later: bool) -> None:
    """The last value of a repeated key wins, so nothing is lost."""
    bucket = Refusing()
    bucket.longest = 100
    between = lines_of(numbered(MOST_KEYS))  # the key is in two calls
    after = lines_of({"z": "v" * 101}) if refused_later else b""
    body = lines_of({"a": "v" * 101}) + between + lines_of({"a": "short"}) + between + after
    answer = send(bucket, "set-many", SmallBody(cut(body, 50_000)))
    assert bucket.data["a"] == b"short"
    if not refused_later:
        assert json.loads(content(answer)) == {"pairs": 2 * MOST_KEYS + 2}
        return
    told = problem(answer)
    assert told["failed"] == [{"key": "z", "reason": "refused: z"}]
    assert (told["applied"], "resume_line" in told) == (2 * MOST_KEYS + 2, False)


def test_a_key_that_was_written_and_then_failed_is_reported() -> None:
    bucket = Refusing()
    bucket.longest = 100
    body = lines_of({"a": "short"}) + lines_of(numbered(MOST_KEYS)) + lines_of({"a": "v" * 101})
    told = problem(send(bucket, "set-many", SmallBody(cut(body, 50_000))))
    assert told["failed"] == [{"key": "a", "reason": "refused: a"}]
    assert told["applied"] == MOST_KEYS + 1


def test_as_many_refused_lines_as_can_be_named_lose_no_later_line() -> None:
    bucket = Refusing()
    pairs = numbered(2 * MOST_KEYS)
    bucket.refused = frozenset(list(pairs)[:MAX_REPORTED_FAILURES])
    told = problem(send(bucket, "set-many", SmallBody(cut(lines_of(pairs), 50_000))))
    assert len(told["failed"]) == MAX_REPORTED_FAILURES
    assert bucket.data.keys() == pairs.keys() - bucket.refused
    assert (told["applied"], "resume_line" in told) == (len(bucket.data), False)


def test_lines_that_repeat_a_few_keys_ask_for_each_once() -> None:
    bucket = Sqlite({"a": b"1", "b": b"2"})
    body = b'{"key": "a"}\n{"key": "b"}\n' * 500
    answer = content(ask_all(bucket, "POST", "/v1/default/get-many", body, content_type=NDJSON))
    assert answer == b'{"key": "a", "value": "1"}\n{"key": "b", "value": "2"}\n' * 500
    assert len(bucket.calls) <= 5


LARGE = b"v" * 1_000_000
REPEATED_BYTES = 64 * 1024 * 1024


def repeated(counts: dict[str, int]) -> bytes:
    return b"".join(b'{"key": "%s"}\n' % key.encode() * count for key, count in counts.items())


@pytest.mark.parametrize("as_json", [False, True])
def test_a_large_value_is_not_answered_again_without_an_end(as_json: bool) -> None:
    bucket = Sqlite({"a": LARGE})
    body = json.dumps({"keys": ["a"] * 10_000}).encode() if as_json else repeated({"a": 10_000})
    kind = JSON if as_json else NDJSON
    told = problem(ask_all(bucket, "POST", "/v1/default/get-many", body, content_type=kind, accept=NDJSON))
    assert (told["status"], told["limit"], told.get("line")) == (413, REPEATED_BYTES, None if as_json else 1)
    assert "Request each key once" in told["detail"]
    assert bucket.calls == [("get", 1)]


def test_a_request_that_repeats_too_much_ends_where_it_does() -> None:
    bucket = Sqlite({"a": LARGE, "b": b"1"})
    once, again = repeated({"a": 1, "b": 100}), repeated({"a": 10})
    body = SmallBody([once, *[again] * 20])
    answer = answered(
        SmallHost(bucket), Request("POST", "/v1/default/get-many", {"content-type": NDJSON}, body)
    )
    *rows, last = map(json.loads, content(answer).splitlines())
    assert [row["key"] for row in rows] == ["a", *["b"] * 100, *["a"] * (len(rows) - 101)]
    assert REPEATED_BYTES / 1_000_000 - 12 < len(rows) - 101 <= REPEATED_BYTES / 1_000_000
    assert (last["problem"]["status"], last["problem"]["line"]) == (413, len(rows) + 1)


def test_keys_that_are_not_repeated_have_no_limit_and_are_forgotten() -> None:
    bucket = Sqlite({f"k{number}": LARGE for number in range(100)})
    body = SmallBody([repeated({f"k{number}": 1 for number in range(100)})])
    request = Request("POST", "/v1/default/get-many", {"content-type": NDJSON}, body)
    assert len(content(answered(SmallHost(bucket), request))) > 100 * len(LARGE)
    repeats = _Repeats(10)
    for number in range(100):
        keys = [f"{number} {each}" for each in range(REMEMBERED_KEYS // 10)]
        repeats.add(Part(keys, dict.fromkeys(keys, b"12"), 2 * len(keys)), None)
        assert len(repeats._keys) < 1.2 * REMEMBERED_KEYS


@pytest.mark.parametrize("limit", [None, 16 * 1024 * 1024])
def test_an_answer_that_is_too_large_is_not_read_to_its_end(limit: int | None) -> None:
    bucket = WeighedRedis(dict.fromkeys((f"k{number}" for number in range(100)), LARGE * 8))
    host = SmallHost(bucket, **{} if limit is None else {"max_answer_bytes": str(limit)})
    limit = limit or 64 * 1024 * 1024
    for _ in range(2):
        bucket.rounds.clear()
        told = problem(ask(host, "POST", "/v1/default/get-many", {"keys": list(bucket.data)}))
        assert (told["status"], told["limit"]) == (413, limit)
        assert sum(size for _, size in bucket.rounds) <= max(limit, 64_000_000) + 32_000_000
    assert max(size for _, size in bucket.rounds) <= min(limit, 32_000_000)


@pytest.mark.parametrize("export", [False, True])
def test_large_values_are_streamed_from_redis_a_few_at_a_time(export: bool) -> None:
    bucket = WeighedRedis(dict.fromkeys((f"k{number:02}" for number in range(40)), LARGE * 8))
    if export:
        answer = ask_all(bucket, "GET", "/v1/default/export")
    else:
        body = repeated(dict.fromkeys(bucket.data, 1))
        answer = ask_all(bucket, "POST", "/v1/default/get-many", body, content_type=NDJSON)
    assert [json.loads(line)["key"] for line in content(answer).splitlines()] == list(bucket.data)
    assert bucket.rounds == [(8, 64_000_000)]


def test_a_key_that_is_listed_twice_is_shown_once() -> None:
    class Scanned(Sqlite):
        async def list_keys(self) -> list[str]:
            return ["b", "a", "b", "a"]

    bucket = Scanned({"a": b"1", "b": b"2"})
    answer = content(ask(SmallHost(bucket), "GET", "/v1/default/keys"))
    assert json.loads(answer) == {"keys": ["a", "b"], "next": None}
    exported = content(ask_all(bucket, "GET", "/v1/default/export"))
    assert [json.loads(line)["key"] for line in exported.splitlines()] == ["a", "b"]


def test_a_bad_line_after_a_refused_key_tells_both() -> None:
    bucket = Cosmos()
    told = problem(send(bucket, "set-many", lines_of({"a": "1", "b/c": "2", "d": "3"}) + b"{"))
    assert told["type"] == "/problems/malformed-body"
    assert (told["line"], told["applied"], "resume_line" in told) == (4, 2, False)
    assert [failed["key"] for failed in told["failed"]] == ["b/c"]


def test_a_store_that_is_not_there_is_told_plainly() -> None:
    answer = ask(
        SmallHost(NoSuchStore("no")),
        "POST",
        "/v1/default/set-many",
        b'{"key": "a", "value": "1"}',
        content_type=NDJSON,
    )
    assert problem(answer)["type"] == "/problems/no-such-store"


@pytest.mark.parametrize("bucket", [Sqlite, DynamoDb])
def test_get_many_answers_line_by_line_in_order_with_repeats(bucket: type[Sqlite]) -> None:
    store = bucket({"a": b"1", "b": b"2"})
    body = b'{"key": "b"}\n{"key": "x"}\n{"key": "a", "value": "old"}\n{"key": "b"}\n{"key": "b"}\n'
    answer = ask_all(store, "POST", "/v1/default/get-many", body, content_type=NDJSON)
    rows = [json.loads(line) for line in content(answer).splitlines()]
    assert [(row["key"], row["value"]) for row in rows] == [
        ("b", "2"), ("x", None), ("a", "1"), ("b", "2"), ("b", "2")
    ]  # fmt: skip


def test_get_many_answers_before_its_body_has_ended() -> None:
    bucket = Sqlite({"a": b"1", "b": b"2"})
    body = SmallBody([b'{"key": "a"}\n{"ke', b'y": "b"}\n', b'{"key": "c"}\n'])

    async def run() -> None:
        headers = {"content-type": NDJSON}
        answer = await Gateway(SmallHost(bucket)).handle(
            Request("POST", "/v1/default/get-many", headers, body)
        )
        assert body.reads == 1
        assert isinstance(answer.body, LoggedBody)
        async with aclosing(answer.body) as chunks:
            assert await anext(chunks) == b'{"key": "a", "value": "1"}\n'
            assert body.reads == 1
            assert await anext(chunks) == b'{"key": "b", "value": "2"}\n'
            assert body.reads == 2

    asyncio.run(run())


def test_a_bad_line_in_get_many_is_a_status_or_the_last_line() -> None:
    bucket = Sqlite({"a": b"1"})
    answer = ask_all(bucket, "POST", "/v1/default/get-many", b'{"kay": "a"}\n', content_type=NDJSON)
    assert problem(answer)["line"] == 1
    answer = ask_all(
        bucket, "POST", "/v1/default/get-many", b'{"key": "a"}\n{"key": 5}\n', content_type=NDJSON
    )
    first, last = map(json.loads, content(answer).splitlines())
    assert first == {"key": "a", "value": "1"}
    assert (last["problem"]["status"], last["problem"]["line"]) == (400, 2)


@pytest.mark.parametrize(
    ("content_type", "accept", "expected"),
    [
        (JSON, "", JSON),
        (JSON, NDJSON, NDJSON),
        (JSON, "*/*", JSON),
        (NDJSON, "", NDJSON),
        (NDJSON, "*/*", NDJSON),
        (NDJSON, JSON, JSON),
        (NDJSON, f"{JSON};q=0.5, */*;q=0.1", JSON),
        (f"{NDJSON}; charset=utf-8", "text/html", NDJSON),
        ("APPLICATION/X-NDJSON", f"{NDJSON};q=0, {JSON}", JSON),
    ],
)
def test_a_body_is_answered_in_kind_unless_accept_says_otherwise(
    content_type: str, accept: str, expected: str
) -> None:
    bucket = Sqlite({"a": b"1"})
    body = b'{"keys": ["a"]}' if content_type == JSON else b'{"key": "a"}\n'
    row: dict[str, Any] = {"key": "a", "value": "1"}
    headers = {"content_type": content_type, "accept": accept}
    answer = ask_all(bucket, "POST", "/v1/default/get-many", body, **headers)
    assert dict(answer.headers)["content-type"] == expected
    assert json.loads(content(answer)) == ({"pairs": [row]} if expected == JSON else row)
    assert "accept" in dict(answer.headers)["vary"]
    deleted = ask_all(bucket, "POST", "/v1/default/delete-many", body, **headers)
    assert dict(deleted.headers)["content-type"] == expected
    assert content(deleted) == b'{"keys": 1}\n'


def test_gzip_goes_in_and_out() -> None:
    bucket = Sqlite()
    body = lines_of(numbered(500))
    sent = send(bucket, "set-many", gzip.compress(body), content_encoding="gzip")
    assert json.loads(content(sent)) == {"pairs": 500}
    answer = ask_all(bucket, "GET", "/v1/default/export", accept_encoding="br, gzip;q=0.8")
    assert dict(answer.headers)["content-encoding"] == "gzip"
    assert gzip.decompress(content(answer)) == body
    plain = ask_all(bucket, "GET", "/v1/default/export", accept_encoding="gzip;q=0")
    assert (content(plain), dict(plain.headers).get("content-encoding")) == (body, None)
    json_body = gzip.compress(b'{"keys": ["k000001"]}')
    deleted = ask_all(
        bucket, "POST", "/v1/default/delete-many", json_body, content_type=JSON, content_encoding="X-GZIP"
    )
    assert content(deleted) == b'{"keys": 1}\n'


@pytest.mark.parametrize("coding", ["br", "deflate", "gzip, gzip", "gzip, br", "zip"])
def test_another_coding_is_refused(coding: str) -> None:
    assert problem(send(Sqlite(), "set-many", b"", content_encoding=coding))["status"] == 415


def test_a_bomb_meets_the_limits() -> None:
    bomb = gzip.compress(bytes(200_000_000))
    told = problem(send(Sqlite(), "set-many", bomb, content_encoding="gzip"))
    assert (told["status"], told["line"], told["applied"]) == (413, 1, 0)
    told = problem(
        ask(SmallHost(), "POST", "/v1/default/set-many", bomb, content_type=JSON, content_encoding="gzip")
    )
    assert told["status"] == 413


def test_values_that_turn_out_large_are_sent_in_pieces() -> None:
    sizes = [1] * 150 + [3_000_000] * 9 + [1] * 9
    bucket = Sqlite({f"{number:04}": b"v" * size for number, size in enumerate(sizes)})

    async def run() -> list[bytes]:
        request = Request("GET", "/v1/default/export", {}, SmallBody([]))
        answer = await Gateway(SmallHost(bucket)).handle(request)
        assert isinstance(answer.body, LoggedBody)
        async with aclosing(answer.body) as chunks:
            return [chunk async for chunk in chunks]

    chunks = asyncio.run(run())
    assert max(map(len, chunks)) < 3_010_000
    assert [json.loads(line)["key"] for line in b"".join(chunks).splitlines()] == sorted(bucket.data)


@given(st.lists(st.integers(0, 3_000), min_size=1, max_size=40), st.integers(100, 5_000))
def test_a_part_follows_the_size_of_the_values(sizes: list[int], about: int) -> None:
    bucket = Sqlite({f"{number:03}": bytes(size) for number, size in enumerate(sizes)})

    async def run() -> None:
        read = Read(sorted(bucket.data), about)
        got: dict[str, bytes | None] = {}
        while read.left:
            part = await read.next(bucket)
            assert part.values
            got.update(part.values)
        assert got == bucket.data
        assert list(got) == sorted(bucket.data)

    asyncio.run(run())


@pytest.mark.parametrize("data", [{}, {"a": b"1"}, {f"k{number:05}": b"v" * 300 for number in range(9_000)}])
def test_an_export_may_end_with_the_number_of_its_pairs(data: dict[str, bytes]) -> None:
    plain = content(ask_all(Sqlite(data), "GET", "/v1/default/export"))
    ended = content(ask_all(Sqlite(data), "GET", "/v1/default/export?end=true"))
    assert ended == plain + b'{"end": {"pairs": %d}}\n' % len(data)
    restored = Sqlite()
    assert json.loads(content(send(restored, "set-many?end=true", ended))) == {"pairs": len(data)}
    assert restored.data == data
    asked = ask_all(restored, "POST", "/v1/default/get-many?end=true", ended, content_type=NDJSON)
    assert content(asked) == plain
    assert json.loads(content(send(restored, "delete-many?end=true", ended))) == {"keys": len(data)}
    assert restored.data == {}


@pytest.mark.parametrize("operation", ["set-many", "delete-many"])
def test_an_import_that_was_cut_is_told_as_such(operation: str) -> None:
    body = lines_of(numbered(30_000))
    told = problem(send(Sqlite(), f"{operation}?end=true", body))
    assert (told["status"], told["line"], told["applied"]) == (400, 30_001, 30_000)
    assert "end line" in told["detail"]
    told = problem(send(Sqlite(), operation, body + b'{"end": {"pairs": 30001}}\n'))
    assert (told["line"], told["applied"]) == (30_001, 30_000)


def test_a_get_many_of_a_cut_file_ends_with_the_problem() -> None:
    body = lines_of(numbered(3))
    asked = ask_all(Sqlite(), "POST", "/v1/default/get-many?end=true", body, content_type=NDJSON)
    *pairs, last = map(json.loads, content(asked).splitlines())
    assert len(pairs) == 3
    assert (last["problem"]["type"], last["problem"]["line"]) == ("/problems/malformed-body", 4)
    answer = ask_all(
        Sqlite(), "POST", "/v1/default/get-many?end=true", body, content_type=NDJSON, accept=JSON
    )
    assert problem(answer)["line"] == 4


def test_end_is_true_or_absent() -> None:
    for target in "export?end=1", "export?end=", "export?end=true&end=true", "export?end=false":
        assert problem(ask(SmallHost(), "GET", f"/v1/default/{target}"))["parameter"] == "end"
    answer = ask(SmallHost(), "POST", "/v1/default/set-many?end=true", {"pairs": []})
    assert answer.status == 200, "JSON has an end of its own"
    assert problem(ask(SmallHost(), "GET", "/v1/default?key=a&end=true"))["parameter"] == "end"


def test_an_export_that_fails_has_no_end_line() -> None:
    data = {f"k{number:05}": b"v" * 20_000 for number in range(200)}
    answer = content(ask_all(Failing(data, 2), "GET", "/v1/default/export?end=true"))
    assert b'{"end"' not in answer
    assert b'"/problems/store-failed"' in answer.splitlines()[-1]
