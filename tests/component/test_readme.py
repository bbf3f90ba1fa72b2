"""The README's shell lines do what it prints under them, on every host."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest

from tests.servers import ROOT, Server


def transcript(text: str) -> list[tuple[str, str]]:
    """The commands of the console blocks, in order, each with what is printed under it."""
    steps: list[tuple[str, str]] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for step in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = step.partition("\n")
            steps.append((command, output))
    return steps


def test_the_readme_answers_as_printed(client: httpx.Client, server: Server, tmp_path: Path) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    steps = transcript((ROOT / "README.md").read_text())
    assert len(steps) >= 8
    for command, output in steps:
        here = command.replace("127.0.0.1:3000", f"127.0.0.1:{server.port}").replace("curl ", "curl -sS ")
        done = subprocess.run(
            ["bash", "-c", here], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert (command, done.stdout, done.stderr) == (command, output, "")
    assert client.get("/default/keys").json()["keys"] == []  # the transcript cleans up after itself
