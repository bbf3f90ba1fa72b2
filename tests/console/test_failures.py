"""A store that refuses some keys: the console names them. And its curl lines, run in a shell."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
import uvicorn
from playwright.sync_api import Browser, expect

from embedded.component import Component
from embedded.server import Application
from embedded.store import Database, HostError, Pair, SqliteBucket
from tests.console.conftest import Store, opened, task
from tests.servers import free_port
from tools.components import ROOT


class RefusingBucket(SqliteBucket):
    """A store that refuses to write keys with the word "bad"."""

    def set_many(self, pairs: Sequence[Pair]) -> None:
        if any("bad" in name for name, _ in pairs):
            raise HostError("this key is refused")
        super().set_many(pairs)

    def set(self, key: str, value: bytes) -> None:
        self.set_many([(key, value)])


class Stores:
    """The one store of a database."""

    def __init__(self, database: Database) -> None:
        self.database = database

    def open(self, label: str) -> RefusingBucket:
        return RefusingBucket(self.database, label)


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """The store of an embedded host in this process, which refuses keys."""
    database = Database(tmp_path_factory.mktemp("refusing") / "store.db")
    config = {"anonymous": "write", "retry_seconds": "0"}
    application = Application(Component(ROOT / "build/embedded.wasm", config, Stores(database)))
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(application, port=port, lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield Store(f"http://127.0.0.1:{port}")
    server.should_exit = True
    thread.join()


def test_a_partial_failure_names_its_keys(browser: Browser, refusing: Store) -> None:
    with opened(browser, refusing.url) as page:
        task(page, "write")
        for number, name in enumerate(["a", "bad one", "c"]):
            if number:
                page.click("#write-add")
            page.get_by_label("Key", exact=True).nth(number).fill(name)
        page.click("#write-save")
        expect(page.locator("#write-problem")).to_contain_text("bad one this key is refused")
        expect(page.locator("tr.failed")).to_have_count(1)
        expect(page.locator("tr.applied")).to_have_count(2)
        expect(page.locator("#write-save")).to_have_text("Write 1 pair to default")
    assert sorted(refusing.pairs()) == ["a", "c"]


@pytest.mark.parametrize(
    "name", ['it\'s "$HOME" `id` \\ !', "two\nlines\ttab\x01", "日本語 🗝️ \u202e", "@file", "-x"]
)
def test_the_curl_lines_do_the_same(browser: Browser, refusing: Store, name: str, tmp_path: Path) -> None:
    if not (shutil.which("curl") and shutil.which("bash")):
        pytest.skip("no curl or no bash on PATH")
    refusing.clear()
    refusing.set({name: "1"})
    with opened(browser, refusing.url) as page:
        page.locator("#keys-body button.link").click()
        expect(page.locator("#value-curl pre").first).to_be_attached()
        listed, read = page.locator("#keys-curl pre").all_text_contents()[:2]
        delete = page.locator("#value-curl pre").all_text_contents()[1]

    def run(command: str) -> object:
        done = subprocess.run(
            ["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True, timeout=60, env=os.environ
        )
        return json.loads(done.stdout)

    assert run(listed) == {"keys": [name], "next": None}
    assert run(read) == {"pairs": [{"key": name, "value": "1"}]}
    assert run(delete) == {"keys": 1}
    assert refusing.count() == 0
