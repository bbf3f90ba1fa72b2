"""The demo against a small gateway, with right and wrong answers."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from rich.console import Console

from tools import demo

Answer = tuple[int, object]
PAIRS = {f"city:{number}": f"Zürich {number}".encode() for number in range(2_500)} | {"city:raw": b"\xff\x00"}


class FakeGateway(ThreadingHTTPServer):
    """Keeps pairs in a dict, as they were on the wire; `spoil` may change an answer."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.pairs: dict[str, dict[str, str]] = {}
        self.spoil: Callable[[str, Any], Answer] = lambda operation, answer: (200, answer)
        self.requests: list[str] = []

    def answer(self, operation: str, body: Any) -> object:
        match operation:
            case "set-many":
                self.pairs |= {pair["key"]: pair for pair in body["pairs"]}
                return {"pairs": len(body["pairs"])}
            case "get-many":
                return {"pairs": [self.pairs.get(key, {"key": key, "value": None}) for key in body["keys"]]}
            case _:
                for key in body["keys"]:
                    self.pairs.pop(key, None)
                return {"keys": len(body["keys"])}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: FakeGateway

    def do_POST(self) -> None:
        operation = self.path.removeprefix("/v1/default/")
        self.server.requests.append(operation)
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        status, answer = self.server.spoil(operation, self.server.answer(operation, body))
        content = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name of the one overridden
        pass


@pytest.fixture
def gateway() -> Iterator[FakeGateway]:
    with FakeGateway() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        yield server
        server.shutdown()


def run(gateway: FakeGateway) -> str:
    printed = io.StringIO()
    with httpx.Client(base_url=f"http://127.0.0.1:{gateway.server_port}") as client:
        demo.Demo(client, Console(file=printed, width=120)).run(PAIRS)
    return printed.getvalue()


def test_a_right_gateway_passes_and_is_left_as_it_was(gateway: FakeGateway) -> None:
    gateway.pairs["mine"] = {"key": "mine", "value": "1"}

    printed = run(gateway)

    assert [line[:11].strip() for line in printed.splitlines()] == [
        "set-many",
        "get-many",
        "delete-many",
        "all gone",
    ]
    assert "2,501 pairs     3 requests" in printed
    assert "\x1b" not in printed, "what is no terminal gets no colours"
    assert gateway.pairs == {"mine": {"key": "mine", "value": "1"}}


def changed(answer: Any, at: int, **members: str | None) -> Any:
    answer["pairs"][at] = answer["pairs"][at] | members
    return answer


WRONG: list[tuple[str, str, Callable[[Any], Answer], str]] = [
    ("a changed value", "get-many", lambda a: (200, changed(a, 7, value="Zurich")), "city:7 was set to b'Z"),
    ("another order", "get-many", lambda a: (200, {"pairs": a["pairs"][::-1]}), "in another order"),
    ("a missing key", "get-many", lambda a: (200, {"pairs": a["pairs"][1:]}), "answered with other keys"),
    ("no pairs", "get-many", lambda a: (200, ["?"]), "get-many was answered with ['?']"),
    (
        "bad base64",
        "get-many",
        lambda a: (200, changed(a, 0, value="?", encoding="base64")),
        "was answered with",
    ),
    (
        "a wrong count",
        "set-many",
        lambda a: (200, {"pairs": 1}),
        "of 1000 pairs was answered with {'pairs': 1}",
    ),
    ("a problem", "set-many", lambda a: (401, {"detail": "Who?"}), "set-many was answered with 401: Who?"),
    (
        "an error that is no problem",
        "set-many",
        lambda a: (500, "oops"),
        'set-many was answered with 500: "oops"',
    ),
    (
        "a failed delete",
        "delete-many",
        lambda a: (502, {"detail": "Gone."}),
        "delete-many was answered with 502: Gone.",
    ),
]


@pytest.mark.parametrize(
    ("operation", "spoil", "message"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_a_wrong_answer_is_named_and_nothing_is_left_behind(
    gateway: FakeGateway, operation: str, spoil: Callable[[Any], Answer], message: str
) -> None:
    def once_written(asked: str, answer: Any) -> Answer:
        wrote = "set-many" in gateway.requests
        return spoil(answer) if asked == operation and wrote else (200, answer)

    gateway.spoil = once_written
    with pytest.raises(demo.DemoFailed) as failure:
        run(gateway)

    assert message in str(failure.value)
    # The fake gateway also applies operations that it reports as failed, so only the last request is checked.
    assert gateway.requests[-1] == "delete-many"


def test_a_delete_that_did_nothing_is_found(gateway: FakeGateway) -> None:
    def kept(operation: str, answer: Any) -> Answer:
        if operation == "delete-many":
            gateway.pairs = {key: demo.pair(key, value) for key, value in PAIRS.items()}
        return 200, answer

    gateway.spoil = kept
    with pytest.raises(demo.DemoFailed, match="city:0 was deleted but still has the value"):
        run(gateway)


def test_keys_of_somebody_else_are_not_touched(gateway: FakeGateway) -> None:
    gateway.pairs["city:3"] = theirs = {"key": "city:3", "value": "theirs"}

    with pytest.raises(demo.DemoFailed, match="already has the key city:3"):
        run(gateway)

    assert gateway.pairs == {"city:3": theirs}


def test_no_gateway_is_said_in_one_line() -> None:
    with (
        httpx.Client(base_url="http://127.0.0.1:9") as client,
        pytest.raises(demo.DemoFailed, match="ConnectError"),
    ):
        demo.Demo(client, Console(file=io.StringIO())).run(PAIRS)


def test_the_input_is_every_city_of_more_than_5000_people() -> None:
    pairs = demo.cities()

    assert len(pairs) > 60_000
    assert json.loads(pairs["city:2657896"])["name"] == "Zürich"
    assert "Zürich".encode() in pairs["city:2657896"], "the text itself and no \\u escapes"
