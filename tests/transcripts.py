"""The shell transcripts of the documents, which the tests run."""

from __future__ import annotations

import re


def transcript(text: str) -> list[tuple[str, str]]:
    """The commands of the console blocks, in order, each with what is printed under it."""
    steps: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            steps.append((command, output))
    return steps
