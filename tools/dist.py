"""Write `dist/`, the files of a release: `python -m tools.dist [URL]`, or `make dist`.

For each component of `build/` there are the component and a snippet for the manifest of an app, both named by
the version and by the `wasi:http` interface. Beside them are the wheel of `kv_batch` and `SHA256SUMS`.

The same components give the same bytes in `dist/`. Compiling the components again does not give the same
bytes (docs/install.md).

Arguments:
    URL: The address that the files will have. With it, the snippets name the component by its URL and digest;
        without it, by a file beside the manifest.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from tools.components import COMPONENTS, ROOT, Component, compiled
from tools.snippet import MANIFEST, Placement, app_variables, component_tables, quoted

DIST = ROOT / "dist"

SOURCE_DATE_EPOCH = "1451606400"
"""The time of the files in the wheel, unless the environment sets another: 2016-01-01, flit's own time for
the files that it adds."""


def write(directory: Path, url: str = "") -> list[Path]:
    """Write the files of a release.

    Args:
        directory: The directory, which is replaced.
        url: The address that the files will have; empty if they have none.

    Returns:
        The files.

    Raises:
        FileNotFoundError: a component has not been compiled.
        CalledProcessError: the wheel could not be built.
    """
    components = {each: compiled(each) for each in COMPONENTS}
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    for each, data in components.items():
        (directory / f"{name(each)}.wasm").write_bytes(data)
        text = snippet(each, hashlib.sha256(data).hexdigest(), url)
        (directory / f"{name(each)}.toml").write_text(text, encoding="utf-8")
    wheel(directory)
    files = sorted(directory.iterdir())
    sums = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    (directory / "SHA256SUMS").write_text(sums, encoding="utf-8")
    return [*files, directory / "SHA256SUMS"]


def version() -> str:
    """The version of this project."""
    found: str = tomllib.loads(MANIFEST.read_text(encoding="utf-8"))["application"]["version"]
    return found


def name(of: Component) -> str:
    """The name of a component's files in `dist/`, without the suffix."""
    return f"kv-batch-{version()}-{of.interface.replace(':', '-').replace('@', '-')}"


def snippet(of: Component, digest: str, url: str = "") -> str:
    """The text that adds a component to the manifest of an app.

    Args:
        of: The component.
        digest: The SHA-256 of the component, in hex.
        url: The address of the files; empty if they have none.
    """
    file = f"{name(of)}.wasm"
    source = quoted(file)
    if url:
        address = quoted(f"{url.rstrip('/')}/{file}")
        source = f"{{ url = {address}, digest = {quoted(f'sha256:{digest}')} }}"
    spin = ".".join(map(str, of.oldest))
    head = f"# kv-batch {version()} for Spin {spin} or later. Append this to the spin.toml of an app."
    placement = Placement("kv-batch", source, "/kv/...", prefix="kv_batch_")
    # A table for each: the app may have a table [variables] already.
    declared = "\n".join(
        f"[variables.{each.name}]\ndefault = {quoted(each.default)}\nsecret = true\n"
        for each in app_variables(placement)
    )
    return f"{head}\n\n{declared}\n{component_tables(placement)}"


def wheel(directory: Path) -> None:
    """Build the wheel of `kv_batch`. The same source gives the same bytes."""
    environment = {"SOURCE_DATE_EPOCH": SOURCE_DATE_EPOCH, **os.environ}
    command = [sys.executable, "-m", "flit_core.wheel", "--outdir", str(directory)]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.DEVNULL)


def main(arguments: Sequence[str]) -> int:
    """Write `dist/`. Returns the exit code."""
    try:
        files = write(DIST, *arguments[:1])
    except FileNotFoundError as error:
        print(f"make dist: {error.filename} is missing. Run make build", file=sys.stderr)
        return 1
    for file in files:
        print(f"{file.stat().st_size:>12,}  {file.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
