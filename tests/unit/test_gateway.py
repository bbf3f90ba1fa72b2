"""The gateway over a small host: access, settings, and what a failing store is told as.

What a working store answers is in tests/component, over HTTP.
"""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import Any
from urllib.parse import quote

import pytest

from gateway.gateway import Gateway
from gateway.http import BodyCutShort, Request, Response, header_map
from gateway.problems import PROBLEMS
from gateway.settings import retry_seconds
from kv_batch.bucket import Bucket
from kv_batch.errors import (
    KvBatchError,
    NoSuchStore,
    StoreBusy,
    StoreFailed,
    StoreNotGranted,
    StoreUnreachable,
)
from tests.buckets import Cosmos, Down, Sqlite


class SmallBody:
    """A body that arrives in the chunks given; one that ends in an error was cut short."""

    def __init__(self, chunks: list[bytes | Exception]) -> None:
        self.chunks = chunks
        self.reads = 0
        self.grown = 0
        self.ended = False
        self.received = 0

    async def read(self) -> bytes:
        self.reads += 1
        chunk = self.chunks.pop(0) if self.chunks else b""
        if isinstance(chunk, Exception):
            raise chunk
        self.received += len(chunk)
        return chunk

    async def grew(self, size: int) -> None:
        self.grown += size


class SmallHost:
    """A host with one store, `default`, and the variables given."""

    def __init__(self, bucket: Bucket | Exception | None = None, /, **config: str) -> None:
        self.bucket = bucket or Sqlite()
        self.variables = {"anonymous": "write", **config}
        self.opened = 0

    def config(self, name: str) -> str | None:
        return self.variables.get(name)

    async def open(self, label: str) -> Bucket:
        self.opened += 1
        if isinstance(self.bucket, Exception):
            raise self.bucket
        if label != "default":
            raise StoreNotGranted("no")
        return self.bucket


def ask(
    host: SmallHost | Gateway,
    method: str,
    target: str,
    body: SmallBody | bytes | object = b"",
    /,
    **headers: str,
) -> Response:
    gateway = host if isinstance(host, Gateway) else Gateway(host)
    if not isinstance(body, SmallBody | bytes):
        body = json.dumps(body).encode()
        headers.setdefault("content_type", "application/json")
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    reader = body if isinstance(body, SmallBody) else SmallBody([body])
    return asyncio.run(gateway.handle(Request(method, target, named, reader)))


def answered(host: SmallHost, request: Request) -> Response:
    """The answer to a request, its body read to its end."""

    async def run() -> Response:
        answer = await Gateway(host).handle(request)
        if isinstance(answer.body, bytes):
            return answer
        async with aclosing(answer.body) as chunks:
            return Response(answer.status, answer.headers, b"".join([chunk async for chunk in chunks]))

    return asyncio.run(run())


def problem(response: Response) -> dict[str, Any]:
    assert isinstance(response.body, bytes)
    assert dict(response.headers)["content-type"] == "application/problem+json"
    assert dict(response.headers)["content-length"] == str(len(response.body))
    members: dict[str, Any] = json.loads(response.body)
    code = members["type"].removeprefix("/problems/")
    assert (response.status, members["title"]) == PROBLEMS[code]
    assert members["status"] == response.status
    return members


def code(response: Response) -> str:
    return str(problem(response)["type"]).removeprefix("/problems/")


ACCESS = [
    # anonymous, Authorization, what a read is told, what a write is told
    ("none", None, 401, 401),
    ("none", "Bearer reader", 200, 403),
    ("none", "bearer reader", 200, 403),
    ("none", "Bearer writer", 200, 200),
    ("none", "Bearer  writer ", 200, 200),
    ("none", "Bearer wrong", 401, 401),
    ("none", "Bearer", 401, 401),
    ("none", "Bearer ", 401, 401),
    ("none", "", 401, 401),
    ("none", "Basic writer", 401, 401),
    ("none", "writer", 401, 401),
    ("none", "Bearer writer, Bearer writer", 401, 401),
    ("none", "Bearer \xff\xfe", 401, 401),
    ("read", None, 200, 403),
    ("read", "Bearer writer", 200, 200),
    ("read", "Bearer wrong", 401, 401),
    ("write", None, 200, 200),
    ("write", "Bearer reader", 200, 403),
]


