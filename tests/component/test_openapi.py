"""The OpenAPI document, and schemathesis, which asks of a host what it promises and what it forbids."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.conftest import FIGURES
from tests.servers import Server, serving
from tools.api.openapi import DOCUMENT
from tools.components import ROOT

HERE = Path(__file__).parent / "openapi"

CASES = 60
"""Cases that are made for each operation, in each phase."""


@pytest.fixture(scope="module")
def closed(host: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A host that wants a token."""
    data = tmp_path_factory.mktemp(f"openapi-{host}")
    with serving(host, data, anonymous="none", read_token="reader", write_token="writer") as server:
        yield server


def test_the_document_is_served_to_anyone(closed: Server) -> None:
    answer = httpx.get(f"{closed.url}/openapi.json")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json() == DOCUMENT
    head = httpx.head(f"{closed.url}/openapi.json")
    assert (head.status_code, head.headers["content-length"]) == (200, answer.headers["content-length"])
    refused = httpx.post(f"{closed.url}/openapi.json")
    assert (refused.status_code, refused.headers["allow"]) == (405, "GET, HEAD")


def test_its_examples_are_answered_as_it_says(closed: Server) -> None:
    """In an order in which the examples are true: what is written is then read, listed and deleted."""
    paths = DOCUMENT["paths"]
    with httpx.Client(base_url=closed.url, headers={"authorization": "Bearer writer"}) as client:

        def check(operation: str, method: str, accept: str, sent: str | None = None) -> httpx.Response:
            described = paths[operation][method]
            headers = {"accept": accept} | ({"content-type": sent} if sent else {})
            content = None
            if sent:
                media = described["requestBody"]["content"][sent]
                example = media.get("example") or schema(media["schema"])["example"]
                content = example if isinstance(example, str) else json.dumps(example)
            query = {
                parameter["name"]: parameter["example"]
                for parameter in described.get("parameters", [])
                if "example" in parameter and parameter["name"] != "after"
            }
            answer = client.request(
                method, operation.format(store="default"), params=query, headers=headers, content=content
            )
            promised = described["responses"]["200"]["content"][accept]["example"]
            assert answer.status_code == 200, answer.text
            assert answer.headers["content-type"] == accept
            assert (answer.text if isinstance(promised, str) else answer.json()) == promised
            return answer

        json_type, ndjson = "application/json", "application/x-ndjson"
        check("/v1/{store}/set-many", "post", ndjson, ndjson)
        for accept in json_type, ndjson:
            check("/v1/{store}", "get", accept)
            check("/v1/{store}/get-many", "post", accept, json_type)
            check("/v1/{store}/get-many", "post", accept, ndjson)
        check("/v1/{store}/export", "get", ndjson)
        check("/v1/{store}/keys", "get", json_type)
        for accept in json_type, ndjson:
            check("/v1/{store}/set-many", "post", accept, json_type)
            check("/v1/{store}/delete-many", "post", accept, json_type)
            check("/v1/{store}/delete-many", "post", accept, ndjson)
            check("/v1/{store}", "delete", accept)


def schema(reference: dict[str, str]) -> dict[str, object]:
    """The schema that is referred to."""
    found: dict[str, object] = DOCUMENT["components"]["schemas"][reference["$ref"].rpartition("/")[2]]
    return found


def test_schemathesis_finds_nothing(closed: Server, pytestconfig: pytest.Config) -> None:
    options = ["--checks", "all", "--max-examples", str(CASES), "--header", "Authorization: Bearer writer"]
    command = [
        "--config-file",
        str(HERE / "schemathesis.toml"),
        "run",
        f"{closed.url}/openapi.json",
        *options,
    ]
    run = subprocess.run(
        [sys.executable, "-m", "schemathesis.cli", *command, "--no-color", "--continue-on-failure"],
        cwd=ROOT,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.component.openapi.hooks", "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    told = "\n".join(line[:500] for line in (run.stdout + run.stderr).splitlines())
    assert run.returncode == 0, told
    cases = re.search(r"Test cases:\s+(.*)", told)
    assert cases, told
    assert "WARNINGS" not in told, told
    # All operations but the one that it takes the document from.
    assert f"Tested: {len(list(operations())) - 1}\n" in told, told
    pytestconfig.stash[FIGURES].append(f"{closed.name}: schemathesis: {cases[1]}")


def operations() -> Iterator[tuple[str, str]]:
    """The paths and methods of the document."""
    for path, item in DOCUMENT["paths"].items():
        for method in item:
            if method != "parameters":
                yield path, method
