"""Nothing that is not written is thrown away without a question, and nothing is written to another store."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.console.conftest import PAGE_HOST, Store, key, opened, task
from tests.servers import serving

DISCARD = "Discard unsaved changes?"


@pytest.fixture(scope="module")
def host() -> str:
    return PAGE_HOST


def edit(page: Page, name: str, text: str) -> None:
    """Types another value of a key, and does not write it."""
    key(page, name).click()
    page.get_by_role("button", name="Edit", exact=True).click()
    page.get_by_label("New value").fill(text)


def to_store(page: Page) -> None:
    page.fill("#store", "other")
    page.keyboard.press("Enter")


LEAVE: dict[str, Callable[[Page], object]] = {
    "Escape": lambda page: page.keyboard.press("Escape"),
    "✕": lambda page: page.click("#value-close"),
    "Cancel": lambda page: page.locator("#value").get_by_role("button", name="Cancel", exact=True).click(),
    "another key": lambda page: key(page, "b").click(),
    "another task": lambda page: task(page, "import"),
    "another store": to_store,
    "another address": lambda page: page.evaluate("location.hash = 'other'"),
}
"""The ways out of an edited value."""


@pytest.mark.parametrize("way", LEAVE)
def test_an_edited_value_is_left_only_after_a_question(browser: Browser, store: Store, way: str) -> None:
    store.set({"a": "1", "b": "2"})
    with opened(browser, store.url) as page:
        edit(page, "a", "new")
        LEAVE[way](page)
        expect(page.get_by_role("dialog", name=DISCARD)).to_be_visible()
        page.click("#ask-no")
        expect(page.get_by_label("New value")).to_have_value("new")
        expect(page.locator("#store")).to_have_value("default")
        expect(page.locator("nav [aria-current]")).to_have_text("Keys")
        LEAVE[way](page)
        page.click("#ask-yes")
        expect(page.get_by_label("New value")).to_be_hidden()
    assert store.pairs() == {"a": "1", "b": "2"}


def test_a_value_that_is_not_changed_is_left_at_once(browser: Browser, store: Store) -> None:
    store.set({"a": "1"})
    with opened(browser, store.url) as page:
        edit(page, "a", "new")
        page.get_by_label("New value").fill("1")
        page.keyboard.press("Escape")
        expect(page.locator("#value")).to_be_hidden()


def test_another_store_is_opened_after_a_question_and_the_table_stays(browser: Browser, store: Store) -> None:
    store.set({"a": "1", "b": "2"})
    with opened(browser, store.url) as page:
        page.check("#select-page")
        page.click("#edit-selected")
        rows = page.locator("#write-body tr")
        rows.nth(0).get_by_label("Value", exact=True).fill("new")
        for answer, opens in ("#ask-no", "default"), ("#ask-yes", "other"):
            page.fill("#store", "other")
            page.keyboard.press("Enter")
            dialog = page.get_by_role("dialog", name="Open the store other?")
            expect(dialog).to_contain_text("1 pair in the table of Write is not written yet.")
            page.click(answer)
            expect(page.locator("#store")).to_have_value(opens)
            expect(page.locator("#write-save")).to_have_text(f"Write 1 pair to {opens}")
        # The row that was not edited showed the store that is closed.
        expect(rows).to_have_count(1)
        expect(rows.nth(0).get_by_label("Value", exact=True)).to_have_value("new")


def test_a_token_that_expires_while_a_value_is_written(browser: Browser, tmp_path: Path) -> None:
    """The edit stays, and the write goes on with the next token."""
    bearer = {"authorization": "Bearer writer"}
    with (
        serving(PAGE_HOST, tmp_path, anonymous="none", write_token="writer") as server,
        httpx.Client(base_url=f"{server.url}/v1/default", headers=bearer) as client,
        opened(browser, server.url) as page,
    ):
        client.post("/set-many", json={"pairs": [{"key": "a", "value": "1"}]}).raise_for_status()
        page.fill("#token", "writer")
        page.keyboard.press("Enter")
        edit(page, "a", "new")
        expire(page)
        page.locator("#value").get_by_role("button", name="Write", exact=True).click()
        dialog = page.get_by_role("dialog", name="Token")
        expect(dialog).to_contain_text("does not accept the token")
        page.click("#token-cancel")
        expect(page.locator("#value-body .problem")).to_be_visible()
        expect(page.get_by_label("New value")).to_have_value("new")
        page.click("#token-open")
        page.click("#token-forget")
        expect(page.get_by_role("dialog", name=DISCARD)).to_be_visible()
        page.click("#ask-no")
        page.click("#token-cancel")
        expect(page.locator("#access")).to_have_text("Token in use")
        expire(page)
        page.locator("#value").get_by_role("button", name="Write", exact=True).click()
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        expect(dialog).to_contain_text("does not accept the token")
        page.fill("#token", "writer")
        page.keyboard.press("Enter")
        expect(page.locator("#value-body pre").first).to_have_text("new")
        assert client.post("/get-many", json={"keys": ["a"]}).json()["pairs"][0]["value"] == "new"

        page.click("#value-close")
        page.check("#select-page")
        page.click("#edit-selected")
        page.get_by_label("Value", exact=True).fill("newer")
        expire(page)
        page.click("#write-save")
        page.click("#token-cancel")
        expect(page.locator("#write-problem .problem")).to_be_visible()
        expect(dialog).to_be_hidden()
        expire(page)
        page.click("#write-save")
        page.fill("#token", "writer")
        page.keyboard.press("Enter")
        expect(page.locator("#write-note")).to_have_text("1 pair written to default.")

        task(page, "keys")
        expect(page.locator("#selected-count")).to_have_text("1 key selected")
        page.click("#delete-selected")
        expire(page)
        page.click("#ask-yes")
        page.fill("#token", "writer")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="This store is empty")).to_be_visible()


def expire(page: Page) -> None:
    """The gateway does not know the token of the page any more."""

    def send_another(route: Route) -> None:
        route.continue_(headers={**route.request.headers, "authorization": "Bearer expired"})

    page.route("**/v1/**", send_another, times=1)


def test_the_filter_and_the_page_are_kept_after_a_write_and_a_delete(browser: Browser, store: Store) -> None:
    store.set({f"k{number:03}": "1" for number in range(120)})
    with opened(browser, store.url) as page:
        page.click("#page-next")
        expect(page.locator("#page-text")).to_have_text("Page 2 (last)")
        page.fill("#filter", "11")
        expect(page.locator("#keys-body tr")).to_have_count(10)
        edit(page, "k110", "new")
        page.locator("#value").get_by_role("button", name="Write", exact=True).click()
        expect(page.locator("#keys-body td.preview").first).to_have_text("new")
        expect(page.locator("#filter")).to_have_value("11")
        expect(page.locator("#keys-body tr")).to_have_count(10)
        page.get_by_role("button", name="Delete…").last.click()
        page.click("#ask-yes")
        expect(page.locator("#keys-body tr")).to_have_count(9)
        expect(page.locator("#filter")).to_have_value("11")
        expect(page.locator("#page-text")).to_have_text("Page 2 (last)")


def test_a_search_is_kept_after_a_write_and_a_delete(browser: Browser, store: Store) -> None:
    store.set({f"k{number:03}": "1" for number in range(120)})
    with opened(browser, store.url) as page:
        page.fill("#filter", "5")
        page.click("#search-all")
        expect(page.locator("#keys-note")).to_have_text("21 keys of all 120 keys contain “5”.")
        edit(page, "k115", "new")
        page.locator("#value").get_by_role("button", name="Write", exact=True).click()
        expect(page.locator("#keys-body tr", has_text="k115").locator("td.preview")).to_have_text("new")
        expect(page.locator("#keys-body tr")).to_have_count(21)
        page.get_by_role("button", name="Delete…").last.click()
        page.click("#ask-yes")
        expect(page.locator("#keys-body tr")).to_have_count(20)
        expect(page.locator("#keys-note")).to_have_text("20 keys of all 119 keys contain “5”.")
        expect(page.locator("#filter")).to_have_value("5")


def test_a_list_that_failed_is_tried_again_as_it_was_asked(browser: Browser, store: Store) -> None:
    store.set({"a": "1", "b": "2"})
    with opened(browser, store.url) as page:
        page.route("**/keys?*", lambda route: route.fulfill(status=503, body="busy"), times=1)
        page.fill("#prefix", "b")
        page.click("#keys-form .primary")
        page.get_by_role("button", name="Try again").click()
        expect(page.locator("#keys-body tr")).to_have_count(1)
        page.fill("#filter", "a")
        page.locator("#prefix").focus()
        expect(key(page, "b")).to_have_count(0)
        page.fill("#filter", "")
        # Escape clears the filter, and leaves the value open.
        key(page, "b").click()
        page.fill("#filter", "b")
        page.keyboard.press("Escape")
        expect(page.locator("#filter")).to_have_value("")
        expect(page.locator("#value")).to_be_visible()


def test_a_prefix_that_is_only_typed_lists_nothing(browser: Browser, store: Store) -> None:
    store.set({"a": "1", "b": "2"})
    with opened(browser, store.url) as page:
        edit(page, "a", "new")
        page.fill("#prefix", "b")
        page.locator("#value").get_by_role("button", name="Write", exact=True).click()
        expect(page.locator("#keys-body td.preview").first).to_have_text("new")
        expect(page.locator("#keys-body tr")).to_have_count(2)
        expect(page.locator("#prefix")).to_have_value("b")


@pytest.mark.parametrize("where", ["keys", "read"])
def test_the_table_is_filled_with_the_values_of_now(browser: Browser, store: Store, where: str) -> None:
    store.set({"a": "1", "b": "2", "c": "3"})
    with opened(browser, store.url) as page:

        def edit_in_table() -> None:
            if where == "keys":
                task(page, "keys")
                expect(page.locator("#keys-body tr")).to_have_count(3)
                page.locator("#select-page").check()
                store.set(changed)
                page.click("#edit-selected")
            else:
                task(page, "read")
                page.fill("#read-keys", "a\nb\nc")
                page.click("#read-form .primary")
                expect(page.locator("#read-note")).to_have_text("3 keys found, 0 missing.")
                store.set(changed)
                page.get_by_role("button", name="Edit in the table").click()

        areas = page.locator("#write-body textarea")
        changed = {"a": "10"}
        edit_in_table()
        expect(areas).to_have_count(3)
        assert [area.input_value() for area in areas.all()] == ["10", "2", "3"]
        page.get_by_label("Value", exact=True).nth(1).fill("typed")
        changed = {"a": "100", "b": "200"}
        edit_in_table()
        rows = page.locator("#write-body tr")
        for name, value in ("a", "100"), ("b", "typed"):
            row = rows.filter(has=page.locator(".fixed").get_by_text(name, exact=True))
            expect(row.locator("textarea")).to_have_value(value)


def test_what_is_typed_while_the_table_is_written_is_not_taken_for_written(
    browser: Browser, store: Store
) -> None:
    with opened(browser, store.url) as page:
        task(page, "write")
        page.get_by_label("Key", exact=True).fill("a")
        held: list[Route] = []

        def hold(route: Route) -> None:
            held.append(route)

        page.route("**/set-many*", hold)
        page.click("#write-save")
        while not held:
            page.wait_for_timeout(20)
        page.locator("#write-body textarea").focus()
        page.keyboard.type("late")
        held[0].continue_()
        expect(page.locator("#write-note")).to_have_text("1 pair written to default.")
        expect(page.locator("#write-body textarea")).to_have_value("")
    assert store.pairs() == {"a": ""}


def test_an_import_goes_on_in_the_store_where_it_began(
    browser: Browser, store: Store, tmp_path: Path
) -> None:
    file = tmp_path / "bad.ndjson"
    file.write_text('{"key": "a", "value": "1"}\n{"key": "b"}\n{"key": "c", "value": "3"}\n')
    with opened(browser, store.url) as page:
        task(page, "import")
        page.set_input_files("#import-file", file)
        page.click("#import-start")
        again = page.get_by_role("button", name="Leave out line 2 and go on")
        expect(again).to_be_visible()
        page.fill("#store", "other")
        page.keyboard.press("Enter")
        expect(page).to_have_title("other · kv-batch")
        again.click()
        expect(page.get_by_role("heading", name="The import is done")).to_be_visible()
        expect(page.locator("#import-result")).to_contain_text("1 line was applied to default")
    assert store.pairs() == {"a": "1", "c": "3"}