@pytest.mark.parametrize(("anonymous", "authorization", "reads", "writes"), ACCESS)
def test_who_may_do_what(anonymous: str, authorization: str | None, reads: int, writes: int) -> None:
    host = SmallHost(anonymous=anonymous, read_token="reader", write_token="writer")
    headers = {} if authorization is None else {"authorization": authorization}
    assert ask(host, "GET", "/v1/default?key=a", **headers).status == reads
    answer = ask(host, "DELETE", "/v1/default?key=a", **headers)
    assert answer.status == writes
    if writes == 403:
        assert dict(answer.headers)["www-authenticate"].startswith('Bearer error="insufficient_scope"')
    if writes == 401:
        assert dict(answer.headers)["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize(
    ("token", "sent", "status"),
    [
        ("à", "à".encode(), 200),
        ("à", b"\xe0", 200),
        ("Å", "Å".encode(), 200),
        ("Å", b"\xc5", 200),
        ("\u0420", "\u0420".encode(), 200),
        ("\u0420", b"?", 401),
        ("a b", b"a b", 200),
        ("a", b" a\t", 200),
        ("a", b"\xa0a", 401),
        ("a", b"a\x85", 401),
        ("écrire", "écrire".encode(), 200),
        ("écrire", b"\xe9crire", 200),
        ("écrire", b"ecrire", 401),
    ],
)
def test_a_token_is_any_text_in_either_coding(token: str, sent: bytes, status: int) -> None:
    authorization = (b"Bearer " + sent).decode("latin-1")
    for variable in "read_token", "write_token":
        host = SmallHost(anonymous="none", **{variable: token})
        answer = ask(host, "GET", "/v1/default?key=a", authorization=authorization)
        assert answer.status == status


FORBIDDEN = [
    # allowed_hosts, headers, what is told
    ("", {"sec_fetch_site": "cross-site"}, "cross-site"),
    ("", {"sec_fetch_site": "same-site"}, "same-site"),
    ("", {"sec_fetch_site": ""}, "page of another origin"),
    ("", {"sec_fetch_site": "none, cross-site"}, "cross-site"),
    ("", {"origin": "https://evil.example"}, "https://evil.example"),
    ("", {"origin": "null"}, "null"),
    ("", {"origin": ""}, "page of"),
    ("", {"origin": "http://localhost:3001"}, "localhost:3001"),
    ("", {"origin": "http://localhost"}, "http://localhost"),
    ("", {"origin": "http://localhost.evil.example:3000"}, "evil.example"),
    ("", {"origin": "http://evil@localhost:3000"}, "evil"),
    ("", {"origin": "http://localhost:3000, http://evil.example"}, "evil"),
    ("", {"origin": "file://localhost:3000"}, "file:"),
    ("", {"origin": "http://localhost:3000", "sec_fetch_site": "cross-site"}, "cross-site"),
    ("", {"origin": "https://evil.example", "sec_fetch_site": "same-origin"}, "evil.example"),
    ("", {"origin": "http://a", "host": ""}, "no host"),
    ("127.0.0.1", {}, "localhost:3000"),
    ("localhost:3001", {}, "localhost:3001"),
    ("localhost", {"host": "localhost.evil.example:3000"}, "evil.example"),
    ("localhost", {"host": "evil.example", "origin": "http://evil.example"}, "evil.example"),
    ("localhost", {"host": "localhost, evil.example"}, "evil.example"),
    ("localhost", {"host": ""}, "no host"),
]

LET_IN = [
    ("", {}),
    ("", {"sec_fetch_site": "none"}),
    ("", {"sec_fetch_site": "same-origin", "origin": "http://localhost:3000"}),
    ("", {"origin": "HTTP://LOCALHOST:3000"}),
    ("", {"origin": "https://kv.example", "host": "kv.example"}),
    ("", {"origin": "https://kv.example", "host": "kv.example:443"}),
    ("", {"origin": "http://kv.example", "host": "kv.example:80"}),
    ("", {"origin": "http://[::1]:3000", "host": "[::1]:3000"}),
    ("", {"host": "anything.example"}),
    ("localhost", {}),
    ("localhost:3000", {}),
    ("LocalHost , [::1]\n127.0.0.1", {}),
    ("LocalHost , [::1]\n127.0.0.1", {"host": "[::1]:3000"}),
    ("LocalHost , [::1]\n127.0.0.1", {"host": "127.0.0.1"}),
    ("localhost", {"host": "LOCALHOST:3000"}),
]


