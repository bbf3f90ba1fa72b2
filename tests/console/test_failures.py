"""A store that refuses some keys: the console names them. And problems with every member, and of proxies."""

from __future__ import annotations

import json

from playwright.sync_api import Browser, expect

from tests.console.conftest import Store, opened, task


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


def test_the_members_of_a_problem_are_shown(browser: Browser, refusing: Store) -> None:
    problem = {"type": "/problems/too-large", "title": "Too large", "status": 413, "detail": "Send less."}
    problem |= {"limit": 10, "actual": 11, "variable": "max_keys", "resume_line": 7, "request_id": "r1"}
    with opened(browser, refusing.url) as page:
        page.route(
            "**/set-many*",
            lambda route: route.fulfill(status=413, headers={"retry-after": "9"}, body=json.dumps(problem)),
        )
        task(page, "write")
        page.get_by_label("Key", exact=True).fill("a")
        page.click("#write-save")
        expect(page.locator("#write-problem .problem")).to_contain_text("Send less.")
        names = page.locator("#write-problem dt").all_text_contents()
        facts = page.locator("#write-problem dd").all_text_contents()
    assert dict(zip(names, facts, strict=True)) == {
        "Status": "413",
        "Variable": "max_keys",
        "Limit": "10",
        "Actual": "11",
        "Go on from line": "7",
        "Try again after": "9 s",
        "Request": "r1",
    }


def test_an_answer_of_a_proxy_is_told_from_a_problem(browser: Browser, refusing: Store) -> None:
    with opened(browser, refusing.url) as page:
        page.route("**/set-many*", lambda route: route.fulfill(status=504, body="<h1>Gateway Timeout</h1>"))
        task(page, "write")
        page.get_by_label("Key", exact=True).fill("a")
        page.click("#write-save")
        expect(page.locator("#write-problem")).to_contain_text(
            "A proxy in front of the gateway may have sent it"
        )
        expect(page.locator("#write-save")).to_have_text("Write 1 pair to default")
