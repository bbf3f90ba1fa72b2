"""The variable `tokens`: named tokens, each with a scope, stores and a prefix of keys."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http import Request, header_map
from gateway.routes import ROUTES
from tests.buckets import Sqlite
from tests.unit.test_gateway import SmallBody, SmallHost, answered

NDJSON = "application/x-ndjson"
JSON = "application/json"
FORM = "multipart/form-data; boundary=b"

OWN = {"ci:a": b"1", "ci:b": b"2"}
OTHERS = {"a": b"3", "ci": b"4", "cj:a": b"5", "": b"6"}


def entry(token: str, **members: object) -> dict[str, object]:
    """An entry of the variable, by default of a token that may write anything."""
    return {"name": token, "sha256": sha256(token.encode()).hexdigest(), "scope": "write", **members}


def host(*entries: Mapping[str, object], **config: str) -> SmallHost:
    """A host with these tokens, over a store with keys of the prefix `ci:` and others."""
    return SmallHost(Sqlite({**OWN, **OTHERS}), anonymous="none", tokens=json.dumps(entries), **config)


def send(
    where: SmallHost, method: str, target: str, body: bytes = b"", content_type: str = JSON, token: str = "ci"
) -> tuple[int, bytes]:
    """The status and the body of the answer."""

    fields = [("authorization", f"Bearer {token}".encode()), ("content-type", content_type.encode())]
    request = Request(method, target, header_map(fields), SmallBody([body] if body else []))
    answer = answered(where, request)
    assert isinstance(answer.body, bytes)
    return answer.status, answer.body


def stored(where: SmallHost) -> dict[str, bytes]:
    """What the store holds."""
    assert isinstance(where.bucket, Sqlite)
    return where.bucket.data


def naming(key: str) -> list[tuple[str, str, bytes, str]]:
    """Every request that names a key: method, target, body, content-type; the own key stands before it."""
    pairs = [{"key": "ci:a", "value": "x"}, {"key": key, "value": "x"}]
    keys = [pair["key"] for pair in pairs]
    lines = "".join(json.dumps(pair) + "\n" for pair in pairs).encode()
    key_lines = "".join(json.dumps({"key": each}) + "\n" for each in keys).encode()
    spaced = lines.replace(b'{"key"', b'{ "key"')
    escaped = lines.replace(b'"ci:a"', rb'"\u0063i:a"')
    packed = json.dumps({"key": key, "value": "eA==", "encoding": "base64"}).encode()
    disposition = f'--b\r\ncontent-disposition: form-data; name="{key}"\r\n\r\nx\r\n--b--\r\n'.encode()
    query = f"?key=ci:a&key={quote(key, safe='')}"
    requests = [
        ("GET", f"/v1/default{query}", b"", JSON),
        ("DELETE", f"/v1/default{query}", b"", JSON),
        ("POST", "/v1/default/set-many", json.dumps({"pairs": pairs}).encode(), JSON),
        ("POST", "/v1/default/set-many", packed + b"\n", NDJSON),
        ("POST", "/v1/default/set-many", disposition, FORM),
    ]
    wanted = json.dumps({"keys": keys}).encode()
    requests += [
        ("POST", f"/v1/default/{operation}", wanted, JSON) for operation in ("get-many", "delete-many")
    ]
    for operation in ("get-many", "set-many", "delete-many"):
        bodies = [lines, spaced, escaped] + ([key_lines] if operation != "set-many" else [])
        requests += [("POST", f"/v1/default/{operation}", body, NDJSON) for body in bodies]
    return requests


@pytest.mark.parametrize("number", range(len(naming("x"))))
@pytest.mark.parametrize("key", sorted({*OTHERS, "new"} - {""}))
def test_a_prefix_token_names_no_key_outside_its_prefix(key: str, number: int) -> None:
    method, target, body, content_type = naming(key)[number]
    where = host(entry("ci", prefix="ci:"))
    status, answer = send(where, method, target, body, content_type)
    if status == 200:  # an NDJSON answer that had begun
        assert (target, content_type) == ("/v1/default/get-many", NDJSON)
        problem = json.loads(answer.splitlines()[-1])["problem"]
    else:
        problem = json.loads(answer)
    assert (problem["type"], problem["status"]) == ("/problems/forbidden", 403)
    assert problem.keys() & {"pointer", "line", "parameter"}
    assert {name: value for name, value in stored(where).items() if name in OTHERS} == OTHERS
    assert "new" not in stored(where)
    if content_type != NDJSON:
        assert stored(where) == {**OWN, **OTHERS}  # the store was not touched


@pytest.mark.parametrize("number", range(len(naming("x"))))
def test_a_prefix_token_names_any_key_under_its_prefix(number: int) -> None:
    method, target, body, content_type = naming("ci:b")[number]
    assert send(host(entry("ci", prefix="ci:")), method, target, body, content_type)[0] == 200


def test_every_route_is_among_them() -> None:
    """A new route must be added to `naming`, or to the tests of what a token sees."""
    tried = {
        (target.split("?")[0].removeprefix("/v1/default").strip("/") or None, method)
        for method, target, _, _ in naming("x")
    }
    seen = {("keys", "GET"), ("keys", "DELETE"), ("export", "GET")}
    assert tried | seen == {(name, method) for name, methods in ROUTES.items() for method in methods}


@pytest.mark.parametrize("prefix", ["", "c", "ci:", "ci:a", "a", "cj:", "ci:zzz"])
def test_a_prefix_token_sees_only_what_is_under_its_prefix(prefix: str) -> None:
    visible = sorted(key for key in OWN if key.startswith(prefix))
    where = host(entry("ci", prefix="ci:"))
    target = f"prefix={prefix}"
    assert json.loads(send(where, "GET", f"/v1/default/keys?{target}")[1])["keys"] == visible
    assert (
        json.loads(send(where, "GET", f"/v1/default/keys?{target}&after=a&limit=1")[1])["keys"] == visible[:1]
    )
    lines = send(where, "GET", f"/v1/default/export?{target}")[1].splitlines()
    assert [json.loads(line)["key"] for line in lines] == visible
    target += "&all=true" if not prefix else ""
    for dry_run in "&dry-run=true", "":
        answer = send(where, "DELETE", f"/v1/default/keys?{target}{dry_run}")[1]
        assert json.loads(answer) == {"keys": len(visible)}
    assert stored(where) == {k: v for k, v in (OWN | OTHERS).items() if k not in visible}


REQUESTS = st.one_of(
    st.tuples(st.sampled_from(["set-many", "delete-many"]), st.sampled_from([JSON, NDJSON])),
    st.tuples(st.just("query"), st.just(JSON)),
)
KEYS = st.lists(st.sampled_from([*OWN, *OTHERS, "ci:", "cI:a", "Ci:a"]) | st.text(max_size=4), max_size=6)


@given(REQUESTS, KEYS, st.sampled_from(["", " ", "\t"]))
def test_whatever_a_prefix_token_sends_the_other_keys_stay(
    request: tuple[str, str], keys: list[str], blank: str
) -> None:
    operation, content_type = request
    where = host(entry("ci", prefix="ci:"))
    if operation == "query":
        query = "&".join(f"key={quote(key, safe='')}" for key in keys)
        send(where, "DELETE", f"/v1/default?{query}")
    else:
        pairs = [{"key": key, "value": "spoiled"} for key in keys]
        if content_type == JSON:
            body = json.dumps({"keys": keys} if operation == "delete-many" else {"pairs": pairs})
        else:
            body = "".join(f"{blank}{json.dumps(pair)}\n" for pair in pairs)
        send(where, "POST", f"/v1/default/{operation}", body.encode(), content_type)
    left = stored(where)
    assert {key: value for key, value in left.items() if not key.startswith("ci:")} == OTHERS


def test_a_token_has_its_scope_its_stores_and_its_name_in_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    where = host(entry("reader", scope="read", stores=["default"]), entry("other", stores=["other"]))
    assert send(where, "GET", "/v1/default/keys", token="reader")[0] == 200
    line = json.loads(capsys.readouterr().err)
    assert line["caller"] == "reader"
    assert "sha256" not in json.dumps(line)
    status, answer = send(where, "DELETE", "/v1/default?key=a", token="reader")
    assert (status, json.loads(answer)["type"]) == (403, "/problems/forbidden")
    status, answer = send(where, "GET", "/v1/default/keys", token="other")
    assert (status, json.loads(answer)["type"]) == (403, "/problems/forbidden")
    assert "not valid for the store default" in json.loads(answer)["detail"]
    assert send(where, "GET", "/v1/default/keys", token="nobody")[0] == 401
    assert send(where, "GET", "/v1/default/keys", token=sha256(b"reader").hexdigest())[0] == 401


def test_the_other_tokens_stay_as_they_are() -> None:
    where = host(entry("ci", prefix="ci:"), read_token="r", write_token="w")
    assert json.loads(send(where, "GET", "/v1/default/keys", token="r")[1])["keys"] == sorted(OWN | OTHERS)
    assert send(where, "DELETE", "/v1/default?key=a", token="r")[0] == 403
    assert send(where, "DELETE", "/v1/default?key=a", token="w")[0] == 200


def test_a_token_that_is_not_ascii_arrives_in_either_coding() -> None:
    where = host(entry("é", name="e"))
    for token in "é", "é".encode().decode("latin-1"):
        async_fields = [("authorization", f"Bearer {token}".encode("latin-1"))]
        request = Request("GET", "/v1/default/keys", header_map(async_fields), SmallBody([]))
        assert answered(where, request).status == 200


GOOD: dict[str, Any] = entry("ci")

MISTAKES = [
    ("not json", "JSON list"),
    ("{}", "JSON list"),
    ('[{"name": "a", "name": "b"}]', "entry 1 must be an object"),
    ("[1]", "entry 1 must be an object"),
    ("[" * 500, "JSON list"),
    (json.dumps([GOOD, {**GOOD, "scope": "admin"}]), "the scope of entry 2"),
    (json.dumps([{**GOOD, "sha256": "ci"}]), "the sha256 of entry 1"),
    (json.dumps([{**GOOD, "name": ""}]), "the name of entry 1"),
    (json.dumps([{**GOOD, "name": 'a"b'}]), "the name of entry 1"),
    (json.dumps([{**GOOD, "stores": "default"}]), "the stores of entry 1"),
    (json.dumps([{**GOOD, "prefix": None}]), "the prefix of entry 1"),
    (json.dumps([{**GOOD, "prefix": "\ud800"}]), "the prefix of entry 1"),
    (json.dumps([{**GOOD, "token": "secret"}]), "entry 1 must be an object"),
    (json.dumps([GOOD, {**entry("other"), "name": "ci"}]), "the same name"),
    (json.dumps([GOOD, {**GOOD, "name": "other"}]), "the same sha256"),
]


@pytest.mark.parametrize(("text", "told"), MISTAKES)
def test_a_mistake_in_the_list_is_told(text: str, told: str) -> None:
    where = SmallHost(anonymous="write", tokens=text)
    status, answer = send(where, "GET", "/v1/default/keys")
    problem = json.loads(answer)
    assert (status, problem["type"], problem["variable"]) == (500, "/problems/misconfigured", "tokens")
    assert told in problem["detail"]
    assert "secret" not in problem["detail"]
