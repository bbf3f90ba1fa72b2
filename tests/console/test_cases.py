"""What the console does with hostile content, refusals, failures, and much data."""

from __future__ import annotations

import base64
import importlib.resources
import json
import signal
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, expect

from tests.console.conftest import Store, key, opened, task
from tests.servers import serving

EVERY_BYTE = bytes(range(256))


@pytest.fixture(scope="module")
def host() -> str:
    """The embedded host alone: these cases are those of the page, which is the same on every host."""
    return "embedded"


def test_content_is_never_run(browser: Browser, store: Store) -> None:
    hostile = "<script>document.title = 'run'</script>"
    store.set({hostile: "<img src=x onerror=\"document.title = 'run'\">"})
    with opened(browser, store.url) as page:
        key(page, hostile).click()
        expect(page.locator("#value-key")).to_have_text(hostile)
        expect(page.locator("#value-body pre").first).to_contain_text("<img src=x")
        assert page.title() == "default · kv-batch"


def test_a_value_with_every_byte_is_shown_kept_and_edited(
    browser: Browser, store: Store, tmp_path: Path
) -> None:
    pair = {"key": "bytes", "value": base64.b64encode(EVERY_BYTE).decode(), "encoding": "base64"}
    store.client.post("/set-many", json={"pairs": [pair]}).raise_for_status()
    with opened(browser, store.url) as page:
        key(page, "bytes").click()
        expect(page.locator("#value-body pre.hex")).to_contain_text("000000f0  f0 f1 f2")
        with page.expect_download() as download:
            page.get_by_role("button", name="Download", exact=True).click()
        download.value.save_as(tmp_path / "bytes")
        assert (tmp_path / "bytes").read_bytes() == EVERY_BYTE
        page.get_by_role("button", name="Edit", exact=True).click()
        page.get_by_label("New value").fill("ff 00 0d 0a")
        page.locator("#value").get_by_role("button", name="Write", exact=True).click()
        expect(page.locator("#value-about")).to_have_text("4 bytes, not UTF-8")
    assert store.pairs() == {"bytes": base64.b64encode(b"\xff\x00\r\n").decode()}


def test_a_token_is_asked_for_and_kept_in_the_tab(browser: Browser, tmp_path: Path) -> None:
    with (
        serving("embedded", tmp_path, anonymous="none", write_token="s3cret-token") as server,
        opened(browser, server.url) as page,
    ):
        dialog = page.get_by_role("dialog", name="Token")
        expect(dialog).to_be_visible()
        for token, refused in ("wrong", True), ("s3cret-token", False):
            page.fill("#token", token)
            page.keyboard.press("Enter")
            if refused:
                expect(page.locator("#token-reason")).to_contain_text("does not accept the token")
        expect(dialog).to_be_hidden()
        expect(page.get_by_role("heading", name="This store is empty")).to_be_visible()
        page.click("#keys-curl summary")
        assert "$TOKEN" in page.inner_text("#keys-curl pre >> nth=0")
        assert "s3cret" not in page.content() + page.url
        assert page.evaluate("[sessionStorage.length, localStorage.length]") == [1, 0]


def test_a_lost_connection_has_its_face_and_nothing_typed_is_lost(browser: Browser, tmp_path: Path) -> None:
    with serving("embedded", tmp_path) as server, opened(browser, server.url) as page:
        task(page, "write")
        page.get_by_label("Key", exact=True).fill("a")
        server.stop(signal.SIGKILL)
        page.click("#write-save")
        expect(page.get_by_text("No connection to the gateway.")).to_be_visible()
        expect(page.locator("#write-problem")).to_contain_text("The connection was lost")
        with serving("embedded", tmp_path, port=server.port):
            page.click("#lost-retry")
            expect(page.locator("#lost")).to_be_hidden()
            page.click("#write-save")
            expect(page.locator("#write-note")).to_have_text("1 pair written to default.")


