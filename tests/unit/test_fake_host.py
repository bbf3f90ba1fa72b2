"""The entry of WASI 0.3 on a host of the component model in memory (`tests/componentmodel`).

The mixes of requests are drawn from seeds: `SEED=n pytest tests/unit/test_fake_host.py` plays the mix of one
seed; MIXES=n plays so many. The host needs Python 3.12, as componentize-py's asyncio support does.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools.components import ROOT

CASES = [
    node.name
    for node in ast.parse((ROOT / "tests/componentmodel/cases.py").read_text()).body
    if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
]
MIXES = int(os.environ.get("MIXES", "400"))
CHUNK = 100


@pytest.fixture(scope="module")
def python() -> str:
    """An interpreter that can run the host: this one, or the newest on PATH."""
    if sys.version_info >= (3, 12):
        return sys.executable
    for minor in (14, 13, 12):
        found = shutil.which(f"python3.{minor}")
        # pyenv has all its names on PATH, and each works only if its version is chosen.
        if found and _in(found, "-c", "").returncode == 0:
            return found
    pytest.skip(f"NOT TESTED: no Python 3.12 or later is on PATH, and this is {sys.version.split()[0]}")


def run(python: str, *arguments: object) -> str:
    """Runs something on the host. Returns its failure; empty if there is none."""
    done = _in(python, "-m", "tests.componentmodel", *map(str, arguments))
    return (done.stderr or "it failed without a word") if done.returncode else ""


def _in(python: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    multipart = importlib.util.find_spec("multipart")  # all that the guest imports of others
    assert multipart is not None
    assert multipart.origin is not None
    environment = {
        "PYENV_VERSION": Path(python).name.removeprefix("python"),
        "PYTHONHASHSEED": "0",  # so that a seed gives the same run each time
        "PYTHONPATH": os.pathsep.join(
            (str(ROOT), str(ROOT / "bindings"), str(Path(multipart.origin).parent))
        ),
    }
    return subprocess.run(
        [python, *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.mark.parametrize("case", CASES)
def test_on_the_host(case: str, python: str) -> None:
    assert not (failure := run(python, case)), failure


def test_every_request_ends_in_time_and_leaves_nothing_behind(python: str) -> None:
    if seed := os.environ.get("SEED"):
        assert not (failure := run(python, seed, 1)), failure
        return
    firsts = range(0, MIXES, CHUNK)
    with ThreadPoolExecutor(2) as pool:
        for failure in pool.map(lambda first: run(python, first, min(CHUNK, MIXES - first)), firsts):
            assert not failure, failure
