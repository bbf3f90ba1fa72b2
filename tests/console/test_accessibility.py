"""axe-core finds no violation: each task, each dialog, each error, and the API reference, light and dark.

A phone has all of the page too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.console.conftest import PAGE_HOST, Store, key, opened, paste_pairs, task, violations
from tests.servers import serving

PHONE: dict[str, Any] = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}

TASKS = ("keys", "read", "write", "import", "export")

light_and_dark = pytest.mark.parametrize("scheme", ["light", "dark"])


@pytest.fixture(scope="module")
def host() -> str:
    return PAGE_HOST


@light_and_dark
def test_the_tasks(browser: Browser, store: Store, scheme: str) -> None:
    store.set({"a": '{"b": 1}', "c": "x\ty"})
    with opened(browser, store.url, color_scheme=scheme, bypass_csp=True) as page:
        for name in TASKS:
            task(page, name)
            if name == "keys":
                key(page, "a").click()
                expect(page.locator("#value-body pre").first).to_be_visible()
                page.check("[aria-label='Select c']")
                page.click("#keys-curl summary")
            assert violations(page) == [], name


@light_and_dark
def test_an_empty_store_and_the_questions(browser: Browser, store: Store, scheme: str) -> None:
    with opened(browser, store.url, color_scheme=scheme, bypass_csp=True) as page:
        expect(page.get_by_role("heading", name="This store is empty")).to_be_visible()
        assert violations(page) == [], "empty"
        store.set({f"k{number:03}": "1" for number in range(101)})
        page.click("#delete-prefix")
        expect(page.locator("#ask-count")).to_be_focused()
        assert violations(page) == [], "a count is typed"
        page.fill("#ask-count", "101")
        assert violations(page) == [], "it is typed"
        page.click("#ask-no")
        task(page, "write")
        page.get_by_label("Key", exact=True).fill("a")
        page.click("#write-discard")
        expect(page.get_by_role("dialog", name="Discard unsaved changes?")).to_be_visible()
        assert violations(page) == [], "discard"


@light_and_dark
def test_no_token_a_wrong_one_and_one_that_may_only_read(
    browser: Browser, tmp_path: Path, scheme: str
) -> None:
    with (
        serving(PAGE_HOST, tmp_path, anonymous="none", read_token="reader", write_token="writer") as server,
        opened(browser, server.url, color_scheme=scheme, bypass_csp=True) as page,
    ):
        expect(page.get_by_role("dialog", name="Token")).to_be_visible()
        assert violations(page) == [], "the dialog"
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        expect(page.locator("#token-reason")).to_contain_text("does not accept the token")
        assert violations(page) == [], "a wrong token"
        page.keyboard.press("Escape")
        expect(page.get_by_role("heading", name="A token is needed")).to_be_visible()
        assert violations(page) == [], "401"
        page.get_by_role("button", name="Enter a token").click()
        page.fill("#token", "reader")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="This store is empty")).to_be_visible()
        page.click("#delete-prefix")
        expect(page.locator("#keys-problem .problem")).to_be_visible()
        assert violations(page) == [], "403"


@light_and_dark
def test_a_lost_connection(browser: Browser, tmp_path: Path, scheme: str) -> None:
    with (
        serving(PAGE_HOST, tmp_path) as server,
        opened(browser, server.url, color_scheme=scheme, bypass_csp=True) as page,
    ):
        server.kill()
        page.click("#keys-form .primary")
        expect(page.locator("#lost")).to_be_visible()
        assert violations(page) == [], "the list"
        task(page, "write")
        page.get_by_label("Key", exact=True).fill("a")
        page.click("#write-save")
        expect(page.locator("#write-problem")).to_contain_text("The connection was lost")
        assert violations(page) == [], "a write"


@light_and_dark
def test_a_partial_failure_and_a_bad_line(
    browser: Browser, refusing: Store, scheme: str, tmp_path: Path
) -> None:
    file = tmp_path / "bad.ndjson"
    file.write_text('{"key": "a", "value": "1"}\n{"key": 1}\n')
    with opened(browser, refusing.url, color_scheme=scheme, bypass_csp=True) as page:
        task(page, "write")
        for number, name in enumerate(["a", "bad"]):
            if number:
                page.click("#write-add")
            page.get_by_label("Key", exact=True).nth(number).fill(name)
        page.click("#write-save")
        expect(page.locator("#write-problem .listed")).to_be_visible()
        assert violations(page) == [], "502"
        task(page, "import")
        page.set_input_files("#import-file", file)
        page.click("#import-start")
        expect(page.get_by_role("heading", name="The import ended early")).to_be_visible()
        assert violations(page) == [], "an import"


@light_and_dark
@pytest.mark.parametrize("size", [{}, PHONE], ids=["desk", "phone"])
def test_the_reference(browser: Browser, store: Store, scheme: str, size: dict[str, Any]) -> None:
    options: dict[str, Any] = {"color_scheme": scheme, **size}
    context = browser.new_context(bypass_csp=True, **options)
    page = context.new_page()
    page.goto(f"{store.url}/docs")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    context.close()


OUTSIDE = """() => [...document.querySelectorAll("a,button,input,select,textarea,summary,[tabindex='0']")]
  .filter(each => each.checkVisibility({visibilityProperty: true}) && !each.matches(".skip, .hidden"))
  .filter(each => {
    each.scrollIntoView({block: "nearest", inline: "nearest"});
    const {left, right, height} = each.getBoundingClientRect();
    return left < 0 || right > innerWidth || (each.matches("button, summary") && height < 24);
  }).map(each => each.outerHTML)
