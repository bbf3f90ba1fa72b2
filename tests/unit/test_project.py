"""What must agree across files: versions, variables, bindings, documents."""

from __future__ import annotations

import ast
import filecmp
import re
import subprocess
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest

import kv_batch_client
from gateway.problems import PROBLEMS
from gateway.settings import LIMITED, Access, Limits, ready_stores
from kv_batch.batch import RETRY_SECONDS
from tools.api.__main__ import main as write_api
from tools.api.openapi import DOCUMENT
from tools.components import ROOT

MANIFEST = tomllib.loads((ROOT / "spin.toml").read_text())


TREE = [
    path.relative_to(ROOT)
    for top in ROOT.iterdir()
    if not top.name.startswith(".") and top.name not in {"build", "dist"}
    for path in [top, *top.rglob("*")]
]
"""All files and directories of the project, without products and caches."""

VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]

NAMED_VERSION = re.compile(
    r"kv-batch:gateway(?:/[\w-]+)?@(\d[\w.]*\w)|kv_batch-(\d[\d.]*\d)|/(?:kv-batch|shop):(\d[\w.]*\w)"
)
"""A version of this project, as a package of WIT, a wheel or an image of a registry has it."""


def test_one_version_everywhere() -> None:
    for manifest in ROOT / "spin.toml", ROOT / "deploy/spin-4.0.toml", ROOT / "deploy/spin-3.toml":
        assert tomllib.loads(manifest.read_text())["application"]["version"] == VERSION, manifest
    assert f"package kv-batch:gateway@{VERSION};" in (ROOT / "wit/world.wit").read_text()
    assert DOCUMENT["info"]["version"] == VERSION
    client = tomllib.loads((ROOT / "clients/python/pyproject.toml").read_text())["project"]["version"]
    assert (client, kv_batch_client.__version__) == (VERSION, VERSION)
    released = re.findall(
        r"^## \[(\d.*?)\] - \d{4}-\d\d-\d\d$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE
    )
    assert released[0] == VERSION
    named = {
        f"{path}: {''.join(found)}"
        for path in TREE
        if path.suffix in {".md", ".py", ".toml", ".yaml", ".yml", ".wit"} or path.name == "Makefile"
        for found in NAMED_VERSION.findall((ROOT / path).read_text())
    }
    assert len(named) >= 10
    assert {each for each in named if not each.endswith(f": {VERSION}")} == set()


def test_what_is_answered_of_the_api_is_what_make_api_writes(tmp_path: Path) -> None:
    """`make api` would change nothing."""
    write_api(tmp_path)
    for name in "openapi.json", "reference.html":
        current = (ROOT / "gateway" / "api" / name).read_text(encoding="utf-8")
        assert current == (tmp_path / name).read_text(encoding="utf-8"), "run `make api`"


def test_the_bindings_are_those_of_the_world(tmp_path: Path) -> None:
    """`make bindings` would change nothing."""
    subprocess.run(["make", "-s", "bindings", f"BINDINGS={tmp_path}"], cwd=ROOT, check=True)
    generated = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.py*"))
    kept = sorted(
        str(path.relative_to(ROOT / "bindings"))
        for path in (ROOT / "bindings").rglob("*.py*")
        if path.suffix != ".pyc"
    )
    assert kept == generated
    assert filecmp.cmpfiles(ROOT / "bindings", tmp_path, kept, shallow=False)[0] == kept, (
        "run `make bindings`"
    )


def test_the_manifest_declares_every_variable_with_the_default_of_the_code() -> None:
    declared = MANIFEST["variables"]
    expected = {f"max_{field.name}": str(field.default) for field in fields(Limits) if field.name in LIMITED}
    expected["refused_characters"] = ""
    expected |= {field.name: "none" if field.name == "anonymous" else "" for field in fields(Access)}
    expected["retry_seconds"] = f"{RETRY_SECONDS:g}"
    expected["ready_stores"] = "default"
    assert ready_stores(lambda _: None) == ["default"]
    assert {name: each["default"] for name, each in declared.items()} == expected
    component = MANIFEST["component"]["kv-batch"]["variables"]
    assert component == {name: "{{ " + name + " }}" for name in declared}
    assert {name for name, each in declared.items() if each.get("secret")} == {
        "read_token",
        "write_token",
        "tokens",
    }