@pytest.mark.parametrize(("allowed_hosts", "headers", "told"), FORBIDDEN)
def test_a_page_of_another_origin_may_do_nothing_without_a_token(
    allowed_hosts: str, headers: dict[str, str], told: str
) -> None:
    bucket = Sqlite({"a": b"1"})
    host = SmallHost(bucket, allowed_hosts=allowed_hosts, write_token="writer")
    headers = {"host": "localhost:3000", **headers}
    for method, target in (("DELETE", "?key=a"), ("GET", "?key=a"), ("GET", "/keys"), ("OPTIONS", "")):
        answer = ask(host, method, f"/v1/default{target}", **headers)
        assert code(answer) == "forbidden"
        assert told in problem(answer)["detail"]
        assert dict(answer.headers)["www-authenticate"] == "Bearer"
        # A token cannot be guessed by a page, and says who asks.
        asked = ask(host, method, f"/v1/default{target}", authorization="Bearer writer", **headers)
        assert asked.status == (405 if method == "OPTIONS" else 200)
        bucket.data["a"] = b"1"


@pytest.mark.parametrize(("allowed_hosts", "headers"), LET_IN)
def test_who_is_no_such_page_is_let_in(allowed_hosts: str, headers: dict[str, str]) -> None:
    host = SmallHost(allowed_hosts=allowed_hosts)
    answer = ask(host, "DELETE", "/v1/default?key=a", **{"host": "localhost:3000", **headers})
    assert answer.status == 200


def test_a_page_is_not_told_more_than_anyone_where_all_is_closed() -> None:
    host = SmallHost(anonymous="none", write_token="writer", allowed_hosts="localhost")
    answer = ask(host, "GET", "/v1/default?key=a", origin="https://evil.example", host="evil.example")
    assert code(answer) == "unauthorized"


def test_with_nothing_configured_all_is_closed_and_says_how_to_open() -> None:
    host = SmallHost(anonymous="")
    body = SmallBody([b"x" * 1_000] * 1_000)
    for authorization in ({}, {"authorization": "Bearer "}, {"authorization": "Bearer x"}):
        answer = ask(host, "POST", "/v1/default/set-many", body, **authorization)
        assert code(answer) == "unauthorized"
    detail = problem(ask(host, "GET", "/v1/default"))["detail"]
    assert "SPIN_VARIABLE_WRITE_TOKEN" in detail  # in an app of its own
    assert "SPIN_VARIABLE_PREFIX_WRITE_TOKEN" in detail  # in another app (tools/snippet.py)
    assert (body.reads, host.opened) == (0, 0)


@pytest.mark.parametrize(
    "path", ["/v1", "/v1/", "/v1/x/y/z", "/v1/%ff", "/%76%31/default", "/v1/default/nothing"]
)
def test_a_stranger_is_not_told_what_exists(path: str) -> None:
    assert code(ask(SmallHost(anonymous="none"), "GET", path)) == "unauthorized"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("anonymous", "yes"),
        ("anonymous", "READ"),
        ("max_keys", "0"),
        ("max_keys", "-1"),
        ("max_keys", "ten"),
        ("max_keys", "1.5"),
        ("max_keys", "٣"),
        ("max_body_bytes", "16MiB"),
        ("max_key_bytes", " 7"),
        ("max_value_bytes", "9" * 5_000),
        ("max_answer_bytes", "0x10"),
        ("read_token", "secret\n"),
        ("write_token", "secret\r\n"),
        ("write_token", " secret"),
        ("write_token", "secret\u00a0"),
        ("write_token", " "),
        ("write_token", "\n"),
        ("write_token", "two\nlines"),
        ("allowed_hosts", "http://localhost"),
        ("allowed_hosts", "localhost/path"),
        ("allowed_hosts", "*.example"),
        ("allowed_hosts", "::1"),
        ("allowed_hosts", "localhost:port"),
        ("retry_seconds", "-1"),
        ("retry_seconds", "ten"),
        ("retry_seconds", "10s"),
        ("retry_seconds", "1e3"),
        ("retry_seconds", "10000"),
        ("retry_seconds", ".7"),
        ("retry_seconds", "٣"),
        ("retry_seconds", "nan"),
    ],
)
def test_a_bad_setting_is_named(variable: str, value: str) -> None:
    answer = problem(ask(SmallHost(**{variable: value}), "GET", "/v1/default?key=a"))
    assert (answer["type"], answer["variable"]) == ("/problems/misconfigured", variable)
    assert value.strip() not in answer["detail"] or not value.strip() or value == "::1"


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(None, 10), ("", 10), ("0", 0), ("0.0", 0), ("0.25", 0.25), ("10", 10), ("9999.999", 9999.999)],
)
def test_retry_seconds_are_a_number_of_seconds(value: str | None, seconds: float) -> None:
    assert retry_seconds({"retry_seconds": value}.get) == seconds