"""
"""The controls that are shown only in part, and those that are too small for a finger (WCAG 2.5.8)."""

SCREENS: dict[str, dict[str, Any]] = {
    "desk": {"viewport": {"width": 1280, "height": 800}},
    "zoomed to 200 %": {"viewport": {"width": 640, "height": 400}, "device_scale_factor": 2},
    "phone": PHONE,
    "320 px": {"viewport": {"width": 320, "height": 568}},
}
"""A browser that zooms shows fewer pixels of CSS, each of more pixels of the screen."""


def check(page: Page, place: str) -> None:
    """Fails if the page scrolls to the side, if a control is outside, or if axe-core finds a violation."""
    expect(page.locator("#status:not(:empty)")).to_be_hidden()  # it fades for a second
    width = page.viewport_size["width"] if page.viewport_size else 0
    assert page.evaluate("[innerWidth, document.documentElement.scrollWidth]") == [width, width], place
    assert page.evaluate(OUTSIDE) == [], place
    assert violations(page) == [], place


@light_and_dark
@pytest.mark.parametrize("screen", SCREENS.values(), ids=SCREENS.keys())
def test_every_screen_has_all_of_the_page(
    browser: Browser, refusing: Store, scheme: str, screen: dict[str, Any], tmp_path: Path
) -> None:
    """Each list has more than fits, so that it scrolls."""
    long = "a-very-long-key-without-any-space-" * 8
    refusing.clear()
    refusing.set({long: "value " * 5000, "json": '{"a": [1, 2]}', "bytes": "\0\r\n" * 9000})
    refusing.set({f"k{number:03}": "1" for number in range(150)})
    (tmp_path / "value").write_bytes(b"x" * 2_000_000)
    with opened(browser, refusing.url, bypass_csp=True, color_scheme=scheme, **screen) as page:
        for name in TASKS:
            task(page, name)
            page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
            check(page, name)
        task(page, "read")
        page.fill(
            "#read-keys",
            "\n".join([long, "json", "bytes", "missing"] + [f"k{number:03}" for number in range(40)]),
        )
        page.click("#read-form .primary")
        expect(page.locator("#read-note")).to_contain_text("1 missing")
        check(page, "what was read")

        task(page, "keys")
        page.check("#select-page")
        check(page, "a selection")
        page.click("#delete-selected")
        expect(page.locator("#ask-no")).to_be_focused()
        page.evaluate("document.querySelectorAll('dialog details').forEach(each => each.open = true)")
        check(page, "delete what is selected")
        page.click("#ask-no")
        page.click("#delete-prefix")
        expect(page.locator("#ask-count")).to_be_focused()
        check(page, "delete a prefix")
        page.click("#ask-no")
        page.click("#token-open")
        check(page, "the token")
        page.click("#token-cancel")
        page.click("#clear-selected")

        for name, view in (long, "Text"), ("json", "JSON"), ("bytes", "Hex"):
            key(page, name).click()
            page.get_by_role("button", name=view, exact=True).click()
            check(page, f"a value as {view}")
            page.click("#value-close")
        key(page, long).click()
        page.get_by_role("button", name="Edit", exact=True).click()
        check(page, "the editor")
        page.get_by_label("New value").fill("new")
        page.click("#value-close")
        expect(page.get_by_role("dialog", name="Discard unsaved changes?")).to_be_visible()
        check(page, "discard")
        page.click("#ask-no")
        page.locator("#value input[type=file]").set_input_files(tmp_path / "value")
        expect(page.locator("#value .held")).to_be_visible()
        check(page, "the editor with a file")
        page.locator("#value").get_by_role("button", name="Cancel", exact=True).click()
        page.click("#ask-yes")
        page.click("#value-close")

        task(page, "write")
        paste_pairs(page, "\n".join(f"bad {number}\tvalue" for number in range(40)))
        page.locator("#write-body input[type=file]").first.set_input_files(tmp_path / "value")
        check(page, "a table")
        page.fill("#store", "other")
        page.keyboard.press("Enter")
        check(page, "another store")
        page.click("#ask-no")
        page.click("#write-save")
        expect(page.locator("#write-problem .listed")).to_be_visible()
        check(page, "keys that failed")
