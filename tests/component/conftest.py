"""The hosts of the HTTP suite: every test runs on each that the machine has.

A module whose tests say nothing more on the older components names its own hosts in `RUN_ON`.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.servers import HOSTS, Server, serving, why_not


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "host" in metafunc.fixturenames:
        hosts = getattr(metafunc.module, "RUN_ON", HOSTS)
        metafunc.parametrize("host", hosts, indirect=True, scope="session")


@pytest.fixture(scope="session")
def host(request: pytest.FixtureRequest) -> str:
    """The name of a host that this machine has."""
    name = str(request.param)
    missing = why_not(name)
    if missing:
        pytest.skip(f"{name}: {missing}")
    return name


@pytest.fixture(scope="session")
def server(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A host on a fresh data directory, open to anyone."""
    with serving(host, tmp_path_factory.mktemp(host)) as started:
        yield started


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    """A client for the default store, which is empty when the test begins."""
    with httpx.Client(base_url=f"{server.url}/v1", timeout=60) as opened:
        while keys := opened.get("/default/keys", params={"limit": 10_000}).json()["keys"]:
            opened.post("/default/delete-many", json={"keys": keys}).raise_for_status()
        yield opened
