"""The API over HTTP, the same on every host: the table of answers, a shell's habits, and a hostile client's.

Where a client library would tidy a request up, it is written to the socket as it is.
"""

from __future__ import annotations

import base64
import json
import shutil
import socket
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.servers import Server, serving
from tests.wire import value_of, wire_pair

JSON = {"content-type": "application/json"}
EVERY_BYTE = bytes(range(256))
ODD_KEYS = [
    "",
    " ",
    "*",
    "k?[a]{b}",
    "a/b\\c",
    "\0",
    "\u2028",
    "é",
    "e\u0301",
    "中文",
    "😀",
    "\U0010ffff",
    "a\nb",
    '"',
]


def set_many(client: httpx.Client, pairs: dict[str, bytes]) -> None:
    body = {"pairs": [wire_pair(key, value) for key, value in pairs.items()]}
    answer = client.post("/default/set-many", json=body)
    assert (answer.status_code, answer.json()) == (200, {"pairs": len(pairs)})


def get_many(client: httpx.Client, keys: list[str]) -> list[tuple[str, bytes | None]]:
    answer = client.post("/default/get-many", json={"keys": keys})
    assert answer.status_code == 200
    return [(pair["key"], value_of(pair)) for pair in answer.json()["pairs"]]


def code(answer: httpx.Response) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["title"]
    assert problem["detail"]
    return str(problem["type"]).removeprefix("/problems/")


