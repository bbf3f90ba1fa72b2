"""The ways into an app, as docs/install.md shows them: with a real `spin`."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.backends.engines import running
from tests.servers import ROOT, START_SECONDS, free_port, why_not
from tests.transcripts import transcript
from tools import dist
from tools.components import COMPONENTS

DOCUMENT = (ROOT / "docs/install.md").read_text()

SHOP = """\
spin_manifest_version = 2

[application]
name = "shop"
version = "1.0.0"

[variables]
write_token = { default = "of the shop" }

[[trigger.http]]
id = "hello"
route = "/hello"
static_response = { body = "hello" }
"""
"""An app with a route and a variable of its own."""


def section(title: str) -> list[tuple[str, str]]:
    """The commands under a heading of the document, each with its output."""
    (text,) = re.findall(rf"^##+ {title}\n(.*?)(?=^##|\Z)", DOCUMENT, re.DOTALL | re.MULTILINE)
    return transcript(text)


@dataclass
class Shell:
    """Runs the commands of the document, with files and a port of the test.

    Attributes:
        directory: The directory that they run in.
        root: The directory for Spin's cache and its log.
        port: The port of the running app.
    """

    directory: Path
    root: Path
    port: int = field(default_factory=free_port)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SPIN_")}
        return {**kept, "SPIN_DATA_DIR": str(self.root / "spin")}

    def run(self, steps: list[tuple[str, str]]) -> None:
        """Runs commands, and compares what they print. `spin up` runs until the last one has ended."""
        with ExitStack() as stack:
            for command, output in steps:
                if "spin up" in command:
                    stack.enter_context(self.up(command))
                    continue
                done = subprocess.run(
                    ["bash", "-c", self.here(command)],
                    cwd=self.directory,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert done.returncode == 0, (command, done.stdout, done.stderr)
                assert (command, done.stdout) == (command, output)

    def here(self, command: str) -> str:
        """A command of the document, for this test."""
        return command.replace("curl ", "curl -sS ").replace("127.0.0.1:3000", f"127.0.0.1:{self.port}")

    @contextmanager
    def up(self, command: str) -> Iterator[None]:
        """Runs `spin up`, and waits until the app answers."""
        log = self.root / "up.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"{self.here(command)} --listen 127.0.0.1:{self.port}"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait(process, log)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)

    def _wait(self, process: subprocess.Popen[bytes], log: Path) -> None:
        end = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < end:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}", timeout=5)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"spin up does not answer:\n{log.read_text(errors='replace')}")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    if missing := why_not("spin"):
        pytest.skip(f"spin: {missing}")
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/spin.toml").write_text(SHOP)
    return Shell(tmp_path / "shop", tmp_path)


def test_the_files_of_a_release(shell: Shell) -> None:
    dist.write(shell.root / "dist")
    shell.run(section("From the files of a release"))


def test_a_component_is_downloaded_from_its_address(shell: Shell) -> None:
    files = shell.root / "dist"
    port = free_port()
    dist.write(files, f"http://127.0.0.1:{port}")
    with (shell.directory / "spin.toml").open("a") as manifest:
        manifest.write((files / f"{dist.name(COMPONENTS[0])}.toml").read_text())
    server = [
        sys.executable,
        "-m",
        "http.server",
        str(port),
        "--bind",
        "127.0.0.1",
        "--directory",
        str(files),
    ]
    with (
        running(server, port, shell.root / "server.log"),
        shell.up(f"spin up --cache-dir {shell.root / 'cache'}"),
    ):
        assert httpx.get(f"http://127.0.0.1:{shell.port}/kv/v1/default?key=a").status_code == 401
    assert ".wasm HTTP" in (shell.root / "server.log").read_text()


# Without spin


def test_the_same_components_give_the_same_files(tmp_path: Path) -> None:
    first, second = dist.write(tmp_path / "first"), dist.write(tmp_path / "second")
    assert [file.name for file in first] == [file.name for file in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_the_checksums_name_every_file(tmp_path: Path) -> None:
    files = dist.write(tmp_path)
    named = {line.split("  ")[1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines()}
    assert named | {"SHA256SUMS"} == {file.name for file in files}
    components = [file for file in files if file.suffix == ".wasm"]
    assert {file.read_bytes() for file in components} == {each.compiled for each in COMPONENTS}
    (wheel,) = (file for file in files if file.suffix == ".whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "kv_batch/batch.py" in archive.namelist()
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum on PATH")
    command = ["sha256sum", "--check", "SHA256SUMS"]
    check = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert check.returncode == 0, check.stdout
