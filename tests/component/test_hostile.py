"""Hostile requests at every host: each is answered, none breaks the host, and none has its hidden effect.

`make fuzz` sends 20,000 and more to each host; a run of the suite sends a part of that.
"""

from __future__ import annotations

import json
import os
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from gateway.linger import STRANGERS
from tests.component.test_log import line_of
from tests.conftest import FIGURES
from tests.hostile.answers import answers, whole
from tests.hostile.corpus import CORPUS
from tests.hostile.fuzz import SPICES, VALID
from tests.hostile.requests import SENTINEL
from tests.servers import Server, serving

FUZZED = int(os.environ.get("FUZZ", "1500"))
"""The number of spoiled requests for each host."""

HTTP_ONLY = {501, 505}
"""The statuses for an unknown transfer coding or HTTP version (RFC 9112)."""

BROKEN = re.compile(
    r"wasm trap|error while executing|panicked|Traceback|internal-error|unreachable", re.IGNORECASE
)
"""Signs in a log that something broke."""


@pytest.fixture(scope="module")
def attacked(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A host that anyone may write to, with one pair that must not change."""
    with serving(host, tmp_path_factory.mktemp(f"hostile-{host}")) as server:
        pair = {"pairs": [{"key": SENTINEL, "value": "stays"}]}
        httpx.post(f"{server.url}/v1/default/set-many", json=pair).raise_for_status()
        yield server
        assert not BROKEN.search(server.logged()), BROKEN.search(server.logged())


@pytest.fixture(scope="module")
def closed(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A host that requires a token that no request has."""
    data = tmp_path_factory.mktemp(f"closed-{host}")
    with serving(host, data, anonymous="none", write_token="not-given") as server:
        yield server
        assert not BROKEN.search(server.logged())


def still_serves(server: Server) -> None:
    """Checks that the host answers and the pair is unchanged."""
    answer = httpx.get(f"{server.url}/v1/default", params={"key": SENTINEL}, timeout=60)
    deleted = [line for line in server.logged().splitlines() if re.search('"DELETE"|delete-many', line)]
    assert answer.json() == {"pairs": [{"key": SENTINEL, "value": "stays"}]}, "\n".join(deleted[:20])


SPINS = re.compile(
    rb"(?!CONNECT)[!-~]+ /[^\r\n]*\r\n"
    rb"(?:(?:(?!host:)[\t -~]+\r\n)*?host: ?[a-z0-9][a-z0-9.-]*\r\n)+?"
    rb"(?:(?!host:)[\t -~]+\r\n)*?\r\n",
    re.IGNORECASE,
)
"""Heads that Spin (4.1) passes to the component. For a head with a byte over 0x7e, without a host or with an
unusual one, or with a target that is not a path, Spin closes the connection or answers with 500 itself."""

SPINS_READING = {"smuggling: length and chunked", "smuggling: chunked twice"}
"""Spin reads these requests as chunked, and then reads on: the bytes that follow become another request,
which a proxy may have taken for a part of the body. Spin should close the connection (RFC 9112 section 6.1)
or refuse the request (section 7.1: chunked at most once). See SECURITY.md."""


def sent(server: Server, data: bytes, name: str = "") -> list[int]:
    """Sends a request, and checks the statuses of the answers."""
    try:
        statuses = answers(server, data)
    except ConnectionResetError:
        return []
    if server.is_spin and not SPINS.match(data):
        return [status for status in statuses if status != 500]
    assert statuses or not whole(data), f"no answer: {name} {data[:300]!r}"
    assert all(status < 500 or status in HTTP_ONLY for status in statuses), (
        f"{statuses}: {name} {data[:300]!r}"
    )
    return statuses


def test_the_corpus(attacked: Server, pytestconfig: pytest.Config) -> None:
    corpus = [each for each in CORPUS if not (attacked.is_spin and each.name in SPINS_READING)]
    told = Counter(status for each in corpus for status in sent(attacked, each.data, each.name))
    still_serves(attacked)
    assert told.total() > len(CORPUS) * 9 // 10
    pytestconfig.stash[FIGURES].append(
        f"{attacked.name}: {len(CORPUS)} hostile requests, answered {dict(sorted(told.items()))}"
    )


def test_without_a_token_there_is_nothing_but_401(closed: Server) -> None:
    told: Counter[int] = Counter()
    for hostile in CORPUS:
        statuses = sent(closed, hostile.data, hostile.name)
        told.update(statuses)
        # The server itself answers with 400 and the like to malformed HTTP; 404 is for paths outside /v1.
        assert set(statuses) <= {400, 401, 404, 414, 431, 501, 505}, (hostile.name, statuses)
    assert told[401] > len(CORPUS) * 3 // 4
    assert httpx.get(f"{closed.url}/v1/default?key=a").json()["type"] == "/problems/unauthorized"


def test_without_a_token_no_body_is_read(closed: Server) -> None:
    """The client announces ten gigabytes. Nothing is decoded, and at most the limit for strangers is read."""
    head = b"POST /v1/default/set-many HTTP/1.1\r\nhost: x\r\nx-request-id: greedy\r\n"
    head += b"content-type: application/x-ndjson\r\ncontent-length: 10000000000\r\n\r\n"
    taken = 0
    with socket.create_connection(("127.0.0.1", closed.port), timeout=5) as connection:
        connection.sendall(head)
        try:
            while taken < 4 * STRANGERS.bytes:
                taken += connection.send(b'{"key": "a", "value": "1"}\n' * 1_000)
        except OSError:
            pass
    assert taken < STRANGERS.bytes + (32 << 20)  # and the buffers in between
    line = line_of(closed, "greedy")
    assert (line["status"], line["bytes_in"]) == (401, 0)


def spoiled(chance: random.Random) -> bytes:
    """A valid request with a few random changes."""
    data = bytearray(chance.choice(VALID))
    for _ in range(chance.choice((1, 1, 2, 3, 8))):
        start = chance.randrange(len(data) + 1)
        end = min(len(data), start + chance.choice((0, 1, 1, 4, 50)))
        match chance.randrange(5):
            case 0:
                data[start:end] = chance.choice(SPICES)
            case 1:
                data[start:start] = data[start:end] * chance.choice((1, 2, 100))
            case 2:
                del data[start:end]
            case 3:
                data[start:end] = chance.randbytes(end - start)
            case _:
                other = chance.choice(VALID)
                data[start:] = other[chance.randrange(len(other)) :]
    return bytes(data)


def test_spoiled_requests(attacked: Server, pytestconfig: pytest.Config) -> None:
    seed = int(os.environ.get("FUZZ_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    chance = random.Random(seed)
    told: Counter[int] = Counter()
    for number in range(FUZZED):
        data = spoiled(chance)
        if SENTINEL.encode() in data:
            continue
        told.update(sent(attacked, data, f"FUZZ_SEED={seed}, request {number}"))
    still_serves(attacked)
    pytestconfig.stash[FIGURES].append(
        f"{attacked.name}: {FUZZED} spoiled requests (FUZZ_SEED={seed}), "
        f"answered {dict(sorted(told.items()))}"
    )


TEXT = st.text(max_size=30) | st.sampled_from(["", "\0", "__proto__", "a" * 3_000, "\ud800", "😀"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)
NAMES = st.sampled_from(["key", "value", "encoding", "keys", "pairs"])
ITEMS = st.lists(st.dictionaries(NAMES, VALUES | TEXT, max_size=4) | VALUES)


@settings(
    max_examples=max(100, FUZZED // 5),
    suppress_health_check=list(HealthCheck),
    deadline=None,
    phases=[Phase.generate, Phase.shrink],
)
@given(
    operation=st.sampled_from(["get-many", "set-many", "delete-many"]),
    body=st.dictionaries(st.sampled_from(["keys", "pairs"]), ITEMS, min_size=1) | VALUES,
    lines=st.booleans(),
)
def test_bodies_of_any_shape(attacked: Server, operation: str, body: object, lines: bool) -> None:
    text = json.dumps(body)
    if lines and isinstance(body, dict):
        items = [item for each in body.values() if isinstance(each, list) for item in each]
        text = "\n".join(map(json.dumps, items))
    kind = "application/x-ndjson" if lines else "application/json"
    answer = httpx.post(
        f"{attacked.url}/v1/default/{operation}", content=text.encode(), headers={"content-type": kind}
    )
    assert answer.status_code in (200, 400, 413), answer.text
    if answer.status_code != 200:
        problem = answer.json()
        assert problem["detail"]
        assert "line" in problem or "pointer" in problem or problem["status"] == 413


def test_a_body_that_trickles_is_answered_and_disturbs_nobody(attacked: Server) -> None:
    body = b'{"keys": ["sentinel"]}'
    head = b"POST /v1/default/get-many HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    head += b"connection: close\r\ncontent-length: %d\r\n\r\n" % len(body)
    with socket.create_connection(("127.0.0.1", attacked.port), timeout=60) as connection:
        connection.sendall(head)
        for byte in body:
            connection.sendall(bytes([byte]))
            time.sleep(0.02)
        still_serves(attacked)
        told = b"".join(iter(lambda: connection.recv(65_536), b""))
    assert b"200" in told.partition(b"\r\n")[0]
    assert told.endswith(b'{"pairs": [{"key": "sentinel", "value": "stays"}]}\n')


def test_a_head_that_never_ends_disturbs_nobody(attacked: Server) -> None:
    with socket.create_connection(("127.0.0.1", attacked.port), timeout=20) as connection:
        connection.sendall(b"GET /v1/default?key=a HTTP/1.1\r\nhost: x\r\n")
        try:
            for number in range(40_000):
                connection.sendall(b"x-%d: %s\r\n" % (number, b"y" * 100))
        except OSError:
            pass  # expected: the server refuses the rest
        else:
            pytest.fail("four megabytes of headers were taken")
    still_serves(attacked)
