"""Each curl line of the API reference, `GET /docs`, is answered with success by every host."""

from __future__ import annotations

import re
import shutil
import subprocess
from html import unescape

import httpx
import pytest

from tests.servers import Server
from tools.api.reference import ADDRESS


def test_each_curl_line_succeeds(server: Server, client: httpx.Client) -> None:
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    page = httpx.get(f"{server.url}/docs")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "script-src 'none'" in page.headers["content-security-policy"]
    lines = [unescape(line) for line in re.findall(r'<pre class="curl"[^>]*><code>(.*?)</code>', page.text)]
    assert len(lines) >= 14
    pairs = {"pairs": [{"key": "user:1", "value": "Ada"}, {"key": "user:2", "value": "Grace"}]}
    for line in lines:
        client.post("/default/set-many", json=pairs).raise_for_status()
        done = subprocess.run(
            ["bash", "-c", line.replace("curl ", "curl -sS -w '%{http_code}' ").replace(ADDRESS, server.url)],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (line, done.stdout[-3:], done.stderr) == (line, "200", "")
        assert len(done.stdout) > 3, line