@pytest.mark.parametrize(
    ("manifest", "component"), [("spin-4.0", "kv-batch-0.3-rc"), ("spin-3", "kv-batch-0.2")]
)
def test_the_manifests_for_older_hosts_differ_in_the_component_alone(manifest: str, component: str) -> None:
    theirs = tomllib.loads((ROOT / f"deploy/{manifest}.toml").read_text())
    built = theirs["component"]["kv-batch"]
    assert built["source"] == f"../build/{component}.wasm"
    assert built["build"] == {
        **MANIFEST["component"]["kv-batch"]["build"],
        "command": f"make build/{component}.wasm",
        "workdir": "..",
    }
    built["source"], built["build"] = (
        MANIFEST["component"]["kv-batch"][name] for name in ("source", "build")
    )
    assert theirs == MANIFEST


@pytest.mark.parametrize(
    ("document", "names"), [("docs/errors.md", PROBLEMS), ("docs/settings.md", MANIFEST["variables"])]
)
def test_each_problem_and_each_variable_has_its_row(document: str, names: Iterable[str]) -> None:
    table = [line for line in (ROOT / document).read_text().splitlines() if line.startswith("| ")]
    assert [name for name in names if not any(f"`{name}`" in row for row in table)] == []


def test_every_page_is_one_click_from_the_readme() -> None:
    """A new page in docs/ is linked from the README."""
    readme = (ROOT / "README.md").read_text()
    pages = [*ROOT.glob("docs/*.md"), *ROOT.glob("deploy/**/*.md"), ROOT / "SECURITY.md"]
    assert [str(page) for page in pages if f"({page.relative_to(ROOT)}" not in readme] == []


DOCUMENTS = sorted(str(path) for path in TREE if path.suffix == ".md")


NAMED = re.compile(r"(?!/|build/|dist/)[\w./-]+(?:\.(?:py|md|toml|wit|conf)|/)")
"""A file or a directory, as a document names it: from the root, or by the last parts of its path."""


@pytest.mark.parametrize("document", DOCUMENTS)
def test_a_document_names_only_files_that_exist(document: str) -> None:
    """`kv_batch/batch.py`, `batch.py` and `tests/unit/` exist; code blocks are not checked."""
    text = re.sub(r"```.*?```", "", (ROOT / document).read_text(), flags=re.DOTALL)
    words = (word for code in re.findall(r"`([^`]+)`", text) for word in re.split(r"\s|::", code))
    ends = {f"/{path}{'/' * (ROOT / path).is_dir()}" for path in TREE}
    wrong = [
        name for name in words if NAMED.fullmatch(name) and not any(end.endswith(f"/{name}") for end in ends)
    ]
    assert wrong == []


FLOORS = {
    "kv_batch": {"kv_batch"},
    "gateway/wire": {"kv_batch", "gateway.wire", "gateway.problems", "gateway.settings", "gateway.http"},
    "gateway": {"kv_batch", "gateway"},
    # guests/service_rc.py is app.py for another host.
    "guests": {"kv_batch", "gateway", "guests", "app", "wit_world", "componentize_py_types", "spin_sdk"},
    "embedded": {"kv_batch", "gateway", "embedded", "wasmtime"},
}
"""Which packages a floor may import, the standard library and other packages of the registry left out."""

WATCHED = {"app", "bench", "componentize_py_types", "embedded", "gateway", "guests", "kv_batch", "spin_sdk"}
WATCHED |= {"tests", "tools", "wasmtime", "wit_world"}


@pytest.mark.parametrize("floor", FLOORS)
def test_no_floor_imports_one_above_it(floor: str) -> None:
    files = sorted((ROOT / floor).glob("*.py"))
    assert files
    wrong = [
        f"{file.relative_to(ROOT)} imports {name}"
        for file in files
        for name in imported(file)
        if name.partition(".")[0] in WATCHED
        and not any(f"{name}.".startswith(f"{allowed}.") for allowed in FLOORS[floor])
    ]
    assert wrong == []


def imported(file: Path) -> Iterator[str]:
    """The modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.module
            assert node.level == 0
            yield from (f"{node.module}.{each.name}" for each in node.names)
        elif isinstance(node, ast.Import):
            yield from (each.name for each in node.names)


def test_each_report_is_kept_by_a_test() -> None:
    reports = (ROOT / "tests/clients/REPORTS.md").read_text()
    named = re.findall(r"`(\w+/\w+\.py)::(\w+)`", reports)
    assert len(named) == len(re.findall(r"^\| \d+ ", reports, re.MULTILINE)) >= 24
    for file, name in named:
        assert f"\ndef {name}(" in (ROOT / "tests" / file).read_text(), name
