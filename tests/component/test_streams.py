"""Streams over HTTP: bodies cut anywhere, clients that leave or do not read, imports that end early."""

from __future__ import annotations

import gzip
import json
import random
import socket
import struct
import time
import zlib
from collections.abc import Iterator
from contextlib import closing, suppress

import httpx
import pytest

from tests.component.test_http import ODD_KEYS, head, raw
from tests.servers import Server
from tests.wire import wire_pair

NDJSON = {"content-type": "application/x-ndjson"}
SENT_AS_NDJSON = "content-type: application/x-ndjson"
CHUNKED = "transfer-encoding: chunked"
TARGET = "/v1/default/"


def lines_of(pairs: dict[str, bytes]) -> bytes:
    """The pairs as an export has them: text where it is text, in the order of the keys."""
    lines = []
    for key in sorted(pairs):
        try:
            pair = {"key": key, "value": pairs[key].decode()}
        except UnicodeDecodeError:
            pair = wire_pair(key, pairs[key])
        lines.append(json.dumps(pair, ensure_ascii=False) + "\n")
    return "".join(lines).encode()


def numbered(count: int, value: bytes = b"v") -> dict[str, bytes]:
    return {f"k{number:06}": value for number in range(count)}


def post(
    client: httpx.Client, operation: str, body: bytes | Iterator[bytes], **headers: str
) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.post(f"/default/{operation}", content=body, headers=NDJSON | named)


def exported(client: httpx.Client) -> bytes:
    answer = client.get("/default/export")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    return answer.content


def connected(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=20)


def chunk(data: bytes) -> bytes:
    """One chunk of the chunked coding (RFC 9112 section 7.1)."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def reset(connection: socket.socket) -> None:
    """Leaves without a farewell: the other side sees a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.close()


def settled(client: httpx.Client) -> int:
    """How many keys the store has, once their number no longer changes."""
    count = -1
    for _ in range(50):
        keys = client.get("/default/keys", params={"limit": 10_000}).json()["keys"]
        if len(keys) == count:
            break
        count = len(keys)
        time.sleep(0.2)
    return count


def test_an_export_goes_back_in_unchanged_and_names_what_to_read_and_delete(client: httpx.Client) -> None:
    pairs = {key: f"value of {key}".encode() for key in ODD_KEYS} | {"bytes": bytes(range(256)), "none": b""}
    body = lines_of(pairs).replace("\u2028".encode(), rb"\u2028")  # common readers of lines break there
    assert post(client, "set-many", body).json() == {"pairs": len(pairs)}
    assert exported(client) == body
    assert post(client, "get-many", body).content == body
    assert post(client, "set-many", body).json() == {"pairs": len(pairs)}
    assert post(client, "delete-many", body).json() == {"keys": len(pairs)}
    assert exported(client) == b""


def test_an_export_of_a_prefix_is_a_list_of_what_to_delete(client: httpx.Client) -> None:
    post(client, "set-many", lines_of(dict.fromkeys(["a", "ab", "b", "é"], b"1"))).raise_for_status()
    some = client.get("/default/export", params={"prefix": "a"}).content
    assert [json.loads(line)["key"] for line in some.splitlines()] == ["a", "ab"]
    assert post(client, "delete-many", some).json() == {"keys": 2}
    assert exported(client) == lines_of({"b": b"1", "é": b"1"})
    assert client.head("/default/export").status_code == 200


BODY = '{"key": "é", "value": "😀"}\r\n\n{"key": "b", "value": "c\\n"}\n \n{"key": "d", "value": ""}'.encode()
HELD = lines_of({"é": "😀".encode(), "b": b"c\n", "d": b""})


