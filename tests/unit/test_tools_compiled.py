"""What the programs that change a compiled component do alike."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from types import ModuleType

import pytest

from tools import compiled, immortal, mend

PROGRAMS = pytest.mark.parametrize("program", [mend, immortal])


@PROGRAMS
def test_a_version_that_is_not_known_is_not_changed(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "some.wasm"
    file.write_bytes(b"as it was")
    monkeypatch.setattr(compiled, "version", lambda _: "99.0")
    monkeypatch.setattr("sys.argv", ["program", str(file)])
    assert program.main() == 1
    assert "componentize-py is 99.0" in capsys.readouterr().err
    assert file.read_bytes() == b"as it was"


@PROGRAMS
def test_the_version_that_is_installed_is_known(program: ModuleType) -> None:
    assert version("componentize-py") in program.KNOWN


@PROGRAMS
def test_a_file_that_is_no_component_is_left_alone(
    program: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "some.wasm"
    file.write_bytes(b"no component of WebAssembly")
    monkeypatch.setattr("sys.argv", ["program", str(file)])
    assert program.main() == 1
    assert f"{file}: " in capsys.readouterr().err
    assert file.read_bytes() == b"no component of WebAssembly"
