"""The curl lines of the console, run by bash: they do the same with any key and any name of a file."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.console.conftest import Store, opened, paste_pairs, task

KEYS = {
    "quotes and dollars": 'it\'s "$HOME" `id` $(touch ran) \\ !!',
    "lines": "two\nlines\ttab\r\x01",
    "Unicode": "日本語 🗝️ é",
    "invisible": "a\u202e\u200b\u2028\u00a0\ufeff",
    "a leading @": "@file",
    "a leading dash": "-x",
    "brackets": "[1-3]",
    "braces": "{a,b}",
    "parts of an address": "a b+c&d=e%20f?g#h;i/../j",
    "escapes": "\\u0041\\n%41%s%",
    "a pattern": "* ?~",
    "empty": "",
}
"""Keys that a shell, curl, an address or JSON could take for something else."""


def bash(command: str, directory: Path) -> str:
    """What a command prints on its standard output. It must succeed, and print no error."""
    if not (shutil.which("curl") and shutil.which("bash") and shutil.which("jq")):
        pytest.skip("no curl, bash or jq on PATH")
    done = subprocess.run(
        ["bash", "-c", command], cwd=directory, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout


@pytest.mark.parametrize("name", KEYS.values(), ids=KEYS.keys())
def test_the_lines_do_the_same_with_any_key(
    browser: Browser, refusing: Store, name: str, tmp_path: Path
) -> None:
    def run(command: str) -> object:
        return json.loads(bash(command, tmp_path))

    value = f"value of {name}\n"
    start = name.split("\n", maxsplit=1)[0]  # a field of one line takes no more
    refusing.clear()
    refusing.set({"another": "1"} if name else {})
    with opened(browser, refusing.url) as page:
        task(page, "write")
        paste_pairs(page, json.dumps({"key": name, "value": value}))
        write = page.locator("#write-curl pre").text_content() or ""
        assert write.replace("\n", "").isprintable()
        assert run(write) == {"pairs": 1}
        task(page, "keys")
        page.fill("#prefix", start)
        page.click("#keys-form .primary")
        if start:
            expect(page.locator("#keys-curl pre").first).to_contain_text("/keys?prefix=")
        expect(page.locator("#keys-body tr")).to_have_count(1)
        page.locator("#keys-body button.link").click()
        expect(page.locator("#value-curl pre").first).to_be_attached()
        listed, read, count = page.locator("#keys-curl pre").all_text_contents()
        into_file, delete = page.locator("#value-curl pre").all_text_contents()
        page.click("#delete-prefix")
        delete_all = page.locator("#ask-text pre").text_content() or ""
        page.click("#ask-no")
        task(page, "export")
        page.fill("#export-prefix", start)
        export = page.locator("#export-curl pre").text_content() or ""
    assert run(listed) == {"keys": [name], "next": None}
    assert run(read) == {"pairs": [{"key": name, "value": value}]}
    assert run(count) == {"keys": 1}
    assert bash(into_file + export.replace("curl", "\ncurl", 1), tmp_path) == ""
    (exported,) = tmp_path.glob("*.ndjson")
    assert json.loads(exported.read_text().splitlines()[0]) == {"key": name, "value": value}
    assert (tmp_path / "value.txt").read_bytes() == value.encode()
    assert len(list(tmp_path.iterdir())) == 2
    assert run(delete) == {"keys": 1}
    assert run(write) == {"pairs": 1}
    assert run(delete_all) == {"keys": 1}
    assert refusing.pairs() == ({"another": "1"} if name else {})


FILES = ("it's.ndjson", "-x.ndjson.gz", "[1-3].ndjson", "{a,b}.ndjson", "@ #1\n$(touch ran)", "-", 'é "q".gz')


@pytest.mark.parametrize("name", FILES)
def test_the_lines_of_an_import_take_any_file_name(
    browser: Browser, refusing: Store, name: str, tmp_path: Path
) -> None:
    content = b"".join(b'{"key": "%d", "value": "v"}\n' % number for number in range(3))
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
    with opened(browser, refusing.url) as page:
        task(page, "import")
        page.set_input_files("#import-file", tmp_path / name)
        for first in 3, 1:
            page.fill("#import-line", str(first))
            refusing.clear()
            assert json.loads(bash(page.locator("#import-curl pre").text_content() or "", tmp_path)) == {
                "pairs": 4 - first
            }
            assert refusing.count() == 4 - first
        task(page, "write")
        page.get_by_label("Key", exact=True).fill("from a file")
        page.locator("#write-body input[type=file]").set_input_files(tmp_path / name)
        expect(page.locator("#write-body .held")).to_be_visible()
        write = page.locator("#write-curl pre").text_content() or ""
    refusing.clear()
    assert json.loads(bash(write, tmp_path)) == {"pairs": 1}
    assert refusing.client.get("/keys").json()["keys"] == ["from a file"]
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_an_export_with_gzip_does_the_same(browser: Browser, refusing: Store, tmp_path: Path) -> None:
    refusing.clear()
    refusing.set({"a": "1"})
    with opened(browser, refusing.url) as page:
        task(page, "export")
        page.check("#export-gzip")
        command = page.locator("#export-curl pre").text_content() or ""
    assert bash(command, tmp_path) == ""
    packed = (tmp_path / "default.ndjson.gz").read_bytes()
    assert gzip.decompress(packed) == refusing.client.get("/export?end=true").content


def test_the_lines_name_the_token_and_never_have_it(browser: Browser, refusing: Store) -> None:
    with opened(browser, refusing.url) as page:
        for part in "s3cret", "it's":
            page.evaluate("([token]) => sessionStorage.setItem('kv-batch token /', token)", [part])
            page.reload()
            page.locator("#token-cancel").click()
            for name in "import", "export":
                task(page, name)
                line = page.locator(f"#{name}-curl pre").text_content() or ""
                assert '-H "authorization: Bearer $TOKEN"' in line
                assert part not in page.content()
