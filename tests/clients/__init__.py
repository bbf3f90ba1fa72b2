"""The HTTP clients that people use, each a small program (README.md) that the tests start."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Client:
    """One client.

    Attributes:
        name: As its users call it.
        program: What must be on PATH; None for those that come with the development dependencies.
        command: How it is started, given a directory for what must be compiled first.
    """

    name: str
    program: str | None
    command: Callable[[Path], list[str]]

    @property
    def missing(self) -> str | None:
        """Why this machine cannot run it; None where it can."""
        if self.program is None or shutil.which(self.program):
            return None
        return f"{self.name}: no {self.program} on PATH"

    def post(
        self, url: str, body: Path, tries: int, directory: Path, *headers: str
    ) -> list[dict[str, object]]:
        """What it made of a POST of a file, sent so many times: `status` and `body`, or `error`.

        Args:
            headers: As `name: value`.
        """
        return self._run(directory, "post", url, str(body), str(tries), *headers)

    def form(self, url: str, directory: Path, *fields: tuple[str, str]) -> dict[str, object]:
        """The same of the answer to a form of text fields, (name, value), as it writes forms."""
        return self._run(directory, "form", url, *[text for field in fields for text in field])[0]

    def _run(self, directory: Path, *arguments: str) -> list[dict[str, object]]:
        done = subprocess.run(
            [*self.command(directory), *arguments],
            capture_output=True,
            text=True,
            timeout=600,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self.name}: {done.stderr}")
        return [json.loads(line) for line in done.stdout.splitlines()]


def _python(name: str) -> Client:
    return Client(name, None, lambda _: [sys.executable, str(HERE / f"with_{name}.py")])


def _go(directory: Path) -> list[str]:
    program = directory / "client"
    if not program.exists():
        environment = os.environ | {"GOCACHE": str(directory / "go-cache")}
        source = HERE / "client.go"
        subprocess.run(["go", "build", "-o", str(program), str(source)], env=environment, check=True)
    return [str(program)]


def _java(directory: Path) -> list[str]:
    if not (directory / "Client.class").exists():
        subprocess.run(["javac", "-d", str(directory), str(HERE / "Client.java")], check=True)
    return ["java", "-cp", str(directory), "Client"]


CLIENTS = [
    Client("curl", "curl", lambda _: ["sh", str(HERE / "curl.sh")]),
    *map(_python, ["urllib", "requests", "httpx", "aiohttp"]),
    Client("Node fetch", "node", lambda _: ["node", str(HERE / "fetch.mjs")]),
    Client("Go net/http", "go", _go),
    Client("Java HttpClient", "javac", _java),
]
