"""The gateway in an app of someone else: under other routes, beside other components, on several labels."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.servers import SPINS, Server, serving
from tools.components import ROOT

APP = """\
[[trigger.http]]
route = "/:tenant/kv/..."
component = "other"

[component.other]
source = "{source}"
key_value_stores = ["default", "second"]

[component.other.variables]
anonymous = "read"
"""


def mounted(host: str, directory: Path) -> Path:
    """A manifest with the gateway under `/internal/kv/...`, and as another component under a wildcard."""
    component = SPINS[host][1]
    source = str(ROOT / component.file)
    text = (ROOT / component.manifest).read_text()
    text = re.sub(r'source = "[^"]*"', f'source = "{source}"', text)
    text = text.replace('route = "/..."', 'route = "/internal/kv/..."')
    text = text.replace('key_value_stores = ["default"]', 'key_value_stores = ["default", "second"]')
    file = directory / "spin.toml"
    file.write_text(text + "\n" + APP.format(source=source))
    config = directory / "stores.toml"
    config.write_text(f'[key_value_store.second]\ntype = "spin"\npath = "{directory}/second.db"\n')
    return file


@pytest.fixture(scope="module")
def app(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Spin with that manifest."""
    if host not in SPINS:
        pytest.skip("the embedded host serves one component, at the root")
    directory = tmp_path_factory.mktemp("mounted")
    manifest = str(mounted(host, directory))
    stores = ("--runtime-config-file", str(directory / "stores.toml"))
    with serving(host, directory / "data", *stores, manifest=manifest) as server:
        yield server


BASE = "/internal/kv"


def test_every_operation_works_under_a_route(app: Server) -> None:
    with httpx.Client(base_url=f"{app.url}{BASE}/v1") as client:
        pairs = {"pairs": [{"key": "a", "value": "1"}, {"key": "b//%2F", "value": "2"}]}
        assert client.post("/default/set-many", json=pairs).json() == {"pairs": 2}
        assert client.get("/default", params={"key": "a"}).json() == {"pairs": [{"key": "a", "value": "1"}]}
        assert client.post("/default/get-many", json={"keys": ["b//%2F"]}).json()["pairs"][0]["value"] == "2"
        assert client.get("/default/keys").json()["keys"] == ["a", "b//%2F"]
        assert len(client.get("/default/export").text.splitlines()) == 2
        assert client.delete("/default/keys", params={"all": "true"}).json() == {"keys": 2}


def test_what_a_client_is_told_has_the_route_in_it(app: Server) -> None:
    document = httpx.get(f"{app.url}{BASE}/openapi.json").json()
    assert document["servers"] == [{"url": BASE}]
    problem = httpx.get(f"{app.url}{BASE}/v1/default").json()
    assert problem["type"] == f"{BASE}/problems/malformed-query"
    assert f"GET {BASE}/v1/default?key=a" in problem["detail"]
    assert httpx.get(f"{app.url}{BASE}/readyz").json() == {"stores": {"default": "ok"}}
    assert httpx.get(f"{app.url}{BASE}/nothing").json()["type"] == f"{BASE}/problems/not-found"


@pytest.mark.parametrize("forged", ["/...", "/internal/kv/v1/...", "/a/b/c/d/e/...", "", "/internal/..."])
def test_a_client_cannot_forge_the_route(app: Server, forged: str) -> None:
    names = (
        "spin-matched-route",
        "Spin-Matched-Route",
        "spin-base-path",
        "spin-path-info",
        "spin-component-route",
    )
    for name in names:
        answer = httpx.get(f"{app.url}{BASE}/openapi.json", headers={name: forged})
        assert (answer.status_code, answer.json()["servers"]) == (200, [{"url": BASE}])


def test_two_components_and_two_labels_stand_side_by_side(app: Server) -> None:
    with httpx.Client(base_url=app.url) as client:
        for label, value in (("default", "1"), ("second", "2")):
            body = {"pairs": [{"key": "x", "value": value}]}
            assert client.post(f"{BASE}/v1/{label}/set-many", json=body).json() == {"pairs": 1}
        for label, value in (("default", "1"), ("second", "2")):
            # The other component, under a wildcard: it shares the stores, and has settings of its own.
            answer = client.get(f"/acme/kv/v1/{label}?key=x")
            assert answer.json() == {"pairs": [{"key": "x", "value": value}]}
            refused = client.delete(f"/acme/kv/v1/{label}?key=x")
            assert (refused.status_code, refused.json()["type"]) == (403, "/acme/kv/problems/forbidden")
            assert client.delete(f"{BASE}/v1/{label}?key=x").json() == {"keys": 1}
    assert httpx.get(f"{app.url}/v1/default?key=x").status_code == 404  # Spin's own: there is no such route