@pytest.mark.parametrize("size", [1, 2, 3, 7, 29])
def test_lines_may_be_cut_anywhere_by_the_network(client: httpx.Client, server: Server, size: int) -> None:
    with closing(connected(server)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.sendall(head("POST", f"{TARGET}set-many", SENT_AS_NDJSON, CHUNKED))
        for start in range(0, len(BODY), size):
            connection.sendall(chunk(BODY[start : start + size]))
            time.sleep(0.001)
        connection.sendall(chunk(b""))
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    assert answer.startswith(b"HTTP/1.1 200")
    assert b'{"pairs": 3}' in answer
    assert exported(client) == HELD


def test_a_value_of_the_largest_size_is_one_line_in_and_out(client: httpx.Client) -> None:
    body = lines_of({"large": b"v" * 10 * 1024 * 1024, "larger": bytes(range(256)) * 40 * 1024})
    assert post(client, "set-many", body).json() == {"pairs": 2}
    assert exported(client) == body
    too_large = lines_of({"a": b"1", "b": b"v" * (10 * 1024 * 1024 + 1)})
    answer = post(client, "set-many", too_large)
    assert (answer.status_code, answer.json()["line"], answer.json()["applied"]) == (413, 2, 1)


def test_two_broken_lines_never_make_a_good_one(client: httpx.Client) -> None:
    for body in (
        b'{"key": "a", "value": "b"\n}\n',
        b'{"key": "a", "value": "b\n"}\n',
        b'{"key": "a"\n, "value": "b"}\n',
        b'{"key": "a", "value": "b"}, {"key": "c", "value": "d"}\n',
    ):
        answer = post(client, "set-many", lines_of({"z": b"1"}) + body)
        assert (answer.status_code, answer.json()["line"], answer.json()["applied"]) == (400, 2, 1)
    assert exported(client) == lines_of({"z": b"1"})


def test_a_bad_line_says_which_and_the_rest_completes_it(client: httpx.Client) -> None:
    good = lines_of(numbered(9_000)).splitlines(keepends=True)
    bad = [*good[:7_500], b'{"key": 1}\n', *good[7_500:]]
    problem = post(client, "set-many", b"".join(bad)).json()
    assert (problem["status"], problem["line"], problem["applied"]) == (400, 7_501, 7_500)
    assert exported(client) == b"".join(good[:7_500])
    assert post(client, "set-many", b"".join(bad[problem["line"] :])).json() == {"pairs": 1_500}
    assert exported(client) == b"".join(good)


def test_an_import_cut_anywhere_and_sent_again_ends_in_the_same_store(
    client: httpx.Client, server: Server
) -> None:
    body = lines_of(numbered(20_000, b"some value"))
    whole = set(body.splitlines())
    chance = random.Random(5)
    request = head("POST", f"{TARGET}set-many", SENT_AS_NDJSON, f"content-length: {len(body)}")
    for leave in (socket.socket.close, reset) * 4:
        with closing(connected(server)) as connection:
            connection.sendall(request + body[: chance.randrange(len(body))])
            leave(connection)
        settled(client)
        # Whole lines only, and none that was not sent.
        assert set(exported(client).splitlines()) <= whole
    assert post(client, "set-many", body).json() == {"pairs": 20_000}
    assert exported(client) == body


def test_a_body_that_ends_too_early_is_not_taken_for_whole(client: httpx.Client, server: Server) -> None:
    body = lines_of({"a": b"1", "b": b"2"})
    request = head("POST", f"{TARGET}set-many", SENT_AS_NDJSON, f"content-length: {len(body) + 9}")
    answer = raw(server, request + body, end=True)
    # Spin answers a client that has closed its half with 400 of its own, or not at all.
    assert b'"pairs"' not in answer
    assert settled(client) == 2


def test_who_leaves_in_the_middle_stops_the_work_and_harms_nobody(
    client: httpx.Client, server: Server
) -> None:
    body = lines_of(numbered(9_000, b"v" * 500))
    post(client, "set-many", body).raise_for_status()
    requests = {
        "export": head("GET", f"{TARGET}export"),
        "get-many": head("POST", f"{TARGET}get-many", SENT_AS_NDJSON, f"content-length: {len(body)}") + body,
    }
    for request in list(requests.values()) * 6:
        for leave in socket.socket.close, reset:
            connection = connected(server)
            connection.sendall(request[:500_000])
            assert connection.recv(10_000)
            leave(connection)
    # An import whose client stays away: what was sent is written, and nothing else.
    half = head("POST", f"{TARGET}set-many", SENT_AS_NDJSON, CHUNKED)
    for number in range(6):
        connection = connected(server)
        connection.sendall(half + chunk(b'{"key": "left %d", "value": "1"}\n{"key": "never", "val' % number))
        time.sleep(0.02)
        reset(connection)
    # Those who come after them, on connections of their own and on one: none waits, none fails.
    for number in range(1_000):
        answer = client.get("/default", params={"key": f"k{number:06}"})
        assert (answer.status_code, answer.json()["pairs"][0]["value"]) == (200, "v" * 500)
    keys = client.get("/default/keys", params={"prefix": "never"}).json()["keys"]
    assert keys == []


def test_who_does_not_read_is_not_read_from(client: httpx.Client, server: Server) -> None:
    pairs = numbered(2_000, b"v" * 1_000)
    body = lines_of(pairs)
    post(client, "set-many", body).raise_for_status()
    asked = b"".join(b'{"key": "%s"}\n' % key.encode() for key in pairs)
    with closing(connected(server)) as connection:
        connection.sendall(head("POST", f"{TARGET}get-many", SENT_AS_NDJSON, CHUNKED))
        # 1.2 GB of answers, none of them read: the host must stop taking questions, of which the buffers of
        # the two sockets hold some megabytes.
        connection.settimeout(3)
        sent = 0
        with suppress(TimeoutError):
            while sent < 600:
                connection.sendall(chunk(asked))
                sent += 1
        assert sent < 600
    assert exported(client) == body


def test_answers_come_before_the_question_has_ended(client: httpx.Client, server: Server) -> None:
    post(client, "set-many", lines_of({"a": b"1", "b": b"2"})).raise_for_status()
    with closing(connected(server)) as connection:
        connection.sendall(head("POST", f"{TARGET}get-many", SENT_AS_NDJSON, CHUNKED))
        got = b""
        for key in b"a", b"b":
            connection.sendall(chunk(b'{"key": "%s"}\n' % key))
            while b'{"key": "%s", "value": ' % key not in got:
                part = connection.recv(65_536)
                assert part
                got += part
        connection.sendall(chunk(b""))
        while part := connection.recv(65_536):
            got += part
    assert got.endswith(b"0\r\n\r\n")


def test_a_failure_after_the_answer_began_is_its_last_line(client: httpx.Client) -> None:
    post(client, "set-many", lines_of({"a": b"1"})).raise_for_status()

    def body() -> Iterator[bytes]:
        yield b'{"key": "a"}\n'
        time.sleep(0.3)
        yield b'{"kee": "b"}\n'

    answer = post(client, "get-many", body())
    first, last = map(json.loads, answer.content.splitlines())
    assert (answer.status_code, first) == (200, {"key": "a", "value": "1"})
    assert (last["problem"]["type"], last["problem"]["line"]) == ("/problems/malformed-body", 2)


def test_gzip_goes_in_and_out(client: httpx.Client, server: Server) -> None:
    body = lines_of(numbered(3_000, b"some value"))
    packed = gzip.compress(body)
    assert post(client, "set-many", packed, content_encoding="gzip").json() == {"pairs": 3_000}
    request = head("GET", f"{TARGET}export", "accept-encoding: br, gzip")
    answer = raw(server, request)
    assert b"\r\ncontent-encoding: gzip\r\n" in answer.partition(b"\r\n\r\n")[0].lower() + b"\r\n"
    assert client.get("/default/export", headers={"accept-encoding": "gzip"}).content == body
    plain = client.get("/default/export", headers={"accept-encoding": "gzip;q=0"})
    assert ("content-encoding" in plain.headers, plain.content) == (False, body)
    cut = post(client, "set-many", packed[:-9], content_encoding="gzip")
    assert (cut.status_code, cut.json()["type"]) == (400, "/problems/malformed-body")
    assert post(client, "set-many", b"", content_encoding="br").status_code == 415


def test_a_bomb_meets_the_limits(client: httpx.Client) -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    zeros = bytes(1 << 20)
    # No more than a host has read when it answers: what is still under way might reset the connection.
    bomb = b"".join(packer.compress(zeros) for _ in range(90)) + packer.flush()
    assert len(bomb) < 100_000
    answer = post(client, "set-many", bomb, content_encoding="gzip")
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    answer = client.post(
        "/default/set-many",
        content=bomb,
        headers={"content-type": "application/json", "content-encoding": "gzip"},
    )
    assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    assert exported(client) == b""


def test_a_long_import_lets_others_have_their_turn(client: httpx.Client, server: Server) -> None:
    line = b'{"key": "slow", "value": "1"}\n'
    with closing(connected(server)) as connection:
        connection.sendall(head("POST", f"{TARGET}set-many", SENT_AS_NDJSON, CHUNKED))
        for _ in range(20):
            connection.sendall(chunk(line))
            assert client.get("/default", params={"key": "a"}).status_code == 200
        connection.sendall(chunk(b""))
        assert b'{"pairs": 20}' in connection.recv(65_536) + connection.recv(65_536)