def test_a_bad_setting_can_be_mended_without_a_restart() -> None:
    host = SmallHost(max_keys="none")
    gateway = Gateway(host)
    assert code(ask(gateway, "GET", "/v1/default?key=a")) == "misconfigured"
    host.variables["max_keys"] = "1"
    assert ask(gateway, "GET", "/v1/default?key=a").status == 200
    assert code(ask(gateway, "GET", "/v1/default?key=a&key=b")) == "too-large"


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/", 200),
        ("GET", "", 200),
        ("HEAD", "/", 200),
        ("POST", "/", 405),
        ("GET", "/docs", 200),
        ("HEAD", "/docs", 200),
        ("POST", "/docs", 405),
        ("GET", "/docs/", 404),
        ("OPTIONS", "*", 404),
        ("GET", "//v1/default", 404),
        ("GET", "/v2/default", 404),
        ("GET", "/V1/default", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/", 404),
        ("GET", "/v1//keys", 404),
        ("GET", "/v1/default/", 404),
        ("GET", "/v1/default/keys/", 404),
        ("GET", "/v1/default/keys/x", 404),
        ("GET", "/v1/default/get_many", 404),
        ("GET", "/v1/default/None", 404),
        ("GET", "/v1/%ff/keys", 404),
        ("GET", "/v1/default%2Fkeys?key=a", 403),
        ("GET", "/v1/%2e%2e/keys", 403),
        ("GET", "/v1/" + "x" * 10_000 + "?key=a", 403),
        ("GET", "/v1/%64efault/ke%79s", 200),
        ("HEAD", "/v1/default/keys", 200),
        ("HEAD", "/v1/default/get-many", 405),
        ("GET", "/v1/default/get-many", 405),
        ("PUT", "/v1/default", 405),
        ("get", "/v1/default", 405),
        ("OPTIONS", "/v1/default/set-many", 405),
        ("BREW" * 1_000, "/v1/default/keys", 405),
    ],
)
def test_every_path_and_method_has_its_answer(method: str, target: str, status: int) -> None:
    answer = ask(SmallHost(), method, target)
    assert answer.status == status
    if status == 405:
        assert dict(answer.headers)["allow"] in ("GET, DELETE, HEAD", "GET, HEAD", "POST")


ASKED_WRONGLY: list[tuple[str, str, bytes, dict[str, str], str, str]] = [
    # method, query, body, headers, code, what to send instead
    ("GET", "", b"", {}, "malformed-query", "GET /v1/default?key=a&key=b"),
    ("GET", "?encoding=base64", b"", {}, "malformed-query", "POST /v1/default/get-many"),
    ("GET", "", b'{"keys": ["key1"]}', {"content_type": "application/json"}, "malformed-query", "/get-many"),
    ("HEAD", "", b"", {}, "malformed-query", "/v1/default/keys"),
    ("DELETE", "", b"", {}, "malformed-query", "DELETE /v1/default?key=a&key=b"),
    ("DELETE", "", b'["key1"]', {"content_type": "application/json"}, "malformed-body", "/delete-many"),
    (
        "DELETE",
        "",
        b'{"keys": ["key1"]}',
        {"content_type": "application/json"},
        "malformed-body",
        "/delete-many",
    ),
    (
        "DELETE",
        "",
        b'{"key": "key1"}\n',
        {"content_type": "application/x-ndjson"},
        "malformed-body",
        "/delete-many",
    ),
    ("DELETE", "?key=key1", b'{"keys": ["key2"]}', {}, "malformed-body", "/delete-many"),
    ("DELETE", "?key=key1", b"x", {"transfer_encoding": "chunked"}, "malformed-body", "/delete-many"),
]


