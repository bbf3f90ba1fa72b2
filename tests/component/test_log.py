"""The log of a running host: a line a request, and nothing in it that is nobody's business."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import Server, serving

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def closed(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A host that lets nobody in without a token."""
    data = tmp_path_factory.mktemp(f"log-{host}")
    with serving(
        host, data, anonymous="none", read_token="reader-token", write_token="writer-token"
    ) as server:
        yield server


def lines(server: Server, request_id: str) -> list[dict[str, Any]]:
    """What the log has of a request."""
    logged = (line for line in server.logged().splitlines() if line.startswith('{"request_id"'))
    return [line for line in map(json.loads, logged) if line["request_id"] == request_id]


def line_of(server: Server, request_id: str) -> dict[str, Any]:
    """Its line: the one, and soon."""
    end = time.monotonic() + 10
    while not (found := lines(server, request_id)):
        assert time.monotonic() < end, server.logged()
        time.sleep(0.02)
    # Spin writes what a component logs to a file, and to its own output too.
    assert len({json.dumps(line) for line in found}) == 1
    return found[0]


def test_a_request_is_one_line_whatever_becomes_of_it(closed: Server) -> None:
    token = {"authorization": "Bearer writer-token"}
    pairs = {"pairs": [{"key": "the-key", "value": "the-value"}]}
    with httpx.Client(base_url=f"{closed.url}/v1/default") as client:
        answer = client.post(
            "/set-many",
            json=pairs,
            headers={**token, "x-request-id": "one", "traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"},
        )
        assert answer.headers["x-request-id"] == "one"
        for name in ("decode", "store", "encode"):
            assert f"{name};dur=" in answer.headers["server-timing"]
        exported = client.get("/export", headers={**token, "x-request-id": "two"})
        refused = client.get("/export", headers={"authorization": "Bearer wrong-token"})
        assert "server-timing" not in refused.headers

    line = line_of(closed, "one")
    assert (line["method"], line["route"], line["store"]) == ("POST", "/v1/{store}/set-many", "default")
    assert (line["status"], line["trace_id"], line["keys"]) == (200, TRACE, 1)
    assert (line["bytes_in"], line["bytes_out"]) == (len(answer.request.content), len(answer.content))
    assert line["host_calls"] == 1
    assert 0 < line["store_ms"] < line["ms"]
    line = line_of(closed, "two")
    assert (line["keys"], line["host_calls"], line["problem"]) == (1, 2, None)
    assert line["bytes_out"] == exported.num_bytes_downloaded
    line = line_of(closed, refused.headers["x-request-id"])
    assert (line["status"], line["problem"], line["store"]) == (401, "unauthorized", None)
    for secret in ("reader-token", "writer-token", "wrong-token", "the-key", "the-value"):
        assert secret not in closed.logged()


def test_an_export_that_nobody_takes_is_logged_all_the_same(closed: Server) -> None:
    token = {"authorization": "Bearer writer-token"}
    body = b"".join(b'{"key": "k%06d", "value": "%s"}\n' % (number, b"v" * 900) for number in range(30_000))
    with httpx.Client(base_url=f"{closed.url}/v1/default", headers=token, timeout=60) as client:
        client.post("/set-many", content=body, headers={"content-type": "application/x-ndjson"})
        with client.stream("GET", "/export", headers={"x-request-id": "left"}) as answer:
            next(answer.iter_raw(1))
        assert 0 < line_of(closed, "left")["keys"] < 30_000
        assert client.head("/export", headers={"x-request-id": "head"}).status_code == 200
        assert line_of(closed, "head")["bytes_out"] == 0


def test_a_settings_mistake_is_logged_without_its_value(host: str, tmp_path: Path) -> None:
    with serving(host, tmp_path, anonymous="sometimes") as server:
        answer = httpx.get(f"{server.url}/v1/default?key=a", headers={"x-request-id": "bad"})
        assert answer.json()["type"] == "/problems/misconfigured"
        assert line_of(server, "bad")["problem"] == "misconfigured"
        assert "sometimes" not in server.logged()
