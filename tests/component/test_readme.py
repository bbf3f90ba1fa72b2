"""The README's shell lines do what it prints under them, on every host."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import Server, serving
from tests.transcripts import transcript
from tools.components import ROOT


@pytest.fixture
def another(host: str, tmp_path: Path) -> Iterator[Server]:
    """The gateway on port 3001."""
    with serving(host, tmp_path / "another") as started:
        yield started


def test_the_readme_answers_as_printed(
    client: httpx.Client, server: Server, another: Server, tmp_path: Path
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    steps = transcript((ROOT / "README.md").read_text())
    assert len(steps) >= 8
    for command, output in steps:
        here = command.replace("curl ", "curl -sS ")
        for shown, port in (3000, server.port), (3001, another.port):
            here = here.replace(f"127.0.0.1:{shown}", f"127.0.0.1:{port}")
        done = subprocess.run(
            ["bash", "-c", here], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert (command, done.stdout, done.stderr) == (command, output, "")
    assert client.get("/default/keys").json()["keys"] == []  # the transcript cleans up after itself
    assert len(httpx.get(f"{another.url}/v1/default/keys").json()["keys"]) == 3
