"""The commands of the documents: where they are, who runs them, and how they are run.

Each fenced block of the languages COMMANDS has one of these:

- a comment on the line above it, `<!-- not run: REASON -->`, which says why no test runs it;
- a comment on the line above it, `<!-- run by FILE -->`, which names the test that runs it;
- neither, if it is a `console` block of a document in WHOLE, which `tests/component/test_documents.py` runs.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

COMMANDS = {"console", "sh", "bash", "shell"}
"""The languages of blocks that a reader copies into a shell."""

WHOLE = ("README.md", "docs/curl.md", "docs/compare.md")
"""The documents whose `console` blocks run from the first to the last, each in a directory of its own."""

_BLOCK = re.compile(r"^(?:<!-- ((?:(?!-->).)*?) -->\n)?```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_ASSIGNMENT = re.compile(r"\w+=('[^']*'|\S*)")


@dataclass
class Block:
    """A fenced block of a document.

    Attributes:
        language: The word after the fence; empty if there is none.
        text: What is between the fences.
        comment: The text of the HTML comment on the line above; empty if there is none.
        line: The line of the opening fence or of the comment, counted from 1.
    """

    language: str
    text: str
    comment: str
    line: int

    @property
    def reason(self) -> str:
        """Why no test runs the block; empty if one does."""
        return self._after("not run: ")

    @property
    def test(self) -> str:
        """The file of the test that runs the block, if the comment names one."""
        return self._after("run by ")

    def _after(self, start: str) -> str:
        return self.comment[len(start) :].strip() if self.comment.startswith(start) else ""


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a document."""
    return [
        Block(found[2], found[3], found[1] or "", text.count("\n", 0, found.start()) + 1)
        for found in _BLOCK.finditer(text)
    ]


def transcript(text: str) -> list[tuple[str, str]]:
    """The commands of the console blocks that are run, in order, each with what is printed under it."""
    steps: list[tuple[str, str]] = []
    for block in blocks(text):
        if block.language != "console" or block.reason:
            continue
        for step in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            steps.append((command, output))
    return steps


def run(text: str, directory: Path, replaced: Mapping[str, str]) -> int:
    """Run the transcript of a document with bash, and compare what each command prints.

    A command that only sets a variable holds for all commands after it.

    Args:
        text: The document.
        directory: The directory that the commands run in.
        replaced: Texts in the commands, with their replacements: addresses, and programs with options.

    Returns:
        The number of commands that ran.

    Raises:
        AssertionError: A command printed something else, or wrote to stderr.
    """
    steps = transcript(text)
    variables = ""
    for command, output in steps:
        here = command
        for shown, real in replaced.items():
            here = here.replace(shown, real)
        if _ASSIGNMENT.fullmatch(command):
            variables += here + "\n"
            continue
        done = subprocess.run(
            ["bash", "-c", variables + here],
            cwd=directory,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        if (done.stdout, done.stderr) != (output, ""):
            raise AssertionError(f"$ {command}\n{done.stdout}{done.stderr}\nThe document has:\n{output}")
    return len(steps)
