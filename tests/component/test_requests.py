"""What real clients send, over HTTP on every host: each case was once answered wrongly, or led nowhere.

The unit tests have the same cases in more variety (`test_forms.py`, `test_mistaken.py`, `test_gateway.py`).
"""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.component.test_http import code, get_many, head, raw, set_many, status
from tests.forms import CLIENTS, CannotSend
from tests.servers import Server, serving
from tests.wire import value_of

NDJSON = "application/x-ndjson"
LINE = '{"key": "a", "value": "1"}\n'


@pytest.fixture
def curl(server: Server) -> Curl:
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    return Curl(f"{server.url}/v1/default")


class Curl:
    """curl, and the store that it asks."""

    def __init__(self, url: str) -> None:
        self.url = url

    def __call__(self, *arguments: str, to: str = "") -> dict[str, object]:
        done = subprocess.run(
            ["curl", "-sS", *arguments, self.url + to], capture_output=True, check=True, timeout=60
        )
        answer: dict[str, object] = json.loads(done.stdout)
        return answer


@pytest.mark.parametrize(
    "body",
    [
        ["--json", '["a"]'],
        ["--json", '{"keys": ["a"]}'],
        ["-H", f"content-type: {NDJSON}", "-d", '{"key": "a"}'],
    ],
    ids=["array", "keys", "NDJSON"],
)
@pytest.mark.parametrize("query", ["", "?key=a"])
def test_a_delete_with_a_body_deletes_nothing_and_says_so(
    client: httpx.Client, curl: Curl, body: list[str], query: str
) -> None:
    set_many(client, {"a": b"1"})
    answer = curl("-X", "DELETE", *body, to=query)
    assert (answer["status"], answer["type"]) == (400, "/problems/malformed-body")
    assert "POST /v1/default/delete-many" in str(answer["detail"])
    assert get_many(client, ["a"]) == [("a", b"1")]
    assert curl("-X", "DELETE", to="?key=a") == {"keys": 1}


