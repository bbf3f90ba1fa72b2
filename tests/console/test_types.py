"""The modules of the console pass TypeScript's checker (`npm install --global typescript`)."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from tools.components import ROOT


def test_the_modules_have_no_type_error() -> None:
    if shutil.which("tsc") is None:
        pytest.skip("no tsc on PATH: the types of the console were not checked")
    command = ["tsc", "--project", "gateway/console/jsconfig.json"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "")
