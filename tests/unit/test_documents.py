"""The documents: tests run their commands, links and pictures exist, and reports are complete."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from wasmtime import WasmtimeError

from tests.transcripts import COMMANDS, WHOLE, blocks, run, transcript
from tools.components import ROOT

PATTERNS = (
    "*.md",
    "docs/**/*.md",
    "deploy/**/*.md",
    "examples/*/README.md",
    "clients/*/README.md",
    "kv_batch/*.md",
)

DOCUMENTS = sorted(
    str(file.relative_to(ROOT))
    for pattern in PATTERNS
    for file in ROOT.glob(pattern)
    if ".venv" not in file.parts
)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_command_is_run_or_says_why_not(document: str) -> None:
    wrong = []
    for block in blocks((ROOT / document).read_text()):
        if block.language not in COMMANDS or block.reason:
            continue
        if block.test:
            test = ROOT / block.test
            if not (test.is_file() and document in test.read_text()):
                wrong.append(f"line {block.line}: {block.test} does not exist, or does not name {document}")
        elif not (document in WHOLE and block.language == "console"):
            wrong.append(f"line {block.line}: no test runs this block, and no comment above it says why")
    assert wrong == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_block_with_commands_names_its_language(document: str) -> None:
    """A block that starts with a prompt is found by the test above."""
    assert [
        block.line
        for block in blocks((ROOT / document).read_text())
        if block.text.startswith("$ ") and block.language not in COMMANDS
    ] == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_fence_belongs_to_a_block(document: str) -> None:
    text = (ROOT / document).read_text()
    assert sum(line.startswith("```") for line in text.splitlines()) == 2 * len(blocks(text))


def test_a_comment_above_a_block_is_its_reason() -> None:
    text = "Text.\n\n<!-- not run: needs a cluster -->\n```sh\nkubectl get pods\n```\n\n"
    text += "```console\n$ true\n```\n"
    first, second = blocks(text)
    assert (first.language, first.reason, first.test, first.line) == ("sh", "needs a cluster", "", 3)
    assert (second.language, second.reason, second.comment) == ("console", "", "")
    assert transcript(text) == [("true", "")]


def test_a_transcript_keeps_its_variables_and_is_compared(tmp_path: Path) -> None:
    text = "```console\n$ A='one two'\n$ echo \"$A\" > file\n$ cat file; echo shown\none two\nreal\n```\n"
    assert run(text, tmp_path, {"shown": "real"}) == 3
    with pytest.raises(AssertionError):
        run(text, tmp_path, {})
    with pytest.raises(AssertionError):
        run("```console\n$ echo error >&2\n```\n", tmp_path, {})


_OTHER_HOST = r"(?!https?:|mailto:)"
_LINK = re.compile(
    rf"\]\({_OTHER_HOST}([^)\s#]*)(?:#([^)\s]*))?\)"
    rf'|(?:src|srcset|href)="{_OTHER_HOST}([^"#]*)(?:#([^"]*))?"'
)
_HEADING = re.compile(r"^#{1,6} +(.+?) *#*$", re.MULTILINE)


def prose(text: str) -> str:
    """A document without its fenced blocks and without what is set as code."""
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors(text: str) -> set[str]:
    """The anchors of the headings of a document, as GitHub makes them."""
    found: dict[str, int] = {}
    names = set()
    for heading in _HEADING.findall(re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)):
        shown = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        count = found.get(name, 0)
        found[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


def broken(document: Path) -> list[str]:
    """The links and pictures of a document that lead nowhere."""
    wrong = []
    for found in _LINK.finditer(prose(document.read_text())):
        path, anchor = found[1] or found[3] or "", found[2] or found[4] or ""
        target = document.parent / path if path else document
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            wrong.append(found[0])
    return wrong


@pytest.mark.parametrize("document", DOCUMENTS)
def test_each_link_anchor_and_picture_exists(document: str) -> None:
    assert broken(ROOT / document) == []


def test_a_link_that_leads_nowhere_is_found(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_text("# A `b`: c, [d](e)\n\n```sh\n# no heading\n```\n\n## Same\n\n## Same\n")
    text = (
        "# Here\n[1](b.md#a-b-c-d) [2](#here) [3](b.md#same-1) `[4](none)` [5](https://example.org/#none)\n"
    )
    (tmp_path / "a.md").write_text(text)
    assert broken(tmp_path / "a.md") == []
    wrong = ["](b.md#same-2)", "](c.md)", "](#no)", 'src="d.png"', 'srcset="e.png"', "](b.md#no-heading)"]
    marked = [f"<img {each}>" if each.startswith("s") else f"[x{each}" for each in wrong]
    (tmp_path / "a.md").write_text(text + " ".join(marked))
    assert broken(tmp_path / "a.md") == wrong


PARTS = ("Reproduction", "Expected", "Seen", "At fault", "Fix")
"""The parts of a report, in this order. The reproduction may be a block of code above the others."""


def reports(text: str) -> list[tuple[str, list[str]]]:
    """The reports of docs/upstream.md, each with the names of its parts."""
    found = []
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        heading, _, body = re.split(r"^## ", section, flags=re.MULTILINE)[0].partition("\n")
        parts = re.findall(r"^- (\w[\w ]*?):\s", body, flags=re.MULTILINE)
        if re.match(r"\s*(<!-- .*? -->\s*)?```", body):
            parts.insert(0, PARTS[0])
        found.append((heading, parts))
    return found


UPSTREAM = "docs/upstream.md"
REPORTS = reports((ROOT / UPSTREAM).read_text())


@pytest.mark.parametrize(("heading", "parts"), REPORTS, ids=[heading for heading, _ in REPORTS])
def test_each_report_has_its_five_parts(heading: str, parts: list[str]) -> None:
    assert tuple(part for part in parts if part in PARTS) == PARTS
    assert re.search(r" \((tried|seen|read)\b[^)]*\)$", heading), "say how it was found out"


def test_the_reports_are_all_found() -> None:
    assert len(REPORTS) >= 20
    part = "- Reproduction: a\n- Expected: b\n- Seen: c\n- At fault: d\n- Fix: e\n"
    assert reports(f"# T\n\n### A (tried)\n\n{part}\n## B\n\n- Expected: none\n") == [("A (tried)", [*PARTS])]


def test_what_is_reported_of_wasmtime_is_still_so() -> None:
    """If this fails, a defect is fixed upstream: remove its report, and what works round it."""
    slow, shadowed = [block.text for block in blocks((ROOT / UPSTREAM).read_text()) if block.test]
    started = time.perf_counter()
    exec(slow, {})
    assert time.perf_counter() - started > 0.1  # a megabyte
    with pytest.raises(WasmtimeError, match=re.escape("wasi:random/random@0.2.0#get-random-u64")):
        exec(shadowed, {})
    exec(shadowed.replace("random@0.2.0", "random@0.2.12"), {})