@pytest.mark.parametrize(("method", "query", "body", "headers", "expected", "told"), ASKED_WRONGLY)
def test_a_shell_that_asks_wrongly_is_told_what_to_send(
    method: str, query: str, body: bytes, headers: dict[str, str], expected: str, told: str
) -> None:
    bucket = Sqlite({"key1": b"1"})
    answer = ask(SmallHost(bucket), method, f"/v1/default{query}", body, **headers)
    assert (answer.status, code(answer)) == (400, expected)
    assert told in problem(answer)["detail"]
    assert (bucket.data, bucket.calls) == ({"key1": b"1"}, [])


def test_an_empty_key_is_a_key() -> None:
    bucket = Sqlite({"": b"1", "a": b"2"})
    assert ask(SmallHost(bucket), "GET", "/v1/default?key=").status == 200
    assert ask(SmallHost(bucket), "DELETE", "/v1/default?key").status == 200
    assert bucket.data == {"a": b"2"}


@pytest.mark.parametrize(
    ("target", "left"),
    [
        ("/v1/default?key=a#x", ["a#x"]),
        ("/v1/default?key=a%23x#y", ["a"]),
        ("/v1/default?key=a#", ["a#x"]),
        ("/v1/default?#key=a", None),
        ("/v1/default#?key=a", None),
    ],
)
def test_a_fragment_is_no_part_of_a_request(target: str, left: list[str] | None) -> None:
    """Spin drops it before a component sees it, as RFC 9112 section 3.2 has it: so it is on every host."""
    bucket = Sqlite({"a": b"1", "a#x": b"2"})
    answer = ask(SmallHost(bucket), "DELETE", target)
    if left is None:
        assert code(answer) == "malformed-query"
    assert list(bucket.data) == (left or ["a", "a#x"])


REFUSED = "'\"\\/?#"


@pytest.mark.parametrize("key", ["it's", 'a"b', "a\\b", "a/b", "a?", "#", "x" * 100 + "'"])
def test_a_key_with_a_refused_character_never_gets_to_the_store(key: str) -> None:
    bucket = Sqlite()
    host = SmallHost(bucket, refused_characters=REFUSED)
    pair = {"key": key, "value": "1"}
    pairs = {"pairs": [{"key": "good", "value": "1"}, pair]}
    lines = json.dumps(pair).encode() + b"\n"
    query = f"/v1/default?key={quote(key, safe='')}"
    requests: list[tuple[str, str, object, dict[str, str]]] = [
        ("POST", "/v1/default/set-many", pairs, {}),
        ("POST", "/v1/default/get-many", {"keys": ["good", key]}, {}),
        ("POST", "/v1/default/delete-many", {"keys": ["good", key]}, {}),
        ("GET", query, b"", {}),
        ("DELETE", query, b"", {}),
        *(
            ("POST", f"/v1/default/{operation}", lines, {"content_type": "application/x-ndjson"})
            for operation in ("set-many", "get-many", "delete-many")
        ),
    ]
    for method, target, body, headers in requests:
        answer = ask(host, method, target, body, **headers)
        told = problem(answer)
        assert (told["type"], told["status"]) == ("/problems/invalid-key", 400)
        assert "refused_characters" in told["detail"]
    assert (bucket.data, bucket.calls) == ({}, [])
    good = ask(host, "POST", "/v1/default/set-many", {"pairs": [{"key": "good: é", "value": key}]})
    assert (good.status, list(bucket.data)) == (200, ["good: é"])


