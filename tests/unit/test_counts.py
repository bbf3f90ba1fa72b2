"""What a request costs, in counts that do not vary as times do: calls of the host and of Python, memory.

A call of a Python function is the unit of cost in a WebAssembly guest. If a number below rises, a request has
become slower (`docs/performance.md`); if it falls, lower the bound.
"""

from __future__ import annotations

import json
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from gateway.gateway import Gateway
from gateway.http import Response
from guests.wasi import WitHost, headers_of, request_of
from tests.clock import run
from tests.unit.test_gateway import SmallBody
from tests.unit.test_wit import AsyncStore, wit_over
from tools.components import ROOT

TOKEN = "a token of forty characters, or about that"
FIELDS = [
    ("host", b"127.0.0.1:3000"),
    ("user-agent", b"curl/8.14.1"),
    ("accept", b"*/*"),
    ("authorization", f"Bearer {TOKEN}".encode()),
    ("content-type", b"application/json"),
]
OURS = tuple(str(ROOT / name) for name in ("gateway", "kv_batch", "guests"))


class Method_Post:  # noqa: N801 - a name of the bindings
    """The case of `method` of `wasi:http/types`."""


def body_of(operation: str, count: int) -> bytes:
    keys = [f"key:{number:06d}" for number in range(count)]
    if operation == "set-many":
        return json.dumps({"pairs": [{"key": key, "value": "x" * 100} for key in keys]}).encode()
    return json.dumps({"keys": keys}).encode()


class Measured:
    """A gateway of an instance that has answered before, so that it has learned what it can."""

    def __init__(self, **variables: str) -> None:
        self.store = AsyncStore({}, file=True)
        variables = {"write_token": TOKEN, "max_keys": "100000", "max_body_bytes": "100000000", **variables}
        self.gateway = Gateway(WitHost(wit_over(self.store, batches=True), variables.get))
        for operation in ("delete-many", "set-many", "get-many"):
            self.answer(operation, body_of(operation, 1_000))
        self.store.calls.clear()

    def answer(
        self, operation: str, body: bytes, around: Callable[[Callable[[], Any]], Any] | None = None
    ) -> Response:
        async def handle() -> Response:
            fields = [*FIELDS, ("content-length", b"%d" % len(body))]
            headers = headers_of(fields, lambda: None)
            request = request_of(Method_Post(), f"/v1/default/{operation}", headers, SmallBody([body]))
            return await self.gateway.handle(request)

        answer = run(handle()) if around is None else around(lambda: run(handle()))
        assert isinstance(answer, Response)
        assert answer.status == 200
        return answer


def calls_of(function: Callable[[], Any]) -> tuple[Any, int]:
    """The result of a function, and how many functions of this project in Python it called."""
    calls = 0

    def count(frame: FrameType, event: str, _: object) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code.co_filename.startswith(OURS)

    sys.setprofile(count)
    try:
        result = function()
    finally:
        sys.setprofile(None)
    return result, calls


def calls(measured: Measured, operation: str, count: int) -> int:
    found = 0

    def around(function: Callable[[], Any]) -> Any:
        nonlocal found
        result, found = calls_of(function)
        return result

    measured.answer(operation, body_of(operation, count), around)
    return found


@pytest.mark.parametrize(
    ("operation", "count", "expected"),
    [
        ("get-many", 1, ["get"]),
        ("get-many", 2, ["get_many"]),
        ("get-many", 10_000, ["get_many"]),
        ("set-many", 1, ["set_many"]),
        ("set-many", 10_000, ["set_many"]),
        ("delete-many", 10_000, ["delete_many"]),
    ],
)
def test_a_request_is_one_host_call(operation: str, count: int, expected: list[str]) -> None:
    measured = Measured()
    measured.answer(operation, body_of(operation, count))
    assert measured.store.calls == expected


@pytest.mark.parametrize(("operation", "most"), [("get-many", 40), ("set-many", 60), ("delete-many", 50)])
def test_a_small_request_is_few_calls_of_python(operation: str, most: int) -> None:
    measured = Measured()
    found = calls(measured, operation, 1)
    assert found <= most


@pytest.mark.parametrize("operation", ["get-many", "set-many", "delete-many"])
def test_a_pair_is_no_call_of_python(operation: str) -> None:
    """A body of pairs is decoded in pieces, each of a hundred pairs or more: a few calls each."""
    measured = Measured()
    few, many = calls(measured, operation, 100), calls(measured, operation, 10_000)
    assert many - few <= 9_900 / 20


@pytest.mark.parametrize(("operation", "most"), [("get-many", 5.5), ("set-many", 5), ("delete-many", 8)])
def test_a_request_holds_few_copies_of_its_pairs(operation: str, most: float) -> None:
    """The peak of memory, in bytes for each byte of the larger of body and answer."""
    measured = Measured()
    body = body_of(operation, 10_000)
    if operation != "delete-many":
        measured.answer("set-many", body_of("set-many", 10_000))
    tracemalloc.start()
    try:
        answer = measured.answer(operation, body)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert isinstance(answer.body, bytes)
    found = peak / max(len(body), len(answer.body))
    assert found <= most
