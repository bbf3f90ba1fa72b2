"""Files that the console writes and reads: with a picker and without, cut, refused, and in odd gzip."""

from __future__ import annotations

import gzip
import json
import zlib
from pathlib import Path

import pytest
from playwright.sync_api import Download, Page, expect

from tests.console.conftest import PAGE_HOST, Store, exported, task

PICKER = """
window.showSaveFilePicker = async ({suggestedName}) => {
  if (window.refused) throw new DOMException("no file", "AbortError");
  const directory = await navigator.storage.getDirectory();
  window.picked = suggestedName;
  return directory.getFileHandle(suggestedName, {create: true});
};
"""
"""A picker that picks a real file of the browser's own storage. A test cannot drive the dialog."""

PICKED = """async () => {
  const directory = await navigator.storage.getDirectory();
  const file = await (await directory.getFileHandle(window.picked)).getFile();
  return file.text();
}"""


@pytest.fixture(scope="module")
def host() -> str:
    return PAGE_HOST


def with_picker(page: Page, script: str) -> None:
    page.add_init_script(script)
    page.reload()
    task(page, "export")


def test_an_export_is_written_to_the_file_that_was_picked(page: Page, store: Store) -> None:
    store.set({f"k{number}": "v" * 1000 for number in range(2000)})
    with_picker(page, PICKER)
    expect(page.locator("#export-way")).to_have_text("The browser writes it to the disk as it arrives.")
    page.click("#export-start")
    expect(page.get_by_role("heading", name="The export is done")).to_be_visible()
    assert page.evaluate("picked") == "default.ndjson"
    assert page.evaluate(PICKED) == store.client.get("/export?end=true").text


def test_no_file_is_picked(page: Page, store: Store) -> None:
    with_picker(page, PICKER + "window.refused = true;")
    page.click("#export-start")
    expect(page.locator("#export-start")).to_be_enabled()
    assert page.inner_text("#export-result") == ""


@pytest.mark.parametrize("picker", [True, False])
def test_an_export_that_was_cut_is_not_kept(page: Page, store: Store, picker: bool) -> None:
    store.set({"a": "1", "b": "2"})
    downloads: list[Download] = []

    def heard(download: Download) -> None:
        downloads.append(download)

    page.on("download", heard)
    page.route("**/export*", lambda route: route.fulfill(body='{"key": "a", "value": "1"}\n'))
    with_picker(page, PICKER if picker else "delete window.showSaveFilePicker")
    page.click("#export-start")
    expect(page.locator("#export-result")).to_contain_text("was cut before its end line")
    assert downloads == []
    if picker:
        assert page.evaluate(PICKED) == ""


def test_a_browser_without_a_picker_says_so(page: Page, store: Store, tmp_path: Path) -> None:
    store.set({"a": "1"})
    with_picker(page, "delete window.showSaveFilePicker")
    expect(page.locator("#export-way")).to_contain_text("first holds all of it in memory")
    assert exported(page, tmp_path) == store.client.get("/export?end=true").content


def lines(start: int, count: int) -> bytes:
    pairs = ({"key": f"k{number:06}", "value": "v" * (number % 90)} for number in range(start, start + count))
    return b"".join(json.dumps(pair).encode() + b"\n" for pair in pairs)


def stored(content: bytes) -> bytes:
    """A gzip member whose content is not compressed."""
    packer = zlib.compressobj(0, wbits=31)
    return packer.compress(content) + packer.flush()


@pytest.mark.parametrize(
    ("packed", "count"),
    [
        pytest.param(gzip.compress(lines(0, 3000)), 3000, id="one member"),
        pytest.param(gzip.compress(lines(0, 9)) + gzip.compress(lines(9, 4000)), 4009, id="two"),
        # A line may go on in the next member.
        pytest.param(
            b"".join(
                gzip.compress(lines(0, 5000)[at : at + 4096]) for at in range(0, len(lines(0, 5000)), 4096)
            ),
            5000,
            id="many",
        ),
        pytest.param(gzip.compress(b"") + stored(lines(0, 9)) + gzip.compress(b"") * 2, 9, id="empty ones"),
        pytest.param(b"".join(stored(lines(number, 1)) for number in range(500)), 500, id="a line each"),
    ],
)
def test_a_gzip_file_may_have_several_members(
    page: Page, store: Store, packed: bytes, count: int, tmp_path: Path
) -> None:
    file = tmp_path / "file.ndjson.gz"
    file.write_bytes(packed)
    task(page, "import")
    page.set_input_files("#import-file", file)
    page.click("#import-start")
    expect(page.get_by_role("heading", name="The import is done")).to_be_visible()
    assert store.count() == count
    assert gzip.decompress(packed) == store.client.get("/export").content


CUT = gzip.compress(lines(0, 9)) + gzip.compress(lines(9, 900))[:-5]


@pytest.mark.parametrize(
    "packed",
    [CUT, CUT[:200] + b"xx" + CUT[202:] + b"12345", gzip.compress(lines(0, 9)) + b"no gzip"],
    ids=["cut", "damaged", "followed by something else"],
)
def test_damaged_gzip_is_refused(page: Page, store: Store, packed: bytes, tmp_path: Path) -> None:
    file = tmp_path / "file.ndjson.gz"
    file.write_bytes(packed)
    task(page, "import")
    page.set_input_files("#import-file", file)
    page.click("#import-start")
    expect(page.get_by_role("heading", name="The import ended early")).to_be_visible()
    expect(page.locator("#import-result .problem")).to_contain_text("its gzip data is damaged")
