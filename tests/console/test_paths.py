"""The main paths of a person through the console: with the mouse, and with the keyboard alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from gateway.pages import CONSOLE
from tests.console.conftest import Store, exported, key, opened, task
from tests.servers import Server


def test_the_page_is_served_as_it_was_built(server: Server) -> None:
    plain = httpx.get(server.url, headers={"accept-encoding": "identity"})
    assert (plain.status_code, plain.content) == (200, CONSOLE.html), (
        "the component is older than the sources"
    )
    assert plain.headers["content-security-policy"] == CONSOLE.policy
    with httpx.stream("GET", server.url, headers={"accept-encoding": "gzip"}) as packed:
        assert gzip.decompress(b"".join(packed.iter_raw())) == CONSOLE.html
    head = httpx.head(server.url, headers={"accept-encoding": "identity"})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == str(len(CONSOLE.html))
    again = httpx.get(server.url, headers={"if-none-match": packed.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert httpx.post(server.url).status_code == 405


def test_with_the_mouse(page: Page, store: Store) -> None:
    expect(page.get_by_role("heading", name="This store is empty")).to_be_visible()
    page.get_by_role("button", name="Write pairs").click()
    rows = page.locator("#write-body tr")
    rows.nth(0).get_by_label("Key").fill("user:1")
    rows.nth(0).get_by_label("Value", exact=True).fill('{"name": "Ada", "id": 12345678901234567890}')
    page.click("#write-add")
    rows.nth(1).get_by_label("Key").fill("user:2")
    rows.nth(1).get_by_label("Value", exact=True).fill("Grace")
    page.get_by_role("button", name="Write 2 pairs to default").click()
    expect(page.locator("#write-note")).to_have_text("2 pairs written to default.")
    assert store.pairs() == {"user:1": '{"name": "Ada", "id": 12345678901234567890}', "user:2": "Grace"}

    task(page, "keys")
    expect(page.locator("#keys-body tr")).to_have_count(2)
    key(page, "user:1").click()
    page.get_by_role("button", name="JSON", exact=True).click()
    shown = page.locator("#value-body pre.text")
    expect(shown).to_have_text('{\n  "name": "Ada",\n  "id": 12345678901234567890\n}', use_inner_text=True)
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label("New value").fill("changed")
    page.locator("#value").get_by_role("button", name="Write", exact=True).click()
    expect(shown).to_have_text("changed")
    assert store.pairs()["user:1"] == "changed"
    expect(page.locator("#keys-body td.preview").first).to_have_text("changed")

    page.get_by_role("button", name="Delete…").last.click()
    page.get_by_role("button", name="Delete 1 key").click()
    expect(page.locator("#value")).to_be_hidden()
    expect(page.locator("#keys-body tr")).to_have_count(1)
    assert store.pairs() == {"user:2": "Grace"}


def press_to(page: Page, selector: str, press: str = "Tab") -> None:
    """Presses a key until the focus is on an element. It must be visible there."""
    for _ in range(60):
        there, visible = page.evaluate(
            "selector => [document.activeElement.matches(selector), "
            "document.activeElement.matches(':focus-visible') && "
            "getComputedStyle(document.activeElement).outlineStyle !== 'none']",
            selector,
        )
        if there:
            assert visible, f"the focus on {selector} cannot be seen"
            return
        page.keyboard.press(press)
    raise AssertionError(f"the keyboard does not get to {selector}")


def test_with_the_keyboard_alone(page: Page, store: Store) -> None:
    store.set({f"user:{number}": f"value {number}" for number in range(1, 4)})
    press_to(page, "a.skip")
    press_to(page, "nav [data-view=write]")
    page.keyboard.press("Enter")
    press_to(page, "[aria-label=Key]")
    page.keyboard.type("user:4")
    page.keyboard.press("Tab")
    page.keyboard.type("typed")
    press_to(page, "#write-save")
    page.keyboard.press("Enter")
    expect(page.locator("#write-note")).to_have_text("1 pair written to default.")

    page.keyboard.press("Shift+Tab")
    press_to(page, "nav [data-view=keys]", "Shift+Tab")
    page.keyboard.press("Enter")
    press_to(page, "#prefix")
    page.keyboard.type("user:")
    page.keyboard.press("Enter")
    expect(page.locator("#keys-body tr")).to_have_count(4)
    press_to(page, "button.link")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("#value-key")).to_have_text("user:2")
    expect(page.locator("#value-key")).to_be_focused()
    expect(page.locator("#value-body pre").first).to_have_text("value 2")
    page.keyboard.press("Escape")
    expect(page.locator("#value")).to_be_hidden()
    expect(key(page, "user:2")).to_be_focused()

    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Space")
    expect(page.locator("#selected-count")).to_have_text("1 key selected")
    press_to(page, "#delete-selected", "Shift+Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog", name="Delete 1 key?")).to_be_visible()
    expect(page.locator("#ask-no")).to_be_focused()
    page.keyboard.press("Escape")
    assert store.count() == 4
    expect(page.locator("#delete-selected")).to_be_focused()
    page.keyboard.press("Enter")
    press_to(page, "#ask-yes")
    page.keyboard.press("Enter")
    expect(page.locator("#keys-body tr")).to_have_count(3)
    assert sorted(store.pairs()) == ["user:1", "user:3", "user:4"]


def test_an_export_is_a_file_that_an_import_takes(page: Page, store: Store, tmp_path: Path) -> None:
    store.set({f"key {number}": f"value\n{number}" for number in range(1000)} | {"other": "1"})
    before = store.pairs()
    page.add_init_script("delete window.showSaveFilePicker")
    page.reload()
    task(page, "export")
    content = exported(page, tmp_path)
    expect(page.locator("#export-result")).to_contain_text("1,001 pairs")
    assert content == store.client.get("/export?end=true").content
    page.check("#export-gzip")
    page.fill("#export-prefix", "key ")
    packed = exported(page, tmp_path)
    assert gzip.decompress(packed).splitlines()[-1] == b'{"end": {"pairs": 1000}}'

    store.clear()
    task(page, "import")
    for name, sent in ("whole.ndjson", content), ("part.ndjson.gz", packed):
        file = tmp_path / name
        file.write_bytes(sent)
        page.set_input_files("#import-file", file)
        page.click("#import-start")
        expect(page.get_by_role("heading", name="The import is done")).to_be_visible()
        expect(page.locator("#import-result")).to_contain_text("the file is complete")
    assert store.pairs() == before


def test_many_keys_are_read(page: Page, store: Store) -> None:
    store.set({"a": "1", "two\nlines": "2", '{"key": "a"}': "3"})
    task(page, "read")
    page.fill("#read-keys", 'a\nmissing\na\n{"key": "a"}')
    page.click("#read-form .primary")
    expect(page.locator("#read-note")).to_have_text("3 keys found, 1 missing.")
    assert page.locator("#read-result td.preview").all_inner_texts() == ["1", "missing", "1", "3"]
    page.get_by_label("JSON or NDJSON").check()
    for typed in json.dumps(["two\nlines"]), '{"key": "two\\nlines"}\n{"end": {"pairs": 1}}':
        page.fill("#read-keys", typed)
        page.click("#read-form .primary")
        expect(page.locator("#read-note")).to_have_text("1 key found, 0 missing.")
    page.fill("#read-keys", '{"key": "a"}\nnonsense')
    page.click("#read-form .primary")
    expect(page.locator("#read-note")).to_contain_text("Line 2 is not JSON.")


@pytest.mark.parametrize("count", [3, 101])
def test_a_prefix_is_deleted_after_its_count_was_seen(page: Page, store: Store, count: int) -> None:
    store.set({f"old:{number}": "1" for number in range(count)} | {"kept": "1"})
    page.fill("#prefix", "old:")
    page.click("#delete-prefix")
    yes = page.locator("#ask-yes")
    expect(page.get_by_role("dialog", name=f"Delete {count} keys?")).to_be_visible()
    page.click("#ask-no")
    assert store.count() == count + 1
    page.click("#delete-prefix")
    if count > 100:
        expect(yes).to_be_disabled()
        page.fill("#ask-count", "100")
        expect(yes).to_be_disabled()
        page.fill("#ask-count", "101")
    yes.click()
    expect(page.locator("#status")).to_have_text(f"Deleted {count} keys.")
    assert store.pairs() == {"kept": "1"}


def test_it_works_without_the_last_slash_of_its_path(browser: Browser, store: Store) -> None:
    store.set({"a": "1"})
    with opened(browser, store.url, "/?from=a-bookmark") as page:
        expect(page.locator("#keys-body tr")).to_have_count(1)
