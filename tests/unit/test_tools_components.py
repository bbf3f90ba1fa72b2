"""Which component a version of Spin runs."""

from __future__ import annotations

import re
import tomllib

import pytest

from tools.components import COMPONENTS, ROOT, NoComponent, component_for


@pytest.mark.parametrize(
    ("spin", "interface"),
    [
        ("3.0", "0.2.0"),
        ("3.6.3", "0.2.0"),
        ("4.0", "0.3.0-rc-2026-03-15"),
        ("4.0.2", "0.3.0-rc-2026-03-15"),
        ("4.1.0-pre0", "0.3.0"),
        ("4.2", "0.3.0"),
        ("5.0", "0.3.0"),
        ("10.0.1", "0.3.0"),
    ],
)
def test_each_spin_has_its_component(spin: str, interface: str) -> None:
    assert component_for(spin).interface == f"wasi:http@{interface}"


@pytest.mark.parametrize(
    ("spin", "reason"),
    [
        ("2.7", "Spin 2.7 is too old"),
        ("4", "'4' is not a version"),
        ("4.1x", "'4.1x' is not"),
        ("new", "'new' is not"),
    ],
)
def test_another_text_is_refused(spin: str, reason: str) -> None:
    with pytest.raises(NoComponent, match=reason):
        component_for(spin)


def test_the_table_is_that_of_the_makefile_the_world_and_the_manifests() -> None:
    makefile, world = ((ROOT / name).read_text() for name in ("Makefile", "wit/world.wit"))
    assert f"SERVICES := {' '.join(each.file for each in COMPONENTS)}\n" in makefile
    exported = re.findall(r"export wasi:http/[\w-]+@(.+);", world)
    assert [f"wasi:http@{version}" for version in exported] == [each.interface for each in COMPONENTS]
    for each in COMPONENTS:
        file = ROOT / each.manifest
        source = tomllib.loads(file.read_text())["component"]["kv-batch"]["source"]
        assert (file.parent / source).resolve() == ROOT / each.file