@pytest.mark.parametrize(
    ("target", "content_type", "accepted"),
    [
        ("get-many", "application/json", True),
        ("get-many", "Application/JSON ; charset=utf-8", True),
        ("get-many", "", False),
        ("get-many", "text/plain", False),
        ("get-many", "application/x-www-form-urlencoded", False),
        ("get-many", "multipart/form-data; boundary=x", False),
        ("delete-many", "application/jsonp", False),
    ],
)
def test_a_body_needs_the_right_media_type(target: str, content_type: str, accepted: bool) -> None:
    body = b'{"keys": []}'
    answer = ask(SmallHost(), "POST", f"/v1/default/{target}", body, content_type=content_type)
    assert (answer.status == 200) is accepted
    if not accepted:
        assert code(answer) == "unsupported-media-type"
        assert dict(answer.headers)["accept-post"] == "application/json, application/x-ndjson"


def test_a_body_that_says_it_is_too_long_is_refused_unread() -> None:
    body = SmallBody([b"x"])
    answer = ask(
        SmallHost(),
        "POST",
        "/v1/default/get-many",
        body,
        content_type="application/json",
        content_length="9" * 18,
    )
    assert (code(answer), body.reads) == ("too-large", 0)
    assert problem(answer)["actual"] == int("9" * 18)


def test_a_body_without_a_length_is_read_no_further_than_the_limit() -> None:
    body = SmallBody([b" " * 1_000] * 1_000)
    host = SmallHost(max_body_bytes="10000")
    answer = ask(host, "POST", "/v1/default/get-many", body, content_type="application/json")
    assert (code(answer), body.reads) == ("too-large", 11)


@pytest.mark.parametrize("chunks", [[], [b'{"pairs": [{"key": "a", "value": "1"}]}']])
def test_a_body_cut_short_changes_nothing_even_if_it_looks_whole(chunks: list[bytes]) -> None:
    bucket = Sqlite()
    body = SmallBody([*chunks, BodyCutShort()])
    answer = ask(SmallHost(bucket), "POST", "/v1/default/set-many", body, content_type="application/json")
    assert code(answer) == "malformed-body"
    assert (bucket.data, bucket.calls) == ({}, [])


@pytest.mark.parametrize(
    ("bucket", "expected"),
    [
        (NoSuchStore("x"), "no-such-store"),
        (StoreNotGranted("x"), "store-not-granted"),
        (StoreBusy("too many requests"), "store-busy"),
        (StoreFailed("connection refused"), "store-failed"),
        (StoreUnreachable("the store has not answered"), "store-failed"),
    ],
)
def test_a_store_that_cannot_be_opened_is_told_as_it_is(bucket: KvBatchError, expected: str) -> None:
    for target, body in (
        ("get-many", {"keys": ["a"]}),
        ("set-many", {"pairs": [{"key": "a", "value": "1"}]}),
    ):
        answer = ask(SmallHost(bucket), "POST", f"/v1/default/{target}", body)
        assert code(answer) == expected
        assert ("retry-after" in dict(answer.headers)) is (expected == "store-busy")
        if target == "set-many" and expected in ("store-busy", "store-failed"):
            told = problem(answer)
            assert (told["applied"], told["failed"], told["not_attempted"]) == (0, [], ["a"])


def test_a_partial_failure_is_told_whole() -> None:
    pairs = [{"key": f"k{i}", "value": "1"} for i in range(10)] + [{"key": "a/b", "value": "1"}]
    bucket = Cosmos()
    answer = problem(ask(SmallHost(bucket), "POST", "/v1/default/set-many", {"pairs": pairs}))
    assert answer["status"] == 502
    assert answer["applied"] == len(bucket.data) == 10
    assert answer["failed"] == [{"key": "a/b", "reason": "the id 'a/b' contains illegal characters"}]
    assert answer["not_attempted"] == []


def test_a_dead_store_is_told_with_what_it_was_asked_for() -> None:
    keys = [f"k{i}" for i in range(10)]
    answer = problem(ask(SmallHost(Down()), "POST", "/v1/default/delete-many", {"keys": keys}))
    assert (answer["status"], answer["applied"], answer["not_attempted"]) == (502, 0, [])
    assert [pair["key"] for pair in answer["failed"]] == keys  # all were in the first call
    answer = problem(ask(SmallHost(Down()), "GET", "/v1/default?key=a"))
    assert (answer["status"], answer["failed"]) == (502, [{"key": "a", "reason": "connection refused"}])