def pair_lines(count: int) -> bytes:
    return b"".join(b'{"key": "k%06d", "value": "%s"}\n' % (number, b"v" * 480) for number in range(count))


def test_an_import_of_50_mb_is_cancelled_and_goes_on(browser: Browser, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "big.ndjson"
    file.write_bytes(pair_lines(100_000) + b'{"end": {"pairs": 100000}}\n')
    assert file.stat().st_size > 50_000_000
    with opened(browser, store.url) as page:
        task(page, "import")
        page.set_input_files("#import-file", file)
        page.click("#import-start")
        expect(page.locator("#import-progress .note")).to_contain_text("lines per second")
        page.click("#import-progress button")
        expect(page.get_by_role("heading", name="The import was stopped")).to_be_visible()
        applied = store.count()
        assert 0 < applied < 100_000
        again = page.get_by_role("button", name=f"Go on from line {applied + 1:,}")
        again.click()
        expect(page.get_by_role("heading", name="The import is done")).to_be_visible()
        assert store.count() == 100_000
        # And 100,000 keys do not freeze the page.
        task(page, "keys")
        page.evaluate(
            "() => { window.longest = 0; "
            "new PerformanceObserver(list => { for (const each of list.getEntries()) "
            "window.longest = Math.max(window.longest, each.duration) }).observe({type: 'longtask'}) }"
        )
        page.fill("#filter", "k09999")
        page.click("#search-all")
        expect(page.locator("#keys-note")).to_contain_text("10 keys of all 100,000 keys")
        assert page.evaluate("window.longest") < 1000


def test_a_bad_line_is_named_and_can_be_left_out(browser: Browser, store: Store, tmp_path: Path) -> None:
    file = tmp_path / "bad.ndjson"
    content = pair_lines(3000).splitlines(keepends=True)
    content[2000] = b'{"key": "bad", "value": 17}\n'
    file.write_bytes(b"".join(content))
    with opened(browser, store.url) as page:
        task(page, "import")
        page.set_input_files("#import-file", file)
        page.click("#import-start")
        result = page.locator("#import-result")
        expect(result).to_contain_text("The import ended early")
        expect(result.locator(".facts")).to_contain_text("2001")
        assert store.count() == 2000
        page.get_by_role("button", name="Leave out line 2,001 and go on").click()
        expect(page.get_by_role("heading", name="The import is done")).to_be_visible()
    assert store.count() == 2999


def test_nothing_unsaved_is_thrown_away_without_asking(browser: Browser, store: Store) -> None:
    store.set({"a": "1", "b": "2"})
    with opened(browser, store.url) as page:
        key(page, "a").click()
        page.get_by_role("button", name="Edit", exact=True).click()
        page.get_by_label("New value").fill("new")
        key(page, "b").click()
        expect(page.get_by_role("dialog", name="Discard what is not written?")).to_be_visible()
        page.click("#ask-no")
        expect(page.get_by_label("New value")).to_have_value("new")
        asked: list[str] = []

        def heard(dialog: Dialog) -> None:
            asked.append(dialog.type)
            dialog.dismiss()

        page.on("dialog", heard)
        page.close(run_before_unload=True)
        page.wait_for_timeout(1000)
        assert asked == ["beforeunload"]
    assert json.dumps(store.pairs()) == '{"a": "1", "b": "2"}'


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(browser: Browser, store: Store, scheme: str) -> None:
    axe = (importlib.resources.files("axe_playwright_python") / "axe.min.js").read_text()
    store.set({"a": '{"b": 1}', "c": "x\ty"})
    with opened(browser, store.url, color_scheme=scheme, bypass_csp=True) as page:
        page.evaluate(axe + "; null")
        for name in "keys", "read", "write", "import", "export":
            task(page, name)
            if name == "keys":
                key(page, "a").click()
                expect(page.locator("#value-body pre").first).to_be_visible()
                page.check("[aria-label='Select c']")
            found = page.evaluate("async () => (await axe.run()).violations")
            assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == [], name
