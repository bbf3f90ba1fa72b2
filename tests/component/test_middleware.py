"""The middleware of `examples/middleware` before kv-batch: CORS, the rate limit, and streams through it.

It needs a Spin with HTTP middleware: 4.1 or later.
"""

from __future__ import annotations

import http.server
import json
import shlex
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.component.test_guest import COMPONENTIZE, run
from tests.component.test_pages import chromium
from tests.servers import Server, serving, why_not
from tools.components import ROOT

EXAMPLE = ROOT / "examples/middleware"

ORIGIN = {"origin": "https://app.example"}
TOKEN = {"authorization": "Bearer secret"}
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization"}
PAIRS = 200_000


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manifest of a compiled copy of the example."""
    if missing := why_not("spin"):
        pytest.skip(f"the middleware needs Spin 4.1: {missing}")
    directory = tmp_path_factory.mktemp("middleware")
    shutil.copytree(EXAMPLE, directory, dirs_exist_ok=True)
    copy = directory / "spin.toml"
    text = copy.read_text()
    program, *arguments = shlex.split(tomllib.loads(text)["component"]["cors"]["build"]["command"])
    assert program == "componentize-py"
    run([*COMPONENTIZE, *arguments], directory)
    copy.write_text(text.replace("../../build/", f"{ROOT}/build/"))
    return copy


@contextmanager
def started(manifest: Path, data: Path, **variables: str) -> Iterator[Server]:
    variables = {"anonymous": "read", "write_token": "secret", "cors_origins": ORIGIN["origin"], **variables}
    with serving("spin", data, manifest=str(manifest), port=0, extra_environment=None, **variables) as server:
        yield server


@pytest.fixture(scope="module")
def server(manifest: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with started(manifest, tmp_path_factory.mktemp("data")) as server:
        yield server


def test_a_preflight_request_is_answered_without_a_token(server: Server) -> None:
    answer = httpx.options(f"{server.url}/v1/default/get-many", headers=ORIGIN | PREFLIGHT)
    assert (answer.status_code, answer.content) == (204, b"")
    assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert "POST" in answer.headers["access-control-allow-methods"]
    assert "authorization" in answer.headers["access-control-allow-headers"]


def test_another_origin_is_allowed_nothing(server: Server) -> None:
    other = {"origin": "https://evil.example"}
    preflight = httpx.options(f"{server.url}/v1/default/get-many", headers=other | PREFLIGHT)
    answer = httpx.get(f"{server.url}/v1/default?key=a", headers=other | TOKEN)
    assert preflight.status_code >= 400
    for each in preflight, answer:
        assert not [name for name in each.headers if name.startswith("access-control-")]
        assert "origin" in each.headers.get_list("vary", split_commas=True)


def test_a_page_of_an_allowed_origin_needs_a_token_all_the_same(server: Server) -> None:
    url = f"{server.url}/v1/default?key=a"
    assert httpx.get(url).status_code == 200
    refused = httpx.get(url, headers=ORIGIN)
    assert (refused.status_code, refused.json()["type"]) == (403, "/problems/forbidden")
    assert refused.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert httpx.get(url, headers=ORIGIN | TOKEN).status_code == 200


class Page(http.server.BaseHTTPRequestHandler):
    """A page that reads and writes the gateway, and shows what it received."""

    gateway = ""

    def do_GET(self) -> None:
        script = """
            const headers = {authorization: "Bearer secret", "content-type": "application/json"}
            const ask = async (path, body) => {
                try {
                    const options = {method: "POST", headers, body: JSON.stringify(body)}
                    return await (await fetch(GATEWAY + path, options)).json()
                } catch (error) { return String(error) }
            }
            const seen = [await ask("/v1/default/set-many", {pairs: [{key: "page", value: "1"}]})]
            seen.push(await ask("/v1/default/get-many", {keys: ["page"]}))
            document.body.textContent = JSON.stringify(seen)
        """.replace("GATEWAY", json.dumps(self.gateway))
        content = f"<body>nothing</body><script type=module>{script}</script>".encode()
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


def test_a_browser_lets_only_a_page_of_an_allowed_origin_read(manifest: Path, tmp_path: Path) -> None:
    browser = chromium()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as pages:
        threading.Thread(target=pages.serve_forever, daemon=True).start()
        port = pages.server_address[1]
        with started(manifest, tmp_path / "data", cors_origins=f"http://127.0.0.1:{port}") as server:
            Page.gateway = server.url
            shown = {}
            for host in "127.0.0.1", "localhost":
                profile = f"--user-data-dir={tmp_path / host}"
                usual = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=20000"]
                made = subprocess.run(
                    [browser, *usual, profile, "--dump-dom", f"http://{host}:{port}/"],
                    capture_output=True,
                    text=True,
                    timeout=120,
                    check=True,
                )
                shown[host] = made.stdout
        pages.shutdown()
    assert '[{"pairs":1},{"pairs":[{"key":"page","value":"1"}]}]' in shown["127.0.0.1"]
    assert '["TypeError: Failed to fetch","TypeError: Failed to fetch"]' in shown["localhost"]


def test_requests_beyond_the_rate_are_refused(manifest: Path, tmp_path: Path) -> None:
    with started(manifest, tmp_path, requests_per_second="5") as server, httpx.Client() as client:
        answers = [client.get(f"{server.url}/v1/default?key=a", headers=ORIGIN | TOKEN) for _ in range(40)]
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 429}
    assert statuses[0] == 200
    refused = answers[statuses.index(429)]
    assert refused.headers["retry-after"] == "1"
    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.headers["access-control-allow-origin"] == ORIGIN["origin"]
    assert refused.json()["status"] == 429


def test_streams_pass(server: Server) -> None:
    kind = {"content-type": "application/x-ndjson"}
    lines = [b'{"key": "stream:%06d", "value": "v"}\n' % number for number in range(PAIRS)]
    end = b'{"end": {"pairs": %d}}\n' % PAIRS
    chunks = (b"".join(lines[first : first + 10_000]) for first in range(0, PAIRS, 10_000))
    url = f"{server.url}/v1/default"

    def body() -> Iterator[bytes]:
        yield from chunks
        yield end

    written = httpx.post(
        f"{url}/set-many?end=true", content=body(), headers=ORIGIN | TOKEN | kind, timeout=120
    )
    assert (written.status_code, json.loads(written.content.splitlines()[-1])) == (200, {"pairs": PAIRS})
    export = f"{url}/export?prefix=stream:&end=true"
    read = httpx.get(export, headers=ORIGIN | TOKEN, timeout=120)
    *pairs, last = read.content.splitlines()
    assert json.loads(last) == json.loads(end)
    assert [json.loads(pair)["key"] for pair in pairs] == [f"stream:{number:06}" for number in range(PAIRS)]


def test_an_early_answer_survives_a_large_body(server: Server) -> None:
    wrong = {"authorization": "Bearer wrong", "content-type": "application/x-ndjson"}
    body = b'{"key": "a", "value": "v"}\n' * 850_000  # 23 MB
    for _ in range(3):
        answer = httpx.post(
            f"{server.url}/v1/default/set-many", content=body, headers=ORIGIN | wrong, timeout=60
        )
        assert (answer.status_code, answer.json()["type"]) == (401, "/problems/unauthorized")
        assert answer.headers["access-control-allow-origin"] == ORIGIN["origin"]
