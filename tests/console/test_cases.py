"""What the console does with hostile content, refusals, failures, and much data."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Dialog, Route, expect

from tests.console.conftest import PAGE_HOST, Store, key, opened, task
from tests.servers import serving

EVERY_BYTE = bytes(range(256))


@pytest.fixture(scope="module")
def host() -> str:
    return PAGE_HOST


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
        serving(PAGE_HOST, tmp_path, anonymous="none", write_token="s3cret-token") as server,
        opened(browser, server.url) as page,
    ):
        dialog = page.get_by_role("dialog", name="Token")
        expect(dialog).to_be_visible()
        expect(page.locator("#token-reason")).to_have_text(
            "A token is needed. Enter the token of this gateway."
        )
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
    with serving(PAGE_HOST, tmp_path) as server, opened(browser, server.url) as page:
        task(page, "write")
        page.get_by_label("Key", exact=True).fill("a")
        server.kill()
        page.click("#write-save")
        expect(page.get_by_text("No connection to the gateway.")).to_be_visible()
        expect(page.locator("#write-problem")).to_contain_text("The connection was lost")
        with serving(PAGE_HOST, tmp_path, port=server.port):
            # The page tries again by itself too, and the button may be gone by now.
            page.locator("#lost-retry").evaluate("button => button.click()")
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
        expect(page.get_by_role("dialog", name="Discard unsaved changes?")).to_be_visible()
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


def test_another_store_gets_no_value_that_was_edited_for_this_one(browser: Browser, store: Store) -> None:
    store.set({"a": "1"})
    with opened(browser, store.url) as page:
        key(page, "a").click()
        page.get_by_role("button", name="Edit", exact=True).click()
        page.get_by_label("New value").fill("new")
        page.fill("#store", "other")
        page.keyboard.press("Enter")
        page.click("#ask-no")
        expect(page.locator("#store")).to_have_value("default")
        expect(page.get_by_label("New value")).to_have_value("new")
        page.evaluate("location.hash = 'other'")
        page.click("#ask-yes")
        expect(page).to_have_title("other · kv-batch")
        expect(page.locator("#value")).to_be_hidden()


def test_a_read_is_stopped_or_replaced_by_the_next(browser: Browser, store: Store) -> None:
    store.set({"a": "1"})
    with opened(browser, store.url) as page:
        task(page, "read")
        page.route("**/get-many*", lambda route: None)  # it never answers
        page.fill("#read-keys", "slow")
        page.click("#read-form .primary")
        page.get_by_role("button", name="Stop", exact=True).click()
        expect(page.locator("#read-note")).to_have_text("Stopped after 0 keys of 1. 0 keys found, 0 missing.")
        page.click("#read-form .primary")
        page.click("#read-form .primary")
        page.wait_for_timeout(300)
        expect(page.locator("#read-note")).to_have_text("Reading…")
        expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
        page.unroute("**/get-many*")
        page.fill("#read-keys", "a")
        page.click("#read-form .primary")
        expect(page.locator("#read-note")).to_have_text("1 key found, 0 missing.")
        assert page.locator("#read-result td.preview").all_inner_texts() == ["1"]


def test_the_selection_fits_in_one_line_beside_a_value(browser: Browser, store: Store) -> None:
    store.set({"a": "1", "b": "2"})
    with opened(browser, store.url, viewport={"width": 1200, "height": 800}) as page:
        page.check("#select-page")
        key(page, "a").click()
        tops = page.locator("#selection button").evaluate_all("all => all.map(each => each.offsetTop)")
        assert len(set(tops)) == 1


def test_the_focus_stays_on_a_key_while_its_value_arrives(browser: Browser, store: Store) -> None:
    store.set({"a": "1", "b": "2"})
    with opened(browser, store.url) as page:
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/get-many*", hold)
        page.click("#keys-form .primary")
        key(page, "b").focus()
        while not held:
            page.wait_for_timeout(50)
        store.set({"b": "new"})
        held[0].continue_()
        expect(page.locator("#keys-body td.preview").nth(1)).to_have_text("new")
        expect(key(page, "b")).to_be_focused()


def test_an_address_that_is_not_encoded_does_not_break_the_page(browser: Browser, store: Store) -> None:
    with opened(browser, store.url, "/#100%") as page:
        expect(page.locator("#store")).to_have_value("100%")
        page.fill("#store", "default")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="This store is empty")).to_be_visible()
