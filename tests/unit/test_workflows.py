"""The workflows in `.github/workflows`, which GitHub runs."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest

from tools.components import COMPONENTS, ROOT

WORKFLOWS = {file.name: file.read_text() for file in sorted((ROOT / ".github/workflows").glob("*.yml"))}


def test_there_are_two() -> None:
    assert list(WORKFLOWS) == ["ci.yml", "release.yml"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_each_action_is_pinned_to_a_commit(name: str) -> None:
    uses = re.findall(r"uses: (.+)", WORKFLOWS[name])
    assert uses
    assert [each for each in uses if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", each)] == []


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_job_may_write_only_if_it_runs_nothing_of_the_project(name: str) -> None:
    head, jobs = WORKFLOWS[name].split("\njobs:\n")
    assert re.search(r"^permissions:(\n  contents: read| \{\})$", head, re.MULTILINE)
    for job in re.split(r"^(?=  \w+:\n)", jobs, flags=re.MULTILINE):
        if ": write" in job:
            assert not re.search(r"make |\.ci/run|python", job), job


def test_the_release_pushes_each_manifest() -> None:
    pushed = re.findall(r"spin registry push --from (\S+) ", WORKFLOWS["release.yml"])
    assert pushed == [each.manifest for each in COMPONENTS]


def test_actionlint_has_no_complaint() -> None:
    if shutil.which("actionlint") is None:
        pytest.skip("no actionlint on PATH")
    done = subprocess.run(["actionlint"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")
