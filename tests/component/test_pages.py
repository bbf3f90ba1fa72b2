"""A page of another origin, in a real Chromium: without a token it neither writes nor reads."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from tests.servers import Server, serving
from tools.up.access import allowed_hosts
from tools.up.listen import Listen

LOOPBACK = allowed_hosts(Listen("127.0.0.1", 3000), {})
"""What `make up` sets."""

RULES = "--host-resolver-rules=MAP evil.example 127.0.0.1"

PAGE = """<!doctype html>
<form id="form" method="post" enctype="multipart/form-data" action="{url}/v1/default/set-many" target="frame">
<input name="from-a-form" value="1"></form>
<iframe name="frame"></iframe>
<script>
const told = [];
const attempt = async (name, options, path) => {{
  try {{
    const answer = await fetch("{url}/v1/default" + path, options);
    told.push([name, answer.status, await answer.text()]);
  }} catch (error) {{
    told.push([name, String(error)]);
  }}
}};
(async () => {{
  const form = new FormData();
  form.set("from-fetch", "1");
  const headers = {{"content-type": "application/json"}};
  await attempt("form", {{method: "POST", body: form}}, "/set-many");
  await attempt("form, opaque", {{method: "POST", body: form, mode: "no-cors"}}, "/set-many");
  await attempt("read", {{}}, "/keys");
  await attempt("json", {{method: "POST", body: '{{"keys": []}}', headers}}, "/get-many");
  await attempt("delete", {{method: "DELETE"}}, "?key=kept");
  const loaded = new Promise(done => document.querySelector("iframe").addEventListener("load", done));
  document.getElementById("form").submit();
  await loaded;
  await fetch("/told", {{method: "POST", body: JSON.stringify(told)}});
}})();
</script>
"""


class Site:
    """A site that serves one page, and hears when its script is done."""

    def __init__(self, page: str) -> None:
        self.told = threading.Event()
        self.heard = b""
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer(page.encode())

            def do_POST(self) -> None:
                site.heard = self.rfile.read(int(self.headers["content-length"]))
                self._answer(b"")
                site.told.set()

            def _answer(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/html; charset=utf-8")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])


@contextmanager
def site(page: str) -> Iterator[Site]:
    served = Site(page)
    thread = threading.Thread(target=served.server.serve_forever)
    thread.start()
    try:
        yield served
    finally:
        served.server.shutdown()
        thread.join()
        served.server.server_close()


def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no chromium on PATH: a page of another origin was not tried in a browser")
    return found


@contextmanager
def visiting(url: str, profile: Path) -> Iterator[None]:
    """A headless Chromium that has the page open."""
    command = [
        *(chromium(), "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
        *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
        *("--disable-dev-shm-usage", f"--user-data-dir={profile}", "--remote-debugging-port=0", RULES, url),
    ]
    silent = subprocess.DEVNULL
    process = subprocess.Popen(command, stdin=silent, stdout=silent, stderr=silent)
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def visit(gateway: str, tmp_path: Path, host: str) -> str:
    """What the script of a page at `host` was told by a gateway."""
    with site(PAGE.format(url=gateway)) as served:
        with visiting(f"http://{host}:{served.port}/", tmp_path / "profile"):
            assert served.told.wait(60), "the page did not come to its end"
        return served.heard.decode()


def keys(server: Server) -> list[str]:
    found: list[str] = httpx.get(f"{server.url}/v1/default/keys").json()["keys"]
    return found


@pytest.mark.parametrize(
    ("page_host", "gateway_host"),
    [("evil.example", "127.0.0.1"), ("localhost", "localhost"), ("evil.example", "evil.example")],
    ids=["another site", "another port of the same site", "a name that is bound to the loopback"],
)
def test_a_page_of_another_origin_changes_and_reads_nothing(
    host: str, page_host: str, gateway_host: str, tmp_path: Path
) -> None:
    chromium()
    with serving(host, tmp_path / "data", allowed_hosts=LOOPBACK) as server:
        body = {"pairs": [{"key": "kept", "value": "secret"}]}
        httpx.post(f"{server.url}/v1/default/set-many", json=body).raise_for_status()
        told = visit(f"http://{gateway_host}:{server.port}", tmp_path, page_host)
        assert keys(server) == ["kept"]
        assert "kept" not in told
        assert "200" not in told


def test_what_a_browser_says_of_such_a_page_is_refused(host: str, tmp_path: Path) -> None:
    with serving(host, tmp_path / "data", allowed_hosts=LOOPBACK) as server:
        url = f"{server.url}/v1/default"
        assert httpx.post(f"{url}/set-many", files={"a": b"b"}).status_code == 200
        rebound = f"evil.example:{server.port}"
        for headers in (
            {"origin": "https://evil.example", "sec-fetch-site": "cross-site"},
            {"origin": "https://evil.example"},
            {"sec-fetch-site": "same-site"},
            {"origin": "null"},
            {"host": "evil.example"},
            {"host": rebound, "origin": f"http://{rebound}", "sec-fetch-site": "same-origin"},
        ):
            for answer in (
                httpx.post(f"{url}/set-many", files={"c": b"d"}, headers=headers),
                httpx.get(f"{url}?key=a", headers=headers),
            ):
                assert answer.status_code == 403, headers
                assert answer.json()["type"] == "/problems/forbidden"
                assert not [name for name in answer.headers if name.startswith("access-control")]
        own = {"origin": server.url, "sec-fetch-site": "same-origin"}
        assert httpx.get(f"{url}?key=a", headers=own).status_code == 200
        for name in "localhost", "127.0.0.1", "[::1]":
            assert httpx.get(f"{url}?key=a", headers={"host": f"{name}:{server.port}"}).status_code == 200
        # CORS stays closed: no preflight is granted.
        preflight = {"origin": "https://evil.example", "access-control-request-method": "DELETE"}
        assert httpx.options(url, headers=preflight).status_code == 403
        assert keys(server) == ["a"]


def test_the_name_over_http_2_counts_as_well(host: str, tmp_path: Path) -> None:
    if host == "embedded" or shutil.which("curl") is None:
        pytest.skip("needs Spin, which alone speaks HTTP/2, and curl")
    with serving(host, tmp_path / "data", allowed_hosts=LOOPBACK) as server:
        for name, expected in ("localhost", b"200"), ("evil.example", b"403"):
            options = [
                "-sS",
                "-o",
                "/dev/null",
                "-w",
                "%{http_version} %{http_code}",
                "--http2-prior-knowledge",
            ]
            resolved = ["--resolve", f"{name}:{server.port}:127.0.0.1"]
            url = f"http://{name}:{server.port}/v1/default?key=a"
            command = ["curl", *options, *resolved, url]
            done = subprocess.run(command, capture_output=True, check=True, timeout=60)
            assert done.stdout == b"2 " + expected
