"""The console under the route of another app, and with a token that may only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.component.test_mounted import BASE, mounted
from tests.console.conftest import PAGE_HOST, exported, key, opened, task
from tests.servers import Server, serving, why_not


@pytest.fixture(scope="module", params=["spin", "spin-0.2"])
def app(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Spin with the gateway under BASE. The embedded host serves at the root alone."""
    name = str(request.param)
    if missing := why_not(name):
        pytest.skip(f"{name}: {missing}")
    directory = tmp_path_factory.mktemp("mounted")
    manifest = str(mounted(name, directory))
    stores = ("--runtime-config-file", str(directory / "stores.toml"))
    with serving(name, directory / "data", *stores, manifest=manifest) as server:
        yield server


def test_the_paths_work_under_a_route(browser: Browser, app: Server, tmp_path: Path) -> None:
    url = f"{app.url}{BASE}"
    httpx.delete(f"{url}/v1/default/keys?all=true").raise_for_status()
    with opened(browser, url) as page:
        page.add_init_script("delete window.showSaveFilePicker")
        page.reload()
        page.get_by_role("button", name="Write pairs").click()
        page.get_by_label("Key", exact=True).fill("a")
        page.get_by_label("Value", exact=True).fill("1")
        page.click("#write-save")
        expect(page.locator("#write-note")).to_have_text("1 pair written to default.")
        task(page, "keys")
        key(page, "a").click()
        expect(page.locator("#value-body pre").first).to_have_text("1")
        lines = page.locator("details.curl pre").all_text_contents()
        assert len(lines) >= 5
        assert all(f"{url}/v1/default" in line for line in lines), lines
        page.click("#value-close")
        task(page, "export")
        file = tmp_path / "export.ndjson"
        file.write_bytes(exported(page, tmp_path))
        task(page, "import")
        page.set_input_files("#import-file", file)
        page.click("#import-start")
        expect(page.get_by_role("heading", name="The import is done")).to_be_visible()
        page.fill("#store", "second")
        page.keyboard.press("Enter")
        expect(page).to_have_title("second · kv-batch")
        task(page, "keys")
        expect(page.get_by_role("heading", name="This store is empty")).to_be_visible()
        page.get_by_role("link", name="API docs").click()
        expect(page).to_have_url(f"{url}/docs")
        page.get_by_role("link", name="the console").click()
        expect(page.locator("#keys-body tr")).to_have_count(1)


def test_a_token_that_may_only_read(browser: Browser, tmp_path: Path) -> None:
    with serving(PAGE_HOST, tmp_path, anonymous="none", read_token="reader", write_token="writer") as server:
        client = httpx.Client(base_url=f"{server.url}/v1/default", headers={"authorization": "Bearer writer"})
        client.post("/set-many", json={"pairs": [{"key": "a", "value": "1"}]}).raise_for_status()
        with opened(browser, server.url) as page:
            page.add_init_script("delete window.showSaveFilePicker")
            page.reload()
            page.fill("#token", "reader")
            page.keyboard.press("Enter")
            expect(page.locator("#keys-body tr")).to_have_count(1)
            refusal = "the caller may only read"
            page.click("#delete-prefix")
            expect(page.locator("#keys-problem .problem")).to_contain_text(refusal)
            key(page, "a").click()
            page.get_by_role("button", name="Edit", exact=True).click()
            page.get_by_label("New value").fill("2")
            page.locator("#value").get_by_role("button", name="Write", exact=True).click()
            expect(page.locator("#value-body .problem")).to_contain_text(refusal)
            expect(page.get_by_label("New value")).to_have_value("2")
            page.locator("#value").get_by_role("button", name="Cancel", exact=True).click()
            page.click("#ask-yes")
            task(page, "write")
            page.get_by_label("Key", exact=True).fill("b")
            page.click("#write-save")
            expect(page.locator("#write-problem .problem")).to_contain_text(refusal)
            expect(page.locator("#write-save")).to_have_text("Write 1 pair to default")
            task(page, "export")
            assert exported(page, tmp_path).splitlines()[-1] == b'{"end": {"pairs": 1}}'
            # It asks for no other token: this one is good.
            expect(page.locator("#token-dialog")).to_be_hidden()
        assert client.get("/keys").json()["keys"] == ["a"]
