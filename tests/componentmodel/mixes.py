"""Mixes of requests that are generated from a seed, over stores of both kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from random import Random

from tests.componentmodel.entry import INSTANCE, VARIABLES, Run
from tests.componentmodel.interfaces import Engine, Request

JSON, NDJSON = "application/json", "application/x-ndjson"

KEYS = [f"k{number}" for number in range(30)]

PATIENCE = 75.0
"""Seconds that a silent store may cost beyond its silence: a probe, a queue, a round, and retries
(`kv_batch.reachability`)."""


def play(seed: int) -> None:
    """Plays the mix of a seed, and then as many requests as the instance takes at once.

    Raises:
        Trap, AssertionError: a check failed.
    """
    random = Random(seed)
    pick = random.random
    engines = {"default": _engine(random), "other": _engine(random)}
    VARIABLES["ready_stores"] = random.choice(("default", "default", "default, other"))
    run = Run(seed, **engines)
    span = random.choice((0.0, 0.0, 0.2, 3.0))
    makers: list[Maker] = random.choice((MAKERS, MAKERS, [_ready, _get_many], [_ready], [_import, _export]))
    requests = [
        random.choice(makers)(random, round(pick() * span, 3)) for _ in range(random.choice((2, 8, 16, 40)))
    ]
    slowest = max(engine.delay for engine in engines.values())
    silence = max(sum(back - start for start, back in engine.silent) for engine in engines.values())
    failing = any(engine.failing for engine in engines.values())
    bodies = 0.0
    for request in requests:
        bodies += sum(pause for pause, _ in request.chunks) + (request.leaves or 0) + 200 * request.pace
    waits = 6 * slowest * len(requests) + (silence + PATIENCE if silence or failing else 0)
    for request in requests:
        if pick() < 0.1:
            request.leaves = random.choice((0.0, 0.001, 0.05, 0.5))
        request.bound = 3 + waits + bodies
    run.send(*requests)
    run.run()
    # The places of all requests have come back.
    for engine in engines.values():
        engine.failing = 0.0
    start = INSTANCE.now + silence + 2
    last = [Request(start, "GET", f"/v1/{label}?key=k0") for label in engines for _ in range(4)]
    last += [_ready(random, start) for _ in range(8)]
    for request in last:
        request.bound = 3 + waits
    run.send(*last)
    run.run()
    run.check()
    for request in run.requests:
        _check(request, failing=bool(failing or silence))


def _engine(random: Random) -> Engine:
    delay = random.choice((0.0, 0.0, 0.002, 0.1, 0.1))
    silent = []
    if delay and random.random() < 0.3:
        start = random.random() * 2
        silent.append((start, start + random.choice((0.5, 4.0, 20.0))))
    data = {key: b"v" * random.choice((1, 10, 100)) for key in KEYS if random.random() < 0.8}
    data |= {f"large{number}": b"v" * 100_000 for number in range(random.choice((0, 0, 0, 20)))}
    return Engine(
        delay,
        silent,
        failing=0.2 if random.random() < 0.1 else 0.0,
        listed=5 if random.random() < 0.15 else 1 << 30,
        data=data,
    )


def _check(request: Request, *, failing: bool) -> None:
    """Checks the answer to a request whose client got it."""
    if request.leaves is not None or request.status is None:
        return
    allowed = {401, 404, 405} | ({502, 503} if failing else set()) | {400 if request.cut else 200}
    streamed = request.target.endswith("/get-many") and request.headers["content-type"] == NDJSON
    assert request.status in allowed or (request.status == 200 and streamed), request
    length = request.answer_headers.get("content-length")
    if length is not None and request.method != "HEAD":
        assert len(request.answer) == int(length), request
    if request.method == "HEAD":
        assert not request.answer, request
    elif request.status == 200 and NDJSON in request.answer_headers["content-type"]:
        lines = [json.loads(line) for line in request.answer.splitlines()]
        if request.cut or (lines and "problem" in lines[-1]):
            assert failing or request.cut, lines[-1]
            assert "problem" in lines[-1], lines[-1]
        elif request.target.endswith("end=true"):
            assert lines[-1] == {"end": {"pairs": len(lines) - 1}}, lines[-1]


def _store(random: Random) -> str:
    return random.choice(("default", "default", "other"))


def _ready(_: Random, at: float) -> Request:
    return Request(at, "GET", "/readyz")


def _get_many(random: Random, at: float) -> Request:
    keys = random.choices(KEYS, k=random.choice((1, 1, 2, 20)))
    if random.random() < 0.5:
        query = "&".join(f"key={key}" for key in keys)
        return Request(at, "GET", f"/v1/{_store(random)}?{query}")
    body = json.dumps({"keys": keys}).encode()
    return _sending(random, Request(at, "POST", f"/v1/{_store(random)}/get-many"), JSON, body)


def _set_many(random: Random, at: float) -> Request:
    keys = random.choices(KEYS, k=random.choice((1, 2, 20, 200)))
    body = json.dumps({"pairs": [{"key": key, "value": "new"} for key in keys]}).encode()
    return _sending(random, Request(at, "POST", f"/v1/{_store(random)}/set-many"), JSON, body)


def _delete_many(random: Random, at: float) -> Request:
    return Request(at, "DELETE", f"/v1/{_store(random)}?key={random.choice(KEYS)}&key={random.choice(KEYS)}")


def _import(random: Random, at: float) -> Request:
    target = f"/v1/{_store(random)}/{random.choice(('set-many', 'delete-many', 'get-many'))}"
    size = random.choice((10, 10, 20_000))
    lines = b"".join(
        json.dumps({"key": random.choice(KEYS), "value": "v" * size}).encode() + b"\n"
        for _ in range(random.choice((0, 5, 150)))
    )
    return _sending(random, Request(at, "POST", target), NDJSON, lines, cut=random.random() < 0.2)


def _refused(random: Random, at: float) -> Request:
    method, target, token = random.choice(
        (
            ("POST", "/v2/default/set-many", None),
            ("PUT", "/v1/default/set-many", None),
            ("POST", "/v1/default/set-many", "Bearer wrong"),
            ("POST", "/v1/default/nothing", None),
        )
    )
    request = Request(at, method, target, {} if token is None else {"authorization": token})
    body = bytes(random.choice((10, 100_000, 3_000_000)))
    return _sending(random, request, NDJSON, body, cut=random.random() < 0.4)


def _list(random: Random, at: float) -> Request:
    return Request(at, "GET", f"/v1/{_store(random)}/keys?limit=10")


def _export(random: Random, at: float) -> Request:
    request = Request(at, "GET", f"/v1/{_store(random)}/export?end=true")
    request.reads = random.choice((1 << 12, 1 << 16, 1 << 20))
    request.pace = random.choice((0.0, 0.0, 0.01))
    return request


def _head(random: Random, at: float) -> Request:
    return Request(at, "HEAD", random.choice(("/readyz", "/v1/default?key=k1", "/v1/other/export", "/")))


Maker = Callable[[Random, float], Request]
MAKERS: list[Maker] = [
    _ready, _ready, _get_many, _get_many, _get_many, _set_many, _delete_many, _import, _import, _refused,
    _list, _export, _head,
]  # fmt: skip


def _sending(random: Random, request: Request, media_type: str, body: bytes, *, cut: bool = False) -> Request:
    """A request with a body that comes in chunks, and may be cut short in one of them."""
    request.headers["content-type"] = media_type
    if random.random() < 0.6:
        request.headers["content-length"] = str(len(body))
    else:
        request.headers["transfer-encoding"] = "chunked"
    size = max(len(body) // random.choice((1, 1, 3, 10)), 1)
    pause = random.choice((0.0, 0.0, 0.001, 0.05))
    chunks = [(pause, body[start : start + size]) for start in range(0, len(body), size)]
    if cut and chunks:
        # Where it is cut, the client may have been silent before.
        last = chunks[-1][1]
        chunks[-1] = random.choice((0.0, 1.0, 8.0, 60.0)), last[: len(last) // 2]
        request.cut = True
    request.chunks = chunks
    return request
