"""The files of deploy/ work in Spin. Each is tested as far as possible on a machine without a cloud."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.backends.behind_spin import spin_over
from tests.backends.contract import Gateway, numbered
from tests.backends.engines import Engine, moto, redis, why_not
from tests.servers import why_not as why_no_host
from tools.components import ROOT


@pytest.fixture(autouse=True)
def _needs() -> None:
    missing = why_no_host("spin")
    if missing:
        pytest.skip(f"spin: {missing}")


def deployed(name: str) -> str:
    return (ROOT / "deploy" / name).read_text()


def manifest_with(stores: str, data: Path) -> str:
    """The path of a copy of the manifest that grants other stores."""
    text = (ROOT / "spin.toml").read_text()
    granted = text.replace('key_value_stores = ["default"]', f"key_value_stores = {stores}")
    assert granted != text
    file = data / "spin.toml"
    file.write_text(granted.replace('source = "build/', f'source = "{ROOT}/build/'))
    return str(file)


def kept(url: str) -> None:
    gateway = Gateway(url)
    pairs = list(numbered(200).items())
    gateway.hold(dict(pairs))
    assert gateway.call("get_many", [key for key, _ in pairs]) == pairs


def test_redis(tmp_path: Path) -> None:
    if missing := why_not("Redis"):
        pytest.skip(f"Redis: {missing}")
    with ExitStack() as stack:
        engine = stack.enter_context(redis(tmp_path))
        config = deployed("redis.toml").replace("127.0.0.1:6379", f"127.0.0.1:{engine.port}")
        kept(spin_over(replace(engine, runtime_config=config), tmp_path, stack).url)


def test_dynamodb(tmp_path: Path) -> None:
    if missing := why_not("DynamoDB (moto)"):
        pytest.skip(f"DynamoDB: {missing}")
    with ExitStack() as stack:
        engine = stack.enter_context(moto(tmp_path))
        config = deployed("aws_dynamo.toml")
        kept(spin_over(replace(engine, runtime_config=config), tmp_path, stack).url)


def test_cosmos_is_taken_by_spin_but_not_reached(tmp_path: Path) -> None:
    """No request is made, because it would leave the machine."""
    with ExitStack() as stack:
        try:
            server = spin_over(Engine(deployed("azure_cosmos.toml")), tmp_path, stack)
        except RuntimeError as error:
            if "'azure_cosmos' was not registered" not in str(error):
                raise
            pytest.skip("Cosmos DB: this spin was built without it")
        assert "Azure CosmosDB" in server.logged()


def test_a_second_store_beside_the_default_one(tmp_path: Path) -> None:
    if missing := why_not("Redis"):
        pytest.skip(f"Redis: {missing}")
    with ExitStack() as stack:
        engine = stack.enter_context(redis(tmp_path))
        config = deployed("two-stores.toml").replace("127.0.0.1:6379", f"127.0.0.1:{engine.port}")
        manifest = manifest_with('["default", "cache"]', tmp_path)
        server = spin_over(replace(engine, runtime_config=config), tmp_path, stack, manifest=manifest)
        for store in ("default", "cache"):
            body = {"pairs": [{"key": "where", "value": store}]}
            httpx.post(f"{server.url}/v1/{store}/set-many", json=body).raise_for_status()
        for store in ("default", "cache"):
            answer = httpx.get(f"{server.url}/v1/{store}?key=where")
            assert answer.json() == {"pairs": [{"key": "where", "value": store}]}
        assert httpx.get(f"{server.url}/v1/other?key=where").status_code == 403


SECRETS = {"read-token": "the-read-token", "write-token": "the-write-token"}


def pod(name: str, engine: Engine, data: Path, stack: ExitStack) -> str:
    """Runs Spin as a pod of a SpinApp in `deploy/kubernetes`. Returns its URL.

    It gets what the operator makes of the SpinApp (internal/runtimeconfig and internal/controller of
    github.com/spinframework/spin-operator): each option of a store as a string in runtime-config.toml, and
    each variable in the environment.
    """
    spec: dict[str, Any] = next(yaml.safe_load_all(deployed(f"kubernetes/{name}.yaml")))["spec"]
    config = engine.runtime_config
    for store in spec["runtimeConfig"].get("keyValueStores", []):
        config = f"[key_value_store.{store['name']}]\ntype = '{store['type']}'\n"
        for option in store["options"]:
            assert option["valueFrom"]["secretKeyRef"]["key"] == "redis-url"
            config += f"{option['name']} = 'redis://127.0.0.1:{engine.port}'\n"
    variables = {
        each["name"]: each.get("value") or SECRETS[each["valueFrom"]["secretKeyRef"]["key"]]
        for each in spec["variables"]
    }
    assert spec["invocationLimits"]["memory"].endswith("Mi")
    memory = int(spec["invocationLimits"]["memory"][:-2]) * 2**20
    options = ("--max-instance-memory", str(memory))
    variables |= {"anonymous": "none", "manifest": "deploy/spin-4.0.toml"}
    server = spin_over(replace(engine, runtime_config=config), data, stack, *options, **variables)
    assert httpx.get(server.url + spec["checks"]["liveness"]["httpGet"]["path"]).text == "OK"
    return server.url


@pytest.mark.parametrize("name", ["redis", "dynamodb"])
def test_the_app_of_a_cluster(name: str, tmp_path: Path) -> None:
    if missing := why_not({"redis": "Redis", "dynamodb": "DynamoDB (moto)"}[name]):
        pytest.skip(f"{name}: {missing}")
    with ExitStack() as stack:
        engine = stack.enter_context((redis if name == "redis" else moto)(tmp_path))
        if name == "dynamodb":
            engine = replace(engine, runtime_config=deployed("aws_dynamo.toml"))
        url = f"{pod(name, engine, tmp_path, stack)}/v1/default"
        body = {"pairs": [{"key": f"{number}", "value": "v" * 1_000} for number in range(200)]}
        for token, status in ("", 401), ("the-read-token", 403), ("the-write-token", 200):
            headers = {"authorization": f"Bearer {token}"} if token else {}
            answer = httpx.post(f"{url}/set-many", json=body, headers=headers, timeout=30)
            assert answer.status_code == status
        keys = {"keys": [pair["key"] for pair in body["pairs"]]}
        found = httpx.post(f"{url}/get-many", json=keys, headers=headers, timeout=30).json()["pairs"]
        assert [pair["value"] for pair in found] == ["v" * 1_000] * 200
        large = b'{"key": "k", "value": "%s"}\n' % (b"v" * 1_000_001)
        answer = httpx.post(
            f"{url}/set-many", content=large, headers=headers | {"content-type": "application/x-ndjson"}
        )
        assert answer.json()["limit"] == 1_000_000
