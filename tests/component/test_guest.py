"""The wheel of the contract, and a guest of its own that has installed it (`examples/guest`)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import httpx
import pytest

from embedded.component import Component
from embedded.store import FILE, Database, SqliteBucket
from tests.exchanges import Exchange
from tests.servers import serving, why_not
from tools.components import ROOT
from tools.immortal import immortal

COMPONENTIZE = [sys.executable, "-c", "import sys, componentize_py; sys.exit(componentize_py.script())"]

PAIRS = [("a", b"1"), ("ü", "€".encode())]
ASKED = "/?key=%C3%BC&key=b&key=a"
ANSWER = '{"ü": "€", "b": null, "a": "1"}\n'


def run(command: list[str], directory: Path) -> None:
    environment = {**os.environ, "VIRTUAL_ENV": str(Path(sys.executable).parent.parent)}
    made = subprocess.run(
        command, cwd=directory, env=environment, capture_output=True, text=True, check=False
    )
    assert made.returncode == 0, made.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("wheel")
    run([sys.executable, "-m", "flit_core.wheel", "--outdir", str(directory)], ROOT)
    (made,) = directory.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def guest(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the example, with the wheel installed beside it."""
    directory = tmp_path_factory.mktemp("guest")
    for file in (ROOT / "examples/guest").iterdir():
        if file.is_file():
            shutil.copy(file, directory)
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    run([*install, "--target", str(directory / "packages"), str(wheel)], directory)
    return directory


def test_the_wheel_has_the_contract_alone(wheel: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        modules = {name for name in names if not name.startswith(f"kv_batch-{version}.dist-info/")}
        metadata = archive.read(f"kv_batch-{version}.dist-info/METADATA").decode()
    here = {str(file.relative_to(ROOT)) for file in (ROOT / "kv_batch").iterdir() if file.is_file()}
    assert modules == here
    assert "kv_batch/py.typed" in modules
    assert "Requires-Dist" not in metadata


class Stores:
    """One store, of any label."""

    def __init__(self, bucket: SqliteBucket) -> None:
        self._bucket = bucket

    def open(self, _: str) -> SqliteBucket:
        return self._bucket


def test_a_guest_reads_in_batches_natively(guest: Path, tmp_path: Path) -> None:
    world = ["-d", str(ROOT / "wit"), "-w", "kv-batch:gateway/embedded@1.0.0"]
    paths = ["-p", ".", "-p", "packages"]
    out = guest / "embedded.wasm"
    run([*COMPONENTIZE, "-q", *world, "componentize", *paths, "embedded_app", "-o", str(out)], guest)
    bucket = SqliteBucket(Database(tmp_path / FILE), "default")
    bucket.set_many(PAIRS)
    exchange = Exchange()
    with Component(out, {}, Stores(bucket)).instance() as instance:
        instance.handle("GET", ASKED, [], exchange)
    assert (exchange.status, exchange.answer.decode()) == (200, ANSWER)


def test_a_guest_reads_in_batches_under_spin(guest: Path, tmp_path: Path) -> None:
    if missing := why_not("spin"):
        pytest.skip(missing)
    manifest = tomllib.loads((guest / "spin.toml").read_text())
    command = manifest["component"]["lookup"]["build"]["command"].split()
    assert command.pop(0) == "componentize-py"
    at = command.index("componentize") + 1
    run([*COMPONENTIZE, "-q", *command[:at], "-p", ".", "-p", "packages", *command[at:]], guest)
    SqliteBucket(Database(tmp_path / FILE), "default").set_many(PAIRS)
    with serving("spin", tmp_path, manifest=str(guest / "spin.toml")) as server:
        assert httpx.get(server.url + ASKED).text == ANSWER


MOST_COMPONENT_BYTES = 22_500_000
"""A component is mostly Python itself. Its size costs time at each start."""


@pytest.mark.parametrize("name", ["kv-batch", "kv-batch-0.3-rc", "kv-batch-0.2", "embedded"])
def test_a_component_does_not_grow(name: str) -> None:
    assert (ROOT / "build" / f"{name}.wasm").stat().st_size <= MOST_COMPONENT_BYTES


@pytest.mark.parametrize("name", ["kv-batch", "kv-batch-0.3-rc", "kv-batch-0.2", "embedded"])
def test_the_objects_of_a_component_are_immortal(name: str) -> None:
    component = (ROOT / "build" / f"{name}.wasm").read_bytes()
    assert immortal(component) == component  # it raises Unexpected if none are listed
