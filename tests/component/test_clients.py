"""Answers that come before the end of the request, as real clients see them, straight and through nginx.

`CLIENTS=20 make test` tries each 20 times and with 68 MB too; CLIENTS_TABLE names a file for the outcome.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.clients import CLIENTS, Client
from tests.proxies import program, proxy
from tests.servers import INSTANCE_EACH, Server, serving

TRIES = int(os.environ.get("CLIENTS", "0"))
SIZES = [0.2, 2.3, 23, 68] if TRIES else [0.2, 23]
"""Megabytes of the bodies. 0.2 fits into the buffers of a loopback, 2.3 into those of both ends at their
largest, 23 into none; 68 is more than a proxy or a host would read without being told to."""

TOKEN = "the token of this test"


@dataclass(frozen=True)
class Case:
    """A request that is answered before its body has ended.

    Attributes:
        headers: Those it is sent with.
        status, problem: What its client must see.
    """

    name: str
    headers: tuple[str, ...]
    status: int
    problem: str


KNOWN = f"authorization: Bearer {TOKEN}"
NDJSON = "content-type: application/x-ndjson"

CASES = [
    Case("a bad line", (KNOWN, NDJSON), 400, "invalid-value"),
    Case("a wrong type", (KNOWN, "content-type: text/csv"), 415, "unsupported-media-type"),
    Case("a wrong token", ("authorization: Bearer wrong", NDJSON), 401, "unauthorized"),
    Case("too large", (KNOWN, "content-type: application/json"), 413, "too-large"),
]

WAYS = [(None, size) for size in SIZES] + [("nginx", size) for size in (SIZES if TRIES else [23])]
"""Through which proxy, if any, and how large. Caddy is not among them: see docs/production.md."""


@pytest.fixture(scope="module")
def port(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of a gateway with a token and a small limit."""
    with serving(
        host,
        tmp_path_factory.mktemp(host),
        write_token=TOKEN,
        anonymous="none",
        max_body_bytes="100000",
    ) as server:
        yield server.port


@pytest.fixture(scope="module")
def ports(port: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str | None, int]]:
    """Where to send a request that is to go through a proxy, or through none."""
    with ExitStack() as running:
        found: dict[str | None, int] = {None: port}
        if program("nginx"):
            found["nginx"] = running.enter_context(proxy("nginx", port, tmp_path_factory.mktemp("nginx")))
        yield found


@pytest.fixture(scope="session")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for what clients compile."""
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="session")
def bodies(tmp_path_factory: pytest.TempPathFactory) -> dict[float, Path]:
    """A file of lines of each size, of which the second line is bad."""
    directory = tmp_path_factory.mktemp("bodies")
    files: dict[float, Path] = {}
    line = json.dumps({"key": "k", "value": "v" * 75}) + "\n"
    for size in SIZES:
        files[size] = directory / f"{size}.ndjson"
        count = int(size * 1_000_000) // len(line)
        files[size].write_text(line + '{"key": "k", "value": 3}\n' + line * count)
    return files


@pytest.fixture(scope="session")
def table() -> Iterator[list[str]]:
    """Rows of the outcome, written at the end to the file that CLIENTS_TABLE names."""
    rows: list[str] = []
    yield rows
    if rows and "CLIENTS_TABLE" in os.environ:
        Path(os.environ["CLIENTS_TABLE"]).write_text("\n".join(rows) + "\n")


@pytest.mark.parametrize(
    ("through", "size"),
    WAYS,
    ids=lambda part: f"{part} MB" if isinstance(part, float | int) else part or "straight",
)
@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_an_early_answer_reaches_its_client(
    client: Client,
    through: str | None,
    size: float,
    host: str,
    ports: dict[str | None, int],
    bodies: dict[float, Path],
    compiled: Path,
    table: list[str],
) -> None:
    if client.missing:
        pytest.skip(client.missing)
    if through not in ports:
        pytest.skip(f"no {through} on PATH")
    tries = TRIES or 2
    url = f"http://127.0.0.1:{ports[through]}/v1/default/set-many"
    lost = {}
    cells = []
    for case in CASES:
        if case.status == 401 and host in INSTANCE_EACH:
            cells.append("not promised")
            continue
        seen = Counter(map(outcome, client.post(url, bodies[size], tries, compiled, *case.headers)))
        wanted = (case.status, f"/problems/{case.problem}")
        cells.append(f"{seen[wanted]}/{tries}")
        if seen != {wanted: tries}:
            lost[case.name] = dict(seen)
    table.append(f"| {host} | {client.name} | {through or ''} | {size} | {' | '.join(cells)} |")
    assert lost == {}


@pytest.mark.parametrize("client", CLIENTS, ids=lambda client: client.name)
def test_a_form_is_stored(client: Client, server: Server, compiled: Path) -> None:
    if client.missing:
        pytest.skip(client.missing)
    url = f"{server.url}/v1/default"
    # No space: aiohttp writes a backslash before it, which is refused (gateway/wire/disposition.py).
    fields = {"form:1": "a value", "größe": "5 €"}
    assert client.form(f"{url}/set-many", compiled, *fields.items())["status"] == 200
    pairs = httpx.get(url, params={"key": list(fields)}).json()["pairs"]
    assert {pair["key"]: pair["value"] for pair in pairs} == fields


def outcome(answer: dict[str, object]) -> tuple[object, object]:
    """The status and the type of a problem; without one, what there was in its place."""
    if "error" in answer:
        return None, answer["error"]
    try:
        return answer["status"], json.loads(str(answer["body"]))["type"]
    except (ValueError, KeyError):
        return answer["status"], str(answer["body"])[:100]
