"""Every command of the documents is run by a test, or says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

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
