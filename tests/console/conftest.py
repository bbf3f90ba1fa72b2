"""The console in a real Chromium, over real hosts. Without chromium on PATH these tests are skipped."""

from __future__ import annotations

import importlib.resources
import os
import shutil
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from embedded.component import Component
from embedded.server import Application
from embedded.store import Database, HostError, Pair, SqliteBucket
from tests.servers import Server, free_port, serving, why_not
from tools.components import ROOT

PATIENCE = 30_000
"""Milliseconds. A test machine may be busy."""

PAGE_HOST = os.environ.get("CONSOLE_HOST", "embedded")
"""The host of the tests of the page itself, which is the same on every host. The main paths run on each."""

expect.set_options(timeout=PATIENCE)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium. It ends with the module: its event loop would disturb the tests of others."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on PATH: the console was not tried in a browser")
    with sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        started = playwright.chromium.launch(executable_path=program, args=options)
        yield started
        started.close()


@pytest.fixture(scope="module", params=["embedded", "spin", "spin-0.2"])
def host(request: pytest.FixtureRequest) -> str:
    """The name of a host that this machine has."""
    name = str(request.param)
    missing = why_not(name)
    if missing:
        pytest.skip(f"{name}: {missing}")
    return name


@pytest.fixture(scope="module")
def server(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A host on a fresh data directory, open to anyone."""
    with serving(host, tmp_path_factory.mktemp(host)) as started:
        yield started


@pytest.fixture
def store(server: Server) -> Iterator[Store]:
    """The default store, which is empty when the test begins."""
    opened = Store(server.url)
    opened.clear()
    yield opened
    opened.client.close()


@pytest.fixture
def page(browser: Browser, store: Store) -> Iterator[Page]:
    """The console over that store. The page must load nothing from elsewhere and obey its policy."""
    with opened(browser, store.url) as found:
        yield found


class Store:
    """The default store of a gateway, as httpx sees it."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = httpx.Client(base_url=f"{url}/v1/default", timeout=60)

    def clear(self) -> None:
        self.client.delete("/keys", params={"all": "true"}).raise_for_status()

    def set(self, pairs: dict[str, str]) -> None:
        lines = [{"key": key, "value": value} for key, value in pairs.items()]
        self.client.post("/set-many", json={"pairs": lines}).raise_for_status()

    def pairs(self) -> dict[str, str]:
        """Every pair; a value that is not text as base64."""
        lines = self.client.get("/export").text.splitlines()
        parsed: list[dict[str, str]] = [httpx.Response(200, text=line).json() for line in lines]
        return {pair["key"]: pair["value"] for pair in parsed}

    def count(self) -> int:
        answer = self.client.delete("/keys", params={"all": "true", "dry-run": "true"})
        count: int = answer.json()["keys"]
        return count


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


@contextmanager
def opened(browser: Browser, url: str, path: str = "/", **options: Any) -> Iterator[Page]:
    """The console in a context of its own, with options of Playwright's `new_context`."""
    context = browser.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(PATIENCE)
    asked: list[str] = []
    complaints: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        # A browser reports each answer of 4xx and 5xx as an error too. The page shows these to its user.
        if message.type == "error" and "Failed to load resource" not in message.text:
            complaints.append(message.text)

    page.on("request", lambda request: asked.append(request.url))
    page.on("console", heard)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(url + path)
    expect(page.locator("#keys-note")).not_to_have_text("Reading…")
    yield page
    elsewhere = [each for each in asked if not each.startswith((url + "/", "data:", "blob:"))]
    context.close()
    assert elsewhere == []
    assert complaints == []


def task(page: Page, name: str) -> None:
    """Shows a task: keys, read, write, import or export."""
    page.click(f"nav [data-view={name}]")


def key(page: Page, name: str) -> Any:
    """The button of a key in the list."""
    return page.locator("#keys-body").get_by_role("button", name=name, exact=True)


PASTE = """text => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text/plain", text);
  const key = document.querySelector("#write-body [aria-label=Key]");
  key.dispatchEvent(new ClipboardEvent("paste", {clipboardData, cancelable: true}));
}"""


def paste_pairs(page: Page, text: str) -> None:
    """Pastes lines into the first key of the table of Write."""
    page.evaluate(PASTE, text)


def exported(page: Page, tmp_path: Path) -> bytes:
    """The file that an export gives, as a download: a picker cannot be driven by a test."""
    with page.expect_download() as download:
        page.click("#export-start")
    file = tmp_path / "export"
    download.value.save_as(file)
    return file.read_bytes()


def violations(page: Page) -> list[tuple[str, list[str]]]:
    """The rules of axe-core that the page breaks, each with its elements.

    The context needs `bypass_csp`.
    """
    axe = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text()
    page.evaluate(axe + "; null")
    found = page.evaluate("async () => (await axe.run()).violations")
    return [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
