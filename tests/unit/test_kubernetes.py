"""The manifests of `deploy/kubernetes`: fields that SpinKube has, and values that belong together."""

from __future__ import annotations

import copy
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from bench.limited import SETTINGS
from tools.components import ROOT

MANIFESTS = sorted((ROOT / "deploy/kubernetes").glob("*.yaml"))
SCHEMA = jsonschema_rs.validator_for(
    yaml.safe_load((Path(__file__).parent / "spinapp.schema.yaml").read_text())
)
COMPONENT = tomllib.loads((ROOT / "deploy/spin-4.0.toml").read_text())

UNITS = {"Mi": 2**20, "Gi": 2**30}


def documents(manifest: Path) -> dict[str, Any]:
    """The documents of a manifest by their kind."""
    return {each["kind"]: each for each in yaml.safe_load_all(manifest.read_text())}


def bytes_of(quantity: str) -> int:
    return int(quantity[:-2]) * UNITS[quantity[-2:]]


def test_there_is_a_manifest_for_each_engine() -> None:
    assert [manifest.name for manifest in MANIFESTS] == ["dynamodb.yaml", "redis.yaml"]


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.name)
def test_the_fields_are_those_of_the_operator(manifest: Path) -> None:
    found = documents(manifest)
    assert set(found) == {"SpinApp", "HorizontalPodAutoscaler"}
    for document in found.values():
        SCHEMA.validate(document)


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest.name)
def test_what_belongs_together_agrees(manifest: Path) -> None:
    found = documents(manifest)
    app, scaler = found["SpinApp"], found["HorizontalPodAutoscaler"]["spec"]
    spec = app["spec"]
    assert spec["image"].endswith(f"/kv-batch:{COMPONENT['application']['version']}")
    assert spec["executor"] == "containerd-shim-spin"
    # The operator names the Deployment after the app.
    assert scaler["scaleTargetRef"]["name"] == app["metadata"]["name"]
    assert scaler["minReplicas"] >= 2
    assert spec["checks"]["readiness"]["httpGet"]["path"] == "/readyz"
    assert spec["checks"]["liveness"]["httpGet"]["path"] == "/.well-known/spin/health"
    declared = COMPONENT["variables"]
    given = {each["name"]: each for each in spec["variables"]}
    assert set(given) <= set(declared)
    # No secret is written in a manifest, and `python -m bench.pod_memory` measures with these limits.
    assert {name for name, each in given.items() if "valueFrom" in each} == {"read_token", "write_token"}
    assert {name: each["value"] for name, each in given.items() if "value" in each} == SETTINGS
    instance, pod = spec["invocationLimits"]["memory"], spec["resources"]
    assert bytes_of(instance) <= bytes_of(pod["requests"]["memory"]) <= bytes_of(pod["limits"]["memory"])


MISTAKES: dict[str, Callable[[dict[str, Any]], object]] = {
    "no image": lambda spec: spec.pop("image"),
    "replicas beside the autoscaler": lambda spec: spec.update(replicas=2),
    "neither replicas nor an autoscaler": lambda spec: spec.update(enableAutoscaling=False),
    "a field that is not there": lambda spec: spec.update(env=[]),
    "a variable without a name": lambda spec: spec["variables"][0].pop("name"),
    "a number as the value of a variable": lambda spec: spec["variables"][2].update(value=10485760),
    "the path at the wrong place": lambda spec: spec["checks"]["readiness"].update(path="/readyz"),
    "not a quantity": lambda spec: spec["resources"]["limits"].update(memory="1 GiB"),
    "not a name": lambda spec: spec["runtimeConfig"].update(loadFromSecret=True),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_noticed(mistake: str) -> None:
    app = copy.deepcopy(documents(ROOT / "deploy/kubernetes/redis.yaml")["SpinApp"])
    MISTAKES[mistake](app["spec"])
    assert not SCHEMA.is_valid(app)
