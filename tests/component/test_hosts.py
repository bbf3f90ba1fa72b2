"""The hosts as programs: how they stop, what they say when they cannot start, and what survives their end."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from wasmtime import WasmtimeError

from embedded.component import REQUESTS, Component
from embedded.imports import ClientGone
from embedded.store import Database, SqliteBucket
from tests.exchanges import Exchange
from tests.servers import command, free_port, serving, why_not
from tools.components import ROOT


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_stop_that_was_asked_for_is_clean(how: signal.Signals, tmp_path: Path) -> None:
    with serving("embedded", tmp_path) as server:
        assert server.stop(how) == 0
        first, *rest = server.logged().splitlines()
        assert first == f"Serving {server.url}"
        assert all(line.startswith('{"request_id"') for line in rest)  # and no complaint


def test_a_request_under_way_is_answered_before_the_stop(tmp_path: Path) -> None:
    with serving("embedded", tmp_path) as server:
        body = b'{"keys": ["a"]}'
        head = (
            "POST /v1/default/get-many HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", server.port), timeout=20) as connection:
            connection.sendall(head.encode() + body[:5])
            time.sleep(0.2)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.2)
            connection.sendall(body[5:])
            assert connection.recv(100).startswith(b"HTTP/1.1 200 ")
        assert server.process.wait(20) == 0


@pytest.mark.parametrize("again", [False, True], ids=["waits for its grace", "told twice: at once"])
def test_a_request_that_does_not_end_holds_no_stop_up(again: bool, tmp_path: Path) -> None:
    with (
        serving("embedded", tmp_path) as server,
        socket.create_connection(("127.0.0.1", server.port)) as slow,
    ):
        slow.sendall(b"POST /v1/default/get-many HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
                     b"content-length: 10\r\n\r\n{")  # fmt: skip
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        if again:
            time.sleep(0.3)
            server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(3 if again else 15) == (128 + signal.SIGTERM if again else 0)
        assert "Traceback" not in server.logged()


def test_a_kill_loses_nothing_that_was_acknowledged(host: str, tmp_path: Path) -> None:
    acknowledged = 0
    with serving(host, tmp_path) as server:

        def load() -> None:
            nonlocal acknowledged
            with httpx.Client(base_url=f"{server.url}/v1/default") as client:
                while True:
                    pairs = [{"key": f"{acknowledged}-{i}", "value": "v"} for i in range(10)]
                    try:
                        client.post("/set-many", json={"pairs": pairs}).raise_for_status()
                    except httpx.HTTPError:
                        return
                    acknowledged += 1

        thread = threading.Thread(target=load)
        thread.start()
        time.sleep(0.7)
        server.kill()
        thread.join(20)
    assert acknowledged > 0
    with serving(host, tmp_path) as server:
        keys: list[str] = []
        after = ""
        while page := httpx.get(
            f"{server.url}/v1/default/keys", params={"after": after, "limit": 10_000}
        ).json()["keys"]:
            keys += page
            after = page[-1]
        kept = set(keys)
        assert [turn for turn in range(acknowledged) for i in range(10) if f"{turn}-{i}" not in kept] == []
        # A host call is a transaction: of the batch under way all or nothing is there.
        assert len(kept) % 10 == 0


def test_what_one_host_stored_the_other_one_has(tmp_path: Path) -> None:
    missing = why_not("spin")
    if missing:
        pytest.skip(f"spin: {missing}")
    pairs = [{"key": "k\u0000é😀", "value": "AP8=", "encoding": "base64"}]
    for writer, reader in (("spin", "embedded"), ("embedded", "spin")):
        data = tmp_path / writer
        with serving(writer, data) as server:
            assert httpx.post(f"{server.url}/v1/default/set-many", json={"pairs": pairs}).status_code == 200
        with serving(reader, data) as server:
            answer = httpx.post(f"{server.url}/v1/default/get-many", json={"keys": [pairs[0]["key"]]})
            assert answer.json() == {"pairs": pairs}


def said(port: int, data: Path, *changes: tuple[str, str]) -> str:
    """What the embedded host says when it will not start."""
    line = command("embedded", port, data)
    for old, new in changes:
        line[line.index(old)] = new
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_why_it_cannot_start_is_one_line(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "cannot listen on 127.0.0.1" in said(taken.getsockname()[1], tmp_path)
    missing = ("build/embedded.wasm", str(tmp_path / "no.wasm"))
    assert "cannot load the component" in said(free_port(), tmp_path, missing)
    (tmp_path / "bad.wasm").write_bytes(b"no component")
    bad = ("build/embedded.wasm", str(tmp_path / "bad.wasm"))
    assert "cannot load the component" in said(free_port(), tmp_path, bad)
    assert "cannot use the manifest" in said(free_port(), tmp_path, ("spin.toml", "no.toml"))
    (tmp_path / "sqlite_key_value.db").write_bytes(b"this is no database" * 100)
    assert "cannot open the store" in said(free_port(), tmp_path)
    (tmp_path / "file").write_text("")
    assert "cannot open the store" in said(free_port(), tmp_path / "file")


def test_help_is_to_be_had() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "embedded", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert "--listen" in done.stdout


# The component without a server


class OneStore:
    def __init__(self, database: Database) -> None:
        self.database = database

    def open(self, label: str) -> SqliteBucket | None:
        return SqliteBucket(self.database, label) if label == "default" else None


@pytest.fixture
def component(tmp_path: Path) -> Iterator[Component]:
    database = Database(tmp_path / "store.db")
    yield Component(ROOT / "build/embedded.wasm", {"anonymous": "write"}, OneStore(database))
    database.close()


def ask(component: Component, exchange: Exchange, target: str = "get-many") -> Exchange:
    headers = [("content-type", "application/json")]
    with component.instance() as instance:
        instance.handle("POST", f"/v1/default/{target}", headers, exchange)
    return exchange


def test_a_trap_ends_one_instance_and_no_more(
    component: Component, capfd: pytest.CaptureFixture[str]
) -> None:
    with component.instance() as doomed, component.instance() as other:
        assert doomed is not other
        with pytest.raises(WasmtimeError):
            doomed.handle("POST", "/v1/default/get-many", [("content-type", "application/json")],
                          Exchange(RuntimeError("a defect of the host")))  # fmt: skip
        other.handle("GET", "/v1/default?key=a", [], exchange := Exchange())
        assert exchange.status == 200
    assert "a defect of the host" in capfd.readouterr().err
    with pytest.raises(WasmtimeError):
        ask(component, Exchange(RuntimeError()))
    assert ask(component, Exchange(b'{"keys": []}')).status == 200


def test_a_body_cut_short_is_told(component: Component) -> None:
    exchange = ask(component, Exchange(b'{"pairs": []}', ClientGone("gone")), "set-many")
    assert exchange.status == 400
    assert b"cut short" in exchange.answer


def test_an_instance_is_replaced_after_its_requests(component: Component) -> None:
    with component.instance() as first:
        first.requests = REQUESTS
    with component.instance() as second:
        assert second is not first
    with component.instance() as third:
        assert third is second