def test_an_unforeseen_error_is_an_answer_and_its_traceback_is_in_the_log(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Broken(Sqlite):
        async def get(self, key: str) -> bytes | None:
            raise ZeroDivisionError("secret")

    answer = ask(SmallHost(Broken()), "GET", "/v1/default?key=a")
    assert code(answer) == "internal-error"
    assert "secret" not in str(answer.body)
    logged = json.loads(capsys.readouterr().err)
    assert logged["request_id"] == problem(answer)["request_id"]
    assert logged["problem"] == "internal-error"
    assert logged["traceback"].endswith("builtins.ZeroDivisionError\n")
    assert 'raise ZeroDivisionError("' in logged["traceback"]  # our own source, and where


def test_a_store_is_opened_once_and_again_when_it_was_lost() -> None:
    class Lost(Sqlite):
        lost = False

        async def get(self, key: str) -> bytes | None:
            if self.lost:
                self.lost = False
                raise NoSuchStore("the handle is stale")
            return await super().get(key)

    bucket = Lost({"a": b"1"})
    host = SmallHost(bucket)
    gateway = Gateway(host)
    for _ in range(3):
        assert ask(gateway, "GET", "/v1/default?key=a").status == 200
    assert host.opened == 1
    bucket.lost = True
    assert ask(gateway, "GET", "/v1/default?key=a").status == 200
    assert host.opened == 2


def test_an_answer_over_the_limit_is_refused_before_it_is_made() -> None:
    bucket = Sqlite({"a": b"x" * 400, "b": b"\x00" * 100})
    host = SmallHost(bucket, max_answer_bytes="500")
    assert ask(host, "GET", "/v1/default?key=a").status == 200
    # Too much by its values, by a repeat, and only once it is escaped.
    for query in ("key=a&key=b&key=c", "key=a&key=a", "key=b&key=c"):
        answer = ask(host, "GET", f"/v1/default?{query}")
        assert (code(answer), problem(answer)["limit"]) == ("too-large", 500)


@pytest.mark.parametrize(
    ("query", "keys", "following"),
    [
        ("", ["a", "b1", "b2", "é", "😀"], None),
        ("limit=2", ["a", "b1"], "b1"),
        ("limit=2&after=b1", ["b2", "é"], "é"),
        ("limit=2&after=%C3%A9", ["😀"], None),
        ("after=b", ["b1", "b2", "é", "😀"], None),
        ("prefix=b", ["b1", "b2"], None),
        ("prefix=b&limit=1", ["b1"], "b1"),
        ("prefix=b&limit=1&after=b1", ["b2"], None),
        ("prefix=x", [], None),
        ("after=%F0%9F%98%80", [], None),
        ("limit=10000", ["a", "b1", "b2", "é", "😀"], None),
    ],
)
def test_keys_come_in_pages(query: str, keys: list[str], following: str | None) -> None:
    bucket = Sqlite(dict.fromkeys(["😀", "b2", "é", "a", "b1"], b""))
    answer = ask(SmallHost(bucket), "GET", f"/v1/default/keys?{query}")
    assert isinstance(answer.body, bytes)
    assert json.loads(answer.body) == {"keys": keys, "next": following}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=10001", "limit=", "limit=x", "limit=1&limit=2", "limit=٣", "to=x"]
)
def test_a_bad_page_is_refused(query: str) -> None:
    assert code(ask(SmallHost(), "GET", f"/v1/default/keys?{query}")) == "malformed-query"


def test_headers_are_found_whatever_their_case_and_joined_when_repeated() -> None:
    assert header_map([("X-A", b"1"), ("x-a", b"2"), ("B", b"\xff")]) == {"x-a": "1, 2", "b": "\xff"}
    assert header_map([("x-a", b"1"), ("x-a", b"2")]) == {"x-a": "1, 2"}
    assert header_map([("x-a", b"1"), ("B", b"2")]) == {"x-a": "1", "b": "2"}
    assert header_map([("x-a", b"1"), ("b", b"\xff")]) == {"x-a": "1", "b": "\xff"}
    assert header_map([("1", b"1")]) == {"1": "1"}
    assert header_map([]) == {}
