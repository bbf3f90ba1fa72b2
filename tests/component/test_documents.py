"""The shell lines of the documents do what is printed under them, on every host."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.backends.engines import running
from tests.servers import Server, free_port, serving
from tests.transcripts import WHOLE, run
from tools.components import ROOT

SAMPLES = ROOT / "tests/samples"
"""The files that a document names without making them."""


@pytest.fixture(scope="module")
def another(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The gateway on port 3001 of the documents."""
    with serving(host, tmp_path_factory.mktemp("another")) as started:
        yield started


@pytest.fixture
def redis_cli(tmp_path: Path) -> Iterator[str]:
    """A command that talks to a Redis of this test, which has a value of every byte, and a large one."""
    if shutil.which("redis-server") is None or shutil.which("redis-cli") is None:
        pytest.skip("no redis-server or no redis-cli on PATH")
    port = free_port()
    server = [
        "redis-server",
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(tmp_path),
    ]
    with running(server, port, tmp_path / "redis.log"):
        yield f"redis-cli -p {port}"


@pytest.mark.parametrize("document", WHOLE)
def test_a_document_answers_as_printed(
    document: str,
    client: httpx.Client,
    server: Server,
    another: Server,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    text = (ROOT / document).read_text()
    replaced = {
        "curl ": "curl -sS ",
        "127.0.0.1:3000": f"127.0.0.1:{server.port}",
        "127.0.0.1:3001": f"127.0.0.1:{another.port}",
    }
    if "$ jq" in text and shutil.which("jq") is None:
        pytest.skip("no jq on PATH")
    if "redis-cli" in text:
        replaced["redis-cli"] = request.getfixturevalue("redis_cli")
    for file in SAMPLES.glob("*.json"):
        shutil.copy(file, tmp_path)
    other = f"{another.url}/v1/default/keys"
    httpx.delete(other, params={"all": "true"}).raise_for_status()
    assert run(text, tmp_path, replaced) >= 8
    assert client.get("/default/keys").json()["keys"] == []  # each document cleans up after itself
    if "127.0.0.1:3001" in text:
        assert httpx.get(other).json()["keys"]
