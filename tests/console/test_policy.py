"""The policy of the page (CSP) blocks what it should, and the tests notice what it blocks."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from tests.console.conftest import PAGE_HOST, Store, opened

ELSEWHERE = "https://elsewhere.example/"

ADD = "document.body.append(Object.assign(document.createElement('{}'), {{{}}}))"

PLANTED = {
    "connect-src": f"fetch('{ELSEWHERE}').catch(() => {{}})",
    "img-src": f"new Image().src = '{ELSEWHERE}a.png'",
    "style-src": ADD.format("style", "textContent: '* { color: red }'"),
    "frame-src": ADD.format("iframe", f"src: '{ELSEWHERE}'"),
    "base-uri": ADD.format("base", f"href: '{ELSEWHERE}'"),
    "form-action": ADD.format("form", f"action: '{ELSEWHERE}', method: 'post', id: 'planted'")
    + "; planted.submit()",
    "require-trusted-types-for": "try { document.body.innerHTML = '<img>' } catch {}",
    "script-src": "location.href = 'javascript:window.ran = 1'",
}
"""By the directive that must block it: a defect as a page could have it."""


@pytest.fixture(scope="module")
def host() -> str:
    return PAGE_HOST


def plant(browser: Browser, store: Store, directive: str) -> None:
    """Plants a defect in the page. The policy must block it, and `opened` must then fail."""
    with opened(browser, store.url) as page:
        page.evaluate(
            "window.blocked = []; addEventListener('securitypolicyviolation', "
            "event => blocked.push(event.effectiveDirective)); "
            "window.first = new Promise(done => addEventListener('securitypolicyviolation', done)); null"
        )
        page.evaluate(f"() => {{ {PLANTED[directive]} }}")
        # Not page.wait_for_function: from its second look on, the policy forbids the eval that it needs.
        page.evaluate("first.then(() => null)")
        blocked = {name.removesuffix("-elem").removesuffix("-attr") for name in page.evaluate("blocked")}
        if blocked != {directive}:
            pytest.fail(f"{directive}: {blocked}")


@pytest.mark.parametrize("directive", PLANTED)
def test_a_violation_is_blocked_and_noticed(browser: Browser, store: Store, directive: str) -> None:
    with pytest.raises(AssertionError, match=r"Content Security Policy|TrustedHTML|elsewhere"):
        plant(browser, store, directive)


def test_no_page_can_frame_it(browser: Browser, store: Store) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.set_content(f"<iframe src='{store.url}'></iframe>")
    page.wait_for_timeout(1000)
    assert any("frame-ancestors" in each for each in said)
    expect(page.frame_locator("iframe").locator("#keys-note")).to_have_count(0)
    page.close()
