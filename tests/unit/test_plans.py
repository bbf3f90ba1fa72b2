"""What is remembered of heads changes no answer, and is bounded."""

from __future__ import annotations

import asyncio
import json

from hypothesis import given
from hypothesis import strategies as st

from gateway.auth import Caller
from gateway.gateway import Gateway
from gateway.http import Request, Response
from gateway.plans import LONGEST_HEAD, MOST_PLANS, Key, Plan, Plans
from gateway.record import LoggedBody
from gateway.settings import Limits
from tests.buckets import Sqlite
from tests.unit.test_gateway import SmallBody, SmallHost, ask

JSON = "application/json"

HEADERS: dict[str, list[str | None]] = {
    "authorization": [None, "Bearer writer", "Bearer reader", "Bearer wrong", "Basic writer"],
    "host": ["here", "there"],
    "origin": [None, "http://here", "http://elsewhere"],
    "sec-fetch-site": [None, "same-origin", "cross-site"],
    "content-type": [
        None,
        "application/json",
        "application/x-ndjson",
        "text/plain",
        "application/json; charset=x",
    ],
    "content-encoding": [None, "gzip", "identity", "br"],
    "accept": [None, "*/*", "application/x-ndjson", "application/json"],
    "accept-encoding": [None, "gzip"],
    "x-request-id": [None, "mine"],
}

TARGETS = [
    "/", "/v1/default", "/v1/default?key=a", "/v1/default?key=b&encoding=base64", "/v1/default?key=%zz",
    "/v1/default/get-many", "/v1/default/get-many?end=true", "/v1/default/set-many",
    "/v1/default/delete-many", "/v1/default/keys?prefix=a", "/v1/default/keys", "/v1/default/export",
    "/v1/other/get-many", "/v1", "/v2/x",
]  # fmt: skip

BODIES = [
    b"", b'{"keys": ["a", "x"]}', b'{"keys":["b"]}', b'{"pairs": [{"key": "a", "value": "2"}]}',
    b'{"key": "a"}\n', b"[1", b'{"key": "c", "value": "3"}\n',
]  # fmt: skip

REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE"]),
        st.sampled_from(TARGETS),
        st.fixed_dictionaries({name: st.sampled_from(values) for name, values in HEADERS.items()}),
        st.sampled_from(BODIES),
    ),
    min_size=2,
    max_size=12,
)


def told(gateway: Gateway, request: Request) -> tuple[int, list[tuple[str, str]], bytes]:
    """The status, the headers that do not vary, and the whole body of an answer."""

    async def run() -> tuple[Response, bytes]:
        response = await gateway.handle(request)
        if isinstance(response.body, bytes):
            return response, response.body
        assert isinstance(response.body, LoggedBody)
        chunks = [chunk async for chunk in response.body]
        await response.body.aclose()
        return response, b"".join(chunks)

    response, body = asyncio.run(run())
    varying = (
        ["server-timing", "x-request-id"] if "x-request-id" not in request.headers else ["server-timing"]
    )
    return response.status, [each for each in response.headers if each[0] not in varying], body


@given(REQUESTS, st.booleans())
def test_what_is_remembered_changes_no_answer(
    requests: list[tuple[str, str, dict[str, str | None], bytes]], anonymous: bool
) -> None:
    """Each request is sent twice to a gateway that remembers, and twice to new ones."""
    config = {"anonymous": "write" if anonymous else "none", "write_token": "writer", "read_token": "reader"}
    stores = [Sqlite({"a": b"1", "b": b"\xff"}) for _ in range(2)]
    remembering = Gateway(SmallHost(stores[0], **config))
    for method, target, headers, body in requests:
        sent = {name: value for name, value in headers.items() if value is not None}
        for _ in range(2):
            answers = [
                told(gateway, Request(method, target, sent, SmallBody([body])))
                for gateway in (remembering, Gateway(SmallHost(stores[1], **config)))
            ]
            assert answers[0] == answers[1]
            assert stores[0].data == stores[1].data


def test_a_wrong_token_is_refused_after_a_right_one() -> None:
    gateway = Gateway(SmallHost(anonymous="none", write_token="writer", read_token="reader"))
    body = json.dumps({"pairs": [{"key": "a", "value": "1"}]}).encode()
    sent = [
        ask(
            gateway, "POST", "/v1/default/set-many", body, authorization=f"Bearer {token}", content_type=JSON
        ).status
        for token in ("writer", "writer", "reader", "wrong", "writer", "writer ", "write")
    ]
    assert sent == [200, 200, 403, 401, 200, 200, 401]


def fnv(text: bytes, seed: int) -> int:
    """The hash of a text in the component (CPython, `Python/pyhash.c`), but for its length and a constant."""
    state = seed ^ (text[0] << 7)
    whole = (len(text) - 1) // 4 * 4
    blocks = [int.from_bytes(text[start : start + 4], "little") for start in range(0, whole, 4)]
    for block in [*blocks, *text[whole:]]:
        state = (1000003 * state ^ block) % 2**32
    return state


def colliding(seed: int) -> tuple[str, str]:
    """Two values of `authorization` with the same hash, whatever comes behind them."""

    def state(blocks: bytes) -> int:
        return fnv(blocks + b"\0", seed) * pow(1000003, -1, 2**32) % 2**32

    one = b"Bearer aaaaaaaaaaaaa"
    for number in range(10_000):
        other = b"Bearer b%08d" % number
        last = (state(one) ^ state(other + bytes(4))).to_bytes(4, "little")
        if last.isalnum():
            return one.decode(), (other + last).decode()
    raise AssertionError


def test_tokens_do_not_collide_in_one_instance_as_in_another() -> None:
    """In the component the hash of the key of a plan is FNV, and its seed is known."""
    seed = 0x3C6EF372
    pair = colliding(seed)
    behind = "0123456789abcdef"
    assert fnv((pair[0] + behind).encode(), seed) == fnv((pair[1] + behind).encode(), seed)
    for _ in range(10):
        gateway = Gateway(SmallHost(anonymous="none", write_token="writer"))
        keys: list[Key] = []
        gateway._plans.get = keys.append
        for sent in pair:
            assert ask(gateway, "GET", "/v1/default?key=a", authorization=sent).status == 401
        hashes = [fnv(key[3].encode(), seed) for key in keys if key[3]]
        assert len(hashes) == len(set(hashes)) == 2


def test_each_request_has_an_id_and_a_line_of_its_own() -> None:
    gateway = Gateway(SmallHost())
    ids = {dict(ask(gateway, "GET", "/v1/default?key=a").headers)["x-request-id"] for _ in range(100)}
    assert len(ids) == 100


async def _nothing(_: object) -> Response:
    return Response(200)


PLAN = Plan(Caller("read"), False, "/v1/{store}", "default", Limits(), 1.0, _nothing)


def test_the_oldest_plan_is_forgotten() -> None:
    plans = Plans()
    keys: list[Key] = [("GET", f"/v1/{number}", None) for number in range(MOST_PLANS + 1)]
    for key in keys:
        plans.remember(key, PLAN)
    assert [key for key in keys if plans.get(key) is None] == keys[:1]


def test_a_long_head_is_not_remembered() -> None:
    plans = Plans()
    for size, remembered in (LONGEST_HEAD, True), (LONGEST_HEAD + 1, False):
        key: Key = ("", "x" * size, None)
        plans.remember(key, PLAN)
        assert (plans.get(key) is PLAN) is remembered
