"""The manifests of other apps: they have the settings of `spin.toml`, whatever these are."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from tools import dist, template
from tools.components import COMPONENTS, ROOT
from tools.snippet import MANIFEST, Placement, app_variables, component_tables, settings

SPIN_TOML: dict[str, Any] = tomllib.loads(MANIFEST.read_text())
DECLARED: dict[str, dict[str, Any]] = SPIN_TOML["variables"]
SECRETS = {name for name, each in DECLARED.items() if each.get("secret")}

SHOP = """\
spin_manifest_version = 2

[application]
name = "shop"

[variables]
read_token = { default = "of the shop" }
"""


def test_each_variable_has_its_comment() -> None:
    for each in settings(Placement("kv", '"kv.wasm"', "/...")):
        assert f"{each.name} = {{ default = " in MANIFEST.read_text()
        assert each.comment.startswith("# ") or each.name in {"read_token", "write_token"}
        assert "\n" not in each.comment


def test_an_app_of_its_own_has_every_variable() -> None:
    placement = Placement("kv", '"kv.wasm"', "/...", store="cache", anonymous="read")
    assert [each.name for each in app_variables(placement)] == list(DECLARED)
    tables = tomllib.loads(component_tables(placement))
    expected = dict(SPIN_TOML["component"]["kv-batch"])
    expected.pop("build")
    expected |= {"source": "kv.wasm", "key_value_stores": ["cache"]}
    assert tables["component"] == {"kv": expected}
    assert tables["trigger"] == {"http": [{"route": "/...", "component": "kv"}]}
    defaults = {each.name: each.default for each in app_variables(placement)}
    changed = {name: default for name, default in defaults.items() if DECLARED[name]["default"] != default}
    assert changed == {"anonymous": "read", "ready_stores": "cache"}


def test_another_app_gets_only_the_secrets_as_variables_and_under_names_of_their_own() -> None:
    placement = Placement("my-kv", '"kv.wasm"', "/...", prefix="my_kv_")
    assert {each.name for each in app_variables(placement)} == {f"my_kv_{name}" for name in SECRETS}
    given = tomllib.loads(component_tables(placement))["component"]["my-kv"]["variables"]
    assert given == {
        name: "{{ my_kv_" + name + " }}" if name in SECRETS else each["default"]
        for name, each in DECLARED.items()
    }


def test_a_snippet_is_appended_to_a_manifest_as_it_is() -> None:
    for each in COMPONENTS:
        manifest = tomllib.loads(SHOP + dist.snippet(each, "0f"))
        assert manifest["variables"]["read_token"] == {"default": "of the shop"}
        assert manifest["variables"]["kv_batch_read_token"] == {"default": "", "secret": True}
        assert set(manifest["variables"]) == {"read_token", *(f"kv_batch_{name}" for name in SECRETS)}
        assert manifest["component"]["kv-batch"]["source"] == f"{dist.name(each)}.wasm"


def test_a_published_component_is_named_by_its_address_and_digest() -> None:
    text = dist.snippet(COMPONENTS[0], "0f", "https://example.com/v1/")
    source = tomllib.loads(text)["component"]["kv-batch"]["source"]
    address = f"https://example.com/v1/{dist.name(COMPONENTS[0])}.wasm"
    assert source == {"url": address, "digest": "sha256:0f"}


def test_the_names_have_the_version_of_the_project() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert dist.name(COMPONENTS[0]) == f"kv-batch-{version}-wasi-http-0.3.0"


def test_braces_of_spin_are_escaped_for_liquid() -> None:
    escaped = "{% raw %}{{{% endraw %} token {% raw %}}}{% endraw %}"
    assert template.liquid('<<name>> = "{{ token }}"') == '{{name}} = "' + escaped + '"'


def test_the_template_takes_the_component_for_the_spin_that_is_named() -> None:
    assert [template.choose(spin)[0] for spin in ("4.1", "4.0", "3.0")] == list(COMPONENTS)


def test_without_spin_the_template_takes_the_component_of_every_spin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    component, why = template.choose("")
    assert component == COMPONENTS[-1]
    assert why == "it runs on every Spin from 3.0 on; there is no spin on PATH"
