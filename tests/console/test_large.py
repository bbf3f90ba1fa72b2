"""Values that no text field takes: from files, larger than JSON may be, in a table beside others."""

from __future__ import annotations

import base64
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, Request, expect

from tests.console.conftest import PAGE_HOST, Store, key, opened, paste_pairs, task
from tests.servers import Server, serving

LARGE = 25_000_000
"""Bytes: more than a JSON body may have (16 MiB), and more than a value may have unless it is set."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A host that takes such values."""
    data = tmp_path_factory.mktemp("large")
    with serving(PAGE_HOST, data, max_value_bytes=str(2 * LARGE)) as started:
        yield started


def stored(store: Store, name: str) -> bytes:
    line = b'{"key": "%s"}\n' % name.encode()
    ndjson = {"content-type": "application/x-ndjson"}
    pair = store.client.post("/get-many?encoding=base64", content=line, headers=ndjson).json()
    return base64.b64decode(pair["value"])


def types_sent(page: Page) -> list[str]:
    """The content types of the writes of a page, as it sends them."""
    types: list[str] = []

    def heard(request: Request) -> None:
        if request.url.endswith("/set-many"):
            types.append(request.headers["content-type"])

    page.on("request", heard)
    return types


def bash(command: str, directory: Path) -> str:
    if not (shutil.which("curl") and shutil.which("bash")):
        pytest.skip("no curl or no bash on PATH")
    done = subprocess.run(
        ["bash", "-c", command], cwd=directory, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout


@pytest.mark.parametrize("kind", ["bytes", "text"])
def test_a_value_of_25_mb_is_written_from_a_file(
    browser: Browser, store: Store, kind: str, tmp_path: Path
) -> None:
    whole = {"bytes": random.Random(1).randbytes(LARGE), "text": 'line "one"\r\n\0é'.encode() * (LARGE // 15)}
    content = whole[kind]
    (tmp_path / "it's large").write_bytes(content)
    store.set({"a": "1"})
    with opened(browser, store.url) as page:
        types = types_sent(page)
        key(page, "a").click()
        page.get_by_role("button", name="Edit", exact=True).click()
        page.get_by_label("New value").fill("typed before")
        page.locator("#value-body input[type=file]").set_input_files(tmp_path / "it's large")
        expect(page.locator("#value-body .held")).to_contain_text("From the file it's large, 23.8 MiB.")
        command = page.locator("#value-body .curl pre").text_content() or ""
        page.locator("#value").get_by_role("button", name="Type it instead").click()
        expect(page.get_by_label("New value")).to_have_value("typed before")
        page.locator("#value-body input[type=file]").set_input_files(tmp_path / "it's large")
        page.locator("#value").get_by_role("button", name="Write", exact=True).click()
        expect(page.locator("#value-about")).to_contain_text("23.8 MiB")
        assert types == ["application/x-ndjson"]
        assert stored(store, "a") == content
        # It is read again, and it is not put into a text field.
        page.click("#value-close")
        key(page, "a").click()
        expect(page.locator("#value-about")).to_contain_text("23.8 MiB")
        page.get_by_role("button", name="Edit", exact=True).click()
        expect(page.locator("#value-body .held")).to_contain_text("too large to be edited here")
        expect(page.get_by_label("New value")).to_be_hidden()
        page.locator("#value").get_by_role("button", name="Cancel", exact=True).click()
        expect(page.locator("#value-about")).to_contain_text("23.8 MiB")
    store.clear()
    assert bash(command, tmp_path) == '{"pairs": 1}\n'
    assert stored(store, "a") == content


def test_a_table_takes_values_from_files(browser: Browser, store: Store, tmp_path: Path) -> None:
    content = bytes(range(256)) * 10_000
    (tmp_path / "a.bin").write_bytes(content)
    store.set({"old": "before"})
    with opened(browser, store.url) as page:
        types = types_sent(page)
        page.check("[aria-label='Select old']")
        page.click("#edit-selected")
        rows = page.locator("#write-body tr")
        expect(rows.nth(0)).to_contain_text("old")
        rows.nth(0).locator("input[type=file]").set_input_files(tmp_path / "a.bin")
        page.click("#write-add")
        rows.nth(1).get_by_label("Key").fill("it's new")
        rows.nth(1).get_by_label("Value", exact=True).fill("100% \\ 'typed'")
        command = page.locator("#write-curl pre").text_content() or ""
        page.get_by_role("button", name="Write 2 pairs to default").click()
        expect(page.locator("#write-note")).to_have_text("2 pairs written to default.")
        expect(page.locator("#write-save")).to_have_text("Nothing to write")
        assert types == ["application/x-ndjson"]
        expect(rows.nth(0).locator(".held")).to_contain_text("2.44 MiB: too large to be edited here")
    expected = store.pairs()
    assert expected == {"old": base64.b64encode(content).decode(), "it's new": "100% \\ 'typed'"}
    store.clear()
    assert bash(command, tmp_path) == '{"pairs": 2}\n'
    assert store.pairs() == expected
    (tmp_path / "a.bin").unlink()
    assert bash(command + "; true", tmp_path) == '{"pairs": 0}\n'
    assert store.pairs() == expected


def test_a_value_over_the_limit_is_refused_in_words(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"x" * LARGE)
    with serving(PAGE_HOST, tmp_path / "data") as server, opened(browser, server.url) as page:
        task(page, "write")
        page.get_by_label("Key", exact=True).fill("a")
        page.locator("#write-body input[type=file]").set_input_files(tmp_path / "large")
        page.click("#write-save")
        expect(page.locator("#write-problem")).to_contain_text("max_value_bytes")
        expect(page.locator("#write-save")).to_have_text("Write 1 pair to default")
        expect(page.locator("#write-body .held")).to_contain_text("From the file large, 23.8 MiB.")
        assert httpx.get(f"{server.url}/v1/default/keys").json()["keys"] == []


def test_many_pairs_that_fail_in_part_are_told_apart(browser: Browser, refusing: Store) -> None:
    """Large writes are NDJSON, whose problem names a line and not the keys that are left."""
    refusing.clear()
    rows = "\n".join(f"{name}\t{'v' * 600_000}" for name in ("a", "bad", "c"))
    with opened(browser, refusing.url) as page:
        task(page, "write")
        paste_pairs(page, rows)
        page.click("#write-save")
        expect(page.locator("tr.failed")).to_have_count(1)
        expect(page.locator("tr.applied")).to_have_count(2)
        expect(page.locator("#write-save")).to_have_text("Write 1 pair to default")
        # A problem of a line: those before it are written.
        problem = '{"title": "t", "status": 400, "detail": "d", "line": 1, "applied": 0}'
        page.route("**/set-many*", lambda route: route.fulfill(status=400, body=problem))
        page.click("#write-save")
        expect(page.locator("#write-problem")).to_contain_text("Line")
        expect(page.locator("#write-save")).to_have_text("Write 1 pair to default")
    assert sorted(refusing.pairs()) == ["a", "c"]