def test_curl_that_sends_put_is_told_to_send_post(client: httpx.Client, curl: Curl, tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson"
    file.write_text(LINE)
    upload = ["-H", f"content-type: {NDJSON}", "-T", str(file)]
    answer = curl(*upload, to="/set-many")
    assert (answer["status"], answer["type"]) == (405, "/problems/method-not-allowed")
    assert str(answer["detail"]).endswith("It has: POST. curl -T sends PUT: add -X POST.")
    assert curl("-X", "POST", *upload, to="/set-many") == {"pairs": 1}
    assert "curl" not in client.put("/default").json()["detail"]  # this path has no POST


def test_a_delete_with_a_chunked_body_deletes_nothing(client: httpx.Client, server: Server) -> None:
    set_many(client, {"a": b"1"})
    request = head("DELETE", "/v1/default?key=a", "transfer-encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n"
    assert status(raw(server, request)) == 400
    empty = head("DELETE", "/v1/default?key=b", "transfer-encoding: chunked") + b"0\r\n\r\n"
    assert status(raw(server, empty)) == 200
    assert get_many(client, ["a"]) == [("a", b"1")]


NAMES = [
    "plain",
    "user:1",
    "a b",
    "50% off",
    "a\\b",
    'a"b',
    "a%22b",
    "naïve",
    "a[b]",
    "a\r\n b",
    "=?utf-8?B?bmHDr3Zl?=",
]


@pytest.mark.parametrize("library", CLIENTS)
def test_the_form_of_a_client_stores_the_key_that_it_named_or_none(
    client: httpx.Client, library: str
) -> None:
    stored = 0
    for name in NAMES:
        try:
            content_type, body = CLIENTS[library](name, b"v")
        except CannotSend:
            continue
        answer = client.post("/default/set-many", content=body, headers={"content-type": content_type})
        keys = client.get("/default/keys").json()["keys"]
        if answer.status_code == 200:
            assert keys == [name]
            stored += 1
        else:
            assert (code(answer), answer.json()["pointer"]) == ("malformed-body", "/pairs/0")
            assert keys == []
        client.post("/default/delete-many", json={"keys": keys}).raise_for_status()
    assert stored >= 1


def test_a_part_of_two_files_is_refused(client: httpx.Client, curl: Curl, tmp_path: Path) -> None:
    for name in "a.ndjson", "b.bin":
        (tmp_path / name).write_text(name)
    answer = curl("-F", f"m=@{tmp_path}/a.ndjson,{tmp_path}/b.bin", to="/set-many")
    assert answer["type"] == "/problems/malformed-body"
    assert "-F a=@a -F b=@b" in str(answer["detail"])
    assert client.get("/default/keys").json()["keys"] == []
    answer = curl("-F", f"m=@{tmp_path}/a.ndjson", "-F", f"n=@{tmp_path}/b.bin", to="/set-many")
    assert answer == {"pairs": 2}


@pytest.mark.parametrize("token", ["secret à", "Å", "\u0420"])
def test_a_token_may_end_in_any_character(host: str, token: str, tmp_path: Path) -> None:
    with serving(host, tmp_path, anonymous="none", write_token=token) as server:
        url = f"{server.url}/v1/default?key=a"
        assert httpx.get(url, headers={b"authorization": b"Bearer " + token.encode()}).status_code == 200
        if host != "embedded":  # it answers 500 by itself to a header that is not UTF-8
            return
        if token != "\u0420":
            sent = b"Bearer " + token.encode("latin-1")
            assert httpx.get(url, headers={b"authorization": sent}).status_code == 200
        assert httpx.get(url, headers={b"authorization": b"Bearer \xc3"}).status_code == 401


def test_a_token_with_a_newline_behind_it_is_misconfigured(host: str, tmp_path: Path) -> None:
    with serving(host, tmp_path, anonymous="none", write_token="secret\n") as server:
        answer = httpx.get(f"{server.url}/v1/default?key=a", headers={"authorization": "Bearer secret"})
        assert (code(answer), answer.json()["variable"]) == ("misconfigured", "write_token")
        assert "secret" not in answer.text


def test_a_fragment_never_names_another_key(client: httpx.Client, server: Server) -> None:
    set_many(client, {"a": b"1", "a#x": b"2"})
    answer = raw(server, head("GET", "/v1/default?key=a#x"))
    assert answer.endswith(b'{"pairs": [{"key": "a", "value": "1"}]}\n')
    assert client.get("/default?key=a%23x").json()["pairs"][0]["value"] == "2"
    assert status(raw(server, head("DELETE", "/v1/default?key=a%23x#y"))) == 200
    assert client.get("/default/keys").json()["keys"] == ["a"]


def test_readers_of_lines_read_the_lines(client: httpx.Client) -> None:
    pairs = {f"k{character}": f"v{character}".encode() for character in "\u2028\u2029\x85\x0b\x0c\x1c\x1e"}
    set_many(client, pairs)
    with client.stream("GET", "/default/export") as answer:
        read = [json.loads(line) for line in answer.iter_lines()]
    assert {pair["key"]: value_of(pair) for pair in read} == pairs
    keys = {"key": list(pairs)}
    asked = client.get("/default", params=keys, headers={"accept": NDJSON})
    assert len(asked.text.splitlines()) == len(pairs)


@pytest.mark.skipif(shutil.which("node") is None, reason="no node on PATH")
def test_node_reads_the_lines(client: httpx.Client, server: Server) -> None:
    set_many(client, {f"k{character}": b"v" for character in "\u2028\u2029\x85"})
    script = """
    const lines = require("readline").createInterface({input: process.stdin});
    let count = 0; lines.on("line", line => { JSON.parse(line); count += 1; });
    lines.on("close", () => console.log(count));
    """
    export = client.get("/default/export").content
    done = subprocess.run(["node", "-e", script], input=export, capture_output=True, check=True, timeout=60)
    assert done.stdout == b"3\n"


MISTAKEN: list[tuple[str, bytes, str]] = [
    ("application/json", b"\xff\xfe" + LINE.encode("utf-16-le"), "iconv -f UTF-16"),
    ("application/json", gzip.compress(LINE.encode()), "content-encoding: gzip"),
    ("application/json", (LINE * 2).encode(), "application/x-ndjson"),
    ("application/json", f"[{LINE}]".encode(), "wrangler kv bulk put"),
    ("application/json", b"", "The body is empty"),
    (NDJSON, LINE.encode("utf-16-le"), "iconv -f UTF-16LE"),
    (NDJSON, gzip.compress(LINE.encode()), "content-encoding: gzip"),
    (NDJSON, f"[{LINE.strip()}, {LINE.strip()}]".encode(), "jq -c '.[]'"),
    (NDJSON, (LINE.strip() * 2).encode(), "--data-binary"),
    (NDJSON, b'{"pairs": []}', "jq -c '.pairs[]'"),
]


@pytest.mark.parametrize(("content_type", "body", "told"), MISTAKEN)
def test_a_body_that_is_something_else_is_named(
    client: httpx.Client, content_type: str, body: bytes, told: str
) -> None:
    answer = client.post("/default/set-many", content=body, headers={"content-type": content_type})
    assert (answer.status_code, code(answer)) == (400, "malformed-body")
    assert told in answer.json()["detail"]
    assert client.get("/default/keys").json()["keys"] == []


@pytest.mark.parametrize(
    "name", [NDJSON, "application/ndjson", "application/jsonl", "application/x-jsonlines"]
)
def test_a_byte_order_mark_is_skipped_and_ndjson_has_many_names(client: httpx.Client, name: str) -> None:
    body = b"\xef\xbb\xbf" + LINE.encode()
    headers = {"content-type": name}
    assert client.post("/default/set-many", content=body, headers=headers).json() == {"pairs": 1}
    asked = client.get("/default?key=a", headers={"accept": name})
    assert (asked.headers["content-type"], asked.text) == (NDJSON, LINE)
    body = b'\xef\xbb\xbf{"keys": ["a"]}'
    answer = client.post("/default/delete-many", content=body, headers={"content-type": "application/json"})
    assert answer.json() == {"keys": 1}


def test_a_cut_export_is_found_out(client: httpx.Client) -> None:
    pairs = {f"k{number:05}": b"v" * 100 for number in range(5_000)}
    set_many(client, pairs)
    dump = client.get("/default/export?end=true").content
    assert dump.endswith(b'\n{"end": {"pairs": 5000}}\n')
    headers = {"content-type": NDJSON}
    for operation in "set-many", "get-many", "delete-many":
        target = f"/default/{operation}?end=true"
        for cut in dump[:200_000], dump[: dump.rindex(b'{"end"')], b"":
            answer = client.post(target, content=cut, headers=headers)
            last = json.loads(answer.text.splitlines()[-1])
            told = last.get("problem", last)
            assert (told["status"], told["line"]) == (400, cut.count(b"\n") + 1)
        answer = client.post(f"/default/{operation}", content=dump + dump, headers=headers)
        assert (answer.status_code, "problem" in answer.text) == (200, False)


def test_a_key_with_a_refused_character_is_refused(host: str, tmp_path: Path) -> None:
    with serving(host, tmp_path, refused_characters="'\"\\/?#") as server:
        url = f"{server.url}/v1/default"
        for key in "'", '"', "\\", "/", "?", "#":
            answer = httpx.post(f"{url}/set-many", json={"pairs": [{"key": f"a{key}b", "value": "1"}]})
            assert (code(answer), answer.json()["pointer"]) == ("invalid-key", "/pairs/0/key")
            assert code(httpx.delete(url, params={"key": key})) == "invalid-key"
        assert httpx.get(f"{url}/keys").json()["keys"] == []
        assert httpx.post(f"{url}/set-many", files={"a b é": b"1"}).status_code == 200