def raw(server: Server, request: bytes, *, end: bool = False) -> bytes:
    """What the host answers to these bytes, until it closes; `end` closes our half after them."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
        connection.sendall(request)
        if end:
            connection.shutdown(socket.SHUT_WR)
        chunks = []
        while chunk := connection.recv(65_536):
            chunks.append(chunk)
        return b"".join(chunks)


def head(method: str, target: str, *headers: str) -> bytes:
    lines = [f"{method} {target} HTTP/1.1", "host: localhost", "connection: close", *headers, "", ""]
    return "\r\n".join(lines).encode()


def status(answer: bytes) -> int:
    assert answer.startswith(b"HTTP/1.1 "), answer[:100]
    return int(answer[9:12])


# What works


def test_the_three_operations_in_json(client: httpx.Client) -> None:
    body = {"pairs": [{"key": "a", "value": "1"}, {"key": "b", "value": "AAE=", "encoding": "base64"}]}
    answer = client.post("/default/set-many", json=body)
    assert (answer.status_code, answer.json()) == (200, {"pairs": 2})
    answer = client.post("/default/get-many", json={"keys": ["b", "missing", "a", "b"]})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.content))
    assert answer.json() == {
        "pairs": [
            {"key": "b", "value": "\x00\x01"},
            {"key": "missing", "value": None},
            {"key": "a", "value": "1"},
            {"key": "b", "value": "\x00\x01"},
        ]
    }
    answer = client.post("/default/delete-many", json={"keys": ["a", "missing", "a"]})
    assert (answer.status_code, answer.json()) == (200, {"keys": 3})
    assert get_many(client, ["a", "b"]) == [("a", None), ("b", b"\x00\x01")]


def test_values_that_are_no_text_come_as_base64_and_text_too_when_asked(client: httpx.Client) -> None:
    set_many(client, {"text": b"\xc3\xa9", "bytes": EVERY_BYTE})
    expected = {"key": "bytes", "value": base64.b64encode(EVERY_BYTE).decode(), "encoding": "base64"}
    for encoding, text in (
        ("", {"key": "text", "value": "é"}),
        ("&encoding=base64", {"key": "text", "value": "w6k=", "encoding": "base64"}),
    ):
        assert client.get(f"/default?key=text&key=bytes{encoding}").json() == {"pairs": [text, expected]}
        posted = client.post(f"/default/get-many?{encoding[1:]}", json={"keys": ["text", "bytes"]})
        assert posted.json() == {"pairs": [text, expected]}


def test_keys_and_values_are_kept_as_they_are(client: httpx.Client) -> None:
    pairs = {key: EVERY_BYTE[:index] * index for index, key in enumerate(ODD_KEYS)}
    set_many(client, pairs)
    assert get_many(client, ODD_KEYS) == list(pairs.items())
    for key in ODD_KEYS:
        assert get_many(client, [key]) == [(key, pairs[key])]
    assert client.get("/default/keys").json() == {"keys": sorted(ODD_KEYS), "next": None}
    assert client.get("/default", params={"key": ODD_KEYS}).json()["pairs"][3]["key"] == ODD_KEYS[3]
    assert client.delete("/default", params={"key": ODD_KEYS}).json() == {"keys": len(ODD_KEYS)}
    assert client.get("/default/keys").json()["keys"] == []


def test_the_last_value_of_a_repeated_key_wins(client: httpx.Client) -> None:
    body = {"pairs": [{"key": "x", "value": str(i)} for i in range(5)]}
    assert client.post("/default/set-many", json=body).json() == {"pairs": 5}
    assert get_many(client, ["x"]) == [("x", b"4")]


def test_an_empty_batch_is_done_at_once(client: httpx.Client) -> None:
    assert client.post("/default/get-many", json={"keys": []}).json() == {"pairs": []}
    assert client.post("/default/set-many", json={"pairs": []}).json() == {"pairs": 0}
    assert client.post("/default/delete-many", json={"keys": []}).json() == {"keys": 0}


def test_ten_thousand_keys_in_one_request(client: httpx.Client) -> None:
    pairs = {f"key {i:05} é": b"%d" % i for i in range(10_000)}
    set_many(client, pairs)
    assert get_many(client, list(pairs)) == list(pairs.items())
    page = client.get("/default/keys?limit=3&prefix=key%200999").json()
    assert page == {"keys": ["key 09990 é", "key 09991 é", "key 09992 é"], "next": "key 09992 é"}
    assert client.post("/default/delete-many", json={"keys": list(pairs)}).json() == {"keys": 10_000}
    assert client.get("/default/keys").json() == {"keys": [], "next": None}


def test_a_value_of_ten_mebibytes(client: httpx.Client) -> None:
    value = EVERY_BYTE * (10 * 4096)
    answer = client.post("/default/set-many", files={"big": ("big.bin", value)})
    assert answer.json() == {"pairs": 1}
    assert get_many(client, ["big"]) == [("big", value)]
    answer = client.post("/default/set-many", files={"big": ("big.bin", value + b"x")})
    assert (code(answer), answer.json()["limit"]) == ("too-large", 10 * 1024 * 1024)
    assert get_many(client, ["big"]) == [("big", value)]


def test_an_answer_over_the_limit_says_so(client: httpx.Client) -> None:
    set_many(client, {f"k{i}": bytes(5_000_000) for i in range(2)})
    answer = client.post("/default/get-many", json={"keys": ["k0", "k1"] * 7})
    assert (answer.status_code, code(answer), answer.json()["limit"]) == (413, "too-large", 64 * 1024 * 1024)


def test_head_is_get_without_the_body(client: httpx.Client, server: Server) -> None:
    set_many(client, {"a": b"1"})
    got = client.get("/default?key=a")
    answer = raw(server, head("HEAD", "/v1/default?key=a"))
    assert status(answer) == 200
    assert f"content-length: {len(got.content)}".encode() in answer.lower()
    assert answer.endswith(b"\r\n\r\n")


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=12), st.binary(max_size=200), max_size=20
    )
)
def test_whatever_is_set_is_got(client: httpx.Client, pairs: dict[str, bytes]) -> None:
    set_many(client, pairs)
    asked = [*pairs, "surely\nmissing", *pairs]
    assert get_many(client, asked) == [(key, pairs.get(key)) for key in asked]


def test_many_clients_at_once_each_read_their_own_writes(server: Server, client: httpx.Client) -> None:
    def work(worker: int) -> int:
        with httpx.Client(base_url=f"{server.url}/v1", timeout=60) as own:
            for turn in range(10):
                pairs = {f"{worker}-{i}": b"%d-%d" % (worker, turn) for i in range(20)}
                set_many(own, pairs)
                assert get_many(own, list(pairs)) == list(pairs.items())
        return worker

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))
    assert len(client.get("/default/keys").json()["keys"]) == 160


# A shell


def test_a_form_sets_what_curl_sends(client: httpx.Client, server: Server, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    file = tmp_path / "logo.png"
    file.write_bytes(EVERY_BYTE * 1_000)
    url = f"{server.url}/v1/default"

    def curl(*arguments: str) -> str:
        done = subprocess.run(["curl", "-sS", *arguments], capture_output=True, check=True, timeout=60)
        return done.stdout.decode()

    form = ("-F", "greeting=hello", "-F", f"logo.png=@{file}", "-F", "naïve key=")
    assert json.loads(curl(*form, f"{url}/set-many")) == {"pairs": 3}
    keys = ["greeting", "logo.png", "naïve key"]
    assert get_many(client, keys) == list(zip(keys, [b"hello", EVERY_BYTE * 1_000, b""], strict=True))
    got = curl("-G", url, "--data-urlencode", "key=naïve key", "-d", "key=greeting")
    assert json.loads(got) == {
        "pairs": [{"key": "naïve key", "value": ""}, {"key": "greeting", "value": "hello"}]
    }
    assert json.loads(curl("-X", "DELETE", f"{url}?key=greeting&key=logo.png")) == {"keys": 2}
    # `-d` alone says that it sends a form; the answer says what to do.
    problem = json.loads(curl("-d", '{"keys": []}', f"{url}/get-many"))
    assert problem["status"] == 415
    assert "--json" in problem["detail"]


# What is refused


@pytest.mark.parametrize(
    ("method", "target", "expected", "status_code"),
    [
        ("POST", "/", "method-not-allowed", 405),
        ("GET", "/v1/default/", "not-found", 404),
        ("GET", "/v1/default/nothing", "not-found", 404),
        ("GET", "//v1/default", "not-found", 404),
        ("GET", "/v1/other/keys", "store-not-granted", 403),
        ("GET", "/v1/%2e%2e/keys", "store-not-granted", 403),
        ("GET", "/v1/default%2Fkeys?key=a", "store-not-granted", 403),
        ("GET", "/v1/default%00/keys", "store-not-granted", 403),
        ("GET", "/v1/" + "x" * 10_000 + "/keys", "store-not-granted", 403),
        ("GET", "/v1/%ff/keys", "not-found", 404),
        ("PUT", "/v1/default", "method-not-allowed", 405),
        ("BREW", "/v1/default/keys", "method-not-allowed", 405),
        ("GET", "/v1/default", "malformed-query", 400),
        ("DELETE", "/v1/default", "malformed-query", 400),
        ("GET", "/v1/default#?key=a", "malformed-query", 400),
        ("GET", "/v1/default?nope=1", "malformed-query", 400),
        ("GET", "/v1/default?key=%ff", "malformed-query", 400),
        ("GET", "/v1/default?key=%zz", "malformed-query", 400),
        ("GET", "/v1/default?key=" + "x" * 2_049, "invalid-key", 400),
        ("GET", "/v1/default?" + "key=&" * 10_001, "too-large", 413),
        ("GET", "/v1/default?encoding=hex", "malformed-query", 400),
        ("GET", "/v1/default/keys?limit=0", "malformed-query", 400),
        ("GET", "/v1/default/keys?after=a&after=b", "malformed-query", 400),
        ("DELETE", "/v1/default?key=a&encoding=base64", "malformed-query", 400),
        ("POST", "/v1/default/set-many", "unsupported-media-type", 415),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_request_is_told_what_is_wrong(
    server: Server, method: str, target: str, expected: str, status_code: int
) -> None:
    answer = raw(server, head(method, target))
    assert status(answer) == status_code
    assert f"/problems/{expected}".encode() in answer


BAD_BODIES: list[tuple[bytes, str, str]] = [
    (b"", "malformed-body", ""),
    (b"nonsense", "malformed-body", ""),
    (b'{"pairs": [}', "malformed-body", ""),
    (b'{"pairs": [], "more": 1}', "malformed-body", "/more"),
    (b'{"pairs": [{"key": "a", "value": "1", "key": "b"}]}', "malformed-body", "/pairs/0/key"),
    (b'{"pairs": [{"key": "a", "value": "1", "ttl": 1}]}', "malformed-body", "/pairs/0/ttl"),
    (b'{"pairs": [{"key": "a"}]}', "malformed-body", "/pairs/0"),
    (b'{"pairs": [["a", "1"]]}', "malformed-body", "/pairs/0"),
    (b'{"pairs": NaN}', "malformed-body", ""),
    (b'{"pairs": [{"key": ' + b"9" * 1_000_000 + b', "value": "1"}]}', "invalid-key", "/pairs/0/key"),
    (b'{"pairs": [{"key": ["a"], "value": "1"}]}', "invalid-key", "/pairs/0/key"),
    (b'{"pairs": [{"key": "\\ud800", "value": "1"}]}', "invalid-key", "/pairs/0/key"),
    (b'{"pairs": [{"key": "a", "value": "\\udc00"}]}', "invalid-value", "/pairs/0/value"),
    (b'{"pairs": [{"key": "a", "value": null}]}', "invalid-value", "/pairs/0/value"),
    (b'{"pairs": [{"key": "a", "value": {"b": 1}}]}', "invalid-value", "/pairs/0/value"),
    (b'{"pairs": [{"key": "a", "value": "AA", "encoding": "base64"}]}', "invalid-value", "/pairs/0/value"),
    (b'{"pairs": [{"key": "\xff", "value": "1"}]}', "malformed-body", ""),
    (b"[" * 100_000, "malformed-body", ""),
    (b"[" * 100_000 + b"]" * 100_000, "malformed-body", ""),
    (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "malformed-body", ""),
    (b'{"pairs": [' + b'[{"a":' * 50_000, "malformed-body", ""),
    (b'{"pairs": [{"key": "a", "value": "' + b"x" * 17_000_000 + b'"}]}', "too-large", ""),
]


@pytest.mark.parametrize(
    ("body", "expected", "pointer"), BAD_BODIES, ids=lambda value: f"{value[:40]!r} {len(value)}"
)
def test_a_bad_body_changes_nothing_and_the_instance_lives_on(
    client: httpx.Client, body: bytes, expected: str, pointer: str
) -> None:
    set_many(client, {"a": b"before"})
    answer = client.post("/default/set-many", content=body, headers=JSON)
    assert code(answer) == expected
    assert answer.json().get("pointer", "") == pointer
    assert get_many(client, ["a"]) == [("a", b"before")]
    assert client.get("/default/keys").json()["keys"] == ["a"]


WHOLE = b'{"pairs": [{"key": "a", "value": "after"}]}'


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["content-length: 1000"], WHOLE),
        (["content-length: 1000"], b""),
        (["transfer-encoding: chunked"], b"%x\r\n%s\r\n" % (len(WHOLE), WHOLE)),
        (["transfer-encoding: chunked"], b"%x\r\n%s" % (len(WHOLE) + 50, WHOLE)),
        (["transfer-encoding: chunked"], b"%x\r\n%s\r\nzz\r\n\r\n" % (len(WHOLE), WHOLE)),
    ],
    ids=["wrong length", "no body", "no last chunk", "half a chunk", "a bad chunk"],
)
def test_a_body_cut_short_changes_nothing(
    client: httpx.Client, server: Server, headers: list[str], body: bytes
) -> None:
    set_many(client, {"a": b"before"})
    request = head("POST", "/v1/default/set-many", "content-type: application/json", *headers) + body
    answer = raw(server, request, end=True)
    assert status(answer) == 400
    assert get_many(client, ["a"]) == [("a", b"before")]


def test_a_body_said_to_be_too_long_is_refused_before_it_is_sent(server: Server) -> None:
    request = head(
        "POST", "/v1/default/set-many", "content-type: application/json", "content-length: 99999999999"
    )
    answer = raw(server, request)
    assert status(answer) == 413
    assert b'"actual": 99999999999' in answer


def test_a_client_that_leaves_half_way_leaves_the_gateway_well(client: httpx.Client, server: Server) -> None:
    set_many(client, {f"k{i}": bytes(100_000) for i in range(50)})
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head("POST", "/v1/default/set-many", *["content-type: application/json"]))
        with socket.create_connection(("127.0.0.1", server.port)) as connection:
            connection.sendall(head("GET", "/v1/default?" + "&".join(f"key=k{i}" for i in range(50))))
            connection.recv(1_000)
    assert get_many(client, ["k49"]) == [("k49", bytes(100_000))]


def test_requests_on_one_connection_follow_each_other(server: Server, client: httpx.Client) -> None:
    first = head("GET", "/v1/default?key=a").replace(b"connection: close\r\n", b"")
    answer = raw(server, first + head("GET", "/v1/default/keys"))
    assert answer.count(b"HTTP/1.1 200") == 2
    assert answer.endswith(b'{"keys": [], "next": null}\n')


# Access and settings, as the host hands them on


def test_tokens_and_limits_come_from_the_host(host: str, tmp_path: Path) -> None:
    with serving(
        host, tmp_path, anonymous="none", max_keys="3", read_token="read me", write_token="écrire"
    ) as server:
        url = f"{server.url}/v1/default"
        assert code(httpx.get(f"{url}?key=a")) == "unauthorized"
        reader = {"authorization": "Bearer read me"}
        writer = {b"authorization": "Bearer écrire".encode()}
        assert httpx.get(f"{url}?key=a", headers=reader).status_code == 200
        assert code(httpx.delete(f"{url}?key=a", headers=reader)) == "forbidden"
        assert httpx.delete(f"{url}?key=a", headers=writer).status_code == 200
        assert code(httpx.get(f"{url}?key=a&key=b&key=c&key=d", headers=reader)) == "too-large"
        assert "read me" not in server.logged()


def test_a_bad_setting_is_one_clear_problem(host: str, tmp_path: Path) -> None:
    with serving(host, tmp_path, max_keys="many") as server:
        for _ in range(2):
            answer = httpx.get(f"{server.url}/v1/default?key=a")
            assert (answer.status_code, code(answer), answer.json()["variable"]) == (
                500,
                "misconfigured",
                "max_keys",
            )


def test_the_bare_app_is_closed(host: str, tmp_path: Path) -> None:
    with serving(host, tmp_path, anonymous="") as server:
        for path in ("", "/keys", "/nothing"):
            assert code(httpx.get(f"{server.url}/v1/default{path}")) == "unauthorized"


def test_what_one_run_stored_the_next_one_has(host: str, tmp_path: Path) -> None:
    for turn in range(2):
        with serving(host, tmp_path) as server, httpx.Client(base_url=f"{server.url}/v1") as client:
            if turn == 0:
                set_many(client, {"kept": EVERY_BYTE})
            assert get_many(client, ["kept"]) == [("kept", EVERY_BYTE)]
