"""A store that refuses some keys: the console names them. And its curl lines, run in a shell."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
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


def test_the_curl_lines_of_files_do_the_same(browser: Browser, refusing: Store, tmp_path: Path) -> None:
    if not (shutil.which("curl") and shutil.which("bash") and shutil.which("jq")):
        pytest.skip("no curl, bash or jq on PATH")
    content = b"".join(b'{"key": "%d", "value": "v"}\n' % number for number in range(3))
    refusing.clear()
    with opened(browser, refusing.url) as page:

        def run(command: str) -> None:
            subprocess.run(["bash", "-c", command], cwd=tmp_path, check=True, timeout=60)

        task(page, "import")
        command = page.locator("#import-curl pre")
        for name, packed in ("it's.ndjson", content), ("-x.ndjson.gz", gzip.compress(content)):
            (tmp_path / name).write_bytes(packed)
            page.set_input_files("#import-file", tmp_path / name)
            for first in 3, 1:
                page.fill("#import-line", str(first))
                refusing.clear()
                run(command.text_content() or "")
                assert refusing.count() == 4 - first
        task(page, "export")
        run(page.locator("#export-curl pre").text_content() or "")
        assert (tmp_path / "default.ndjson").read_bytes() == content + b'{"end": {"pairs": 3}}\n'
        task(page, "keys")
        page.click("#keys-form .primary")
        page.locator("#keys-body button.link").first.click()
        run(page.locator("#value-curl pre").first.text_content() or "")
        assert (tmp_path / "value.txt").read_bytes() == b"v"


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
