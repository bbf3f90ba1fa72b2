"""The ways into an app, as docs/install.md shows them: with a real `spin`, and a registry on the loopback."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.backends.engines import running
from tests.servers import START_SECONDS, free_port, why_not
from tests.transcripts import transcript
from tools import dist, template
from tools.components import COMPONENTS, ROOT, Component, compiled, component_for

DOCUMENT = (ROOT / "docs/install.md").read_text()

SHOP = """\
spin_manifest_version = 2

[application]
name = "shop"
version = "1.0.0"

[variables]
write_token = { default = "of the shop" }

[[trigger.http]]
id = "hello"
route = "/hello"
static_response = { body = "hello" }
"""
"""An app with a route and a variable of its own."""

OCI = "registry.example"
"""The registry in the document. The tests replace it."""


def section(title: str) -> list[tuple[str, str]]:
    """The commands under a heading of the document, each with its output."""
    (text,) = re.findall(rf"^##+ {title}\n(.*?)(?=^##|\Z)", DOCUMENT, re.DOTALL | re.MULTILINE)
    return transcript(text)


@dataclass
class Shell:
    """Runs the commands of the document, with files and a port of the test.

    Attributes:
        directory: The directory that they run in.
        root: The directory for Spin's templates, its cache and its log.
        registry: The address of the registry that stands for the one in the document.
        port: The port of the running app.
        path: The value of PATH.
    """

    directory: Path
    root: Path
    registry: str = ""
    port: int = field(default_factory=free_port)
    path: str = os.environ.get("PATH", os.defpath)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SPIN_")}
        return {**kept, "PATH": self.path, "SPIN_DATA_DIR": str(self.root / "spin")}

    def run(self, steps: list[tuple[str, str]]) -> None:
        """Runs commands, and compares what they print. `spin up` runs until the last one has ended."""
        with ExitStack() as stack:
            for command, output in steps:
                if "spin up" in command:
                    stack.enter_context(self.up(command))
                    continue
                done = subprocess.run(
                    ["bash", "-c", self.here(command)],
                    cwd=self.directory,
                    env=self.environment,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    text=True,
                    timeout=60,
                    check=False,
                )
                assert done.returncode == 0, (command, done.stdout, done.stderr)
                if "registry push" not in command:  # it prints a digest
                    assert (command, done.stdout) == (command, output)

    def here(self, command: str) -> str:
        """A command of the document, for this test."""
        command = command.replace("curl ", "curl -sS ").replace("127.0.0.1:3000", f"127.0.0.1:{self.port}")
        if OCI in command:
            command = command.replace(OCI, self.registry)
            command += f" --insecure --cache-dir {self.root / 'registry-cache'}"
        return command

    @contextmanager
    def up(self, command: str) -> Iterator[None]:
        """Runs `spin up`, and waits until the app answers."""
        log = self.root / "up.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                ["bash", "-c", f"{self.here(command)} --listen 127.0.0.1:{self.port}"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            self._wait(process, log)
            yield
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(30)

    def _wait(self, process: subprocess.Popen[bytes], log: Path) -> None:
        end = time.monotonic() + START_SECONDS
        while process.poll() is None and time.monotonic() < end:
            try:
                httpx.get(f"http://127.0.0.1:{self.port}", timeout=5)
            except httpx.TransportError:
                time.sleep(0.05)
            else:
                return
        raise RuntimeError(f"spin up does not answer:\n{log.read_text(errors='replace')}")


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    if missing := why_not("spin"):
        pytest.skip(f"spin: {missing}")
    if shutil.which("curl") is None:
        pytest.skip("no curl on PATH")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/spin.toml").write_text(SHOP)
    return Shell(tmp_path / "shop", tmp_path)


@pytest.fixture
def shell_with_registry(shell: Shell) -> Iterator[Shell]:
    """The shell, with an OCI registry on the loopback."""
    if shutil.which("docker-registry") is None:
        pytest.skip("no docker-registry on PATH")
    port = free_port()
    config = shell.root / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {shell.root / 'registry'}\n"
        f"http:\n  addr: 127.0.0.1:{port}\n"
    )
    with running(["docker-registry", "serve", str(config)], port, shell.root / "registry.log"):
        shell.registry = f"127.0.0.1:{port}"
        yield shell


def install(shell: Shell, component: Component) -> None:
    """Installs the template with a component."""
    template.write(shell.root / "build/template", component)
    command = ["spin", "templates", "install", "--dir", str(shell.root / "build/template"), "--upgrade"]
    subprocess.run(command, env=shell.environment, check=True, capture_output=True)


def test_a_new_app(shell: Shell) -> None:
    install(shell, template.choose("")[0])
    shell.run(section("A new app"))
    assert (shell.directory / "my-kv/.spin/sqlite_key_value.db").exists()


@pytest.mark.parametrize("component", COMPONENTS, ids=[each.interface for each in COMPONENTS])
def test_an_app_that_exists(component: Component, shell: Shell) -> None:
    install(shell, component)
    add, (up, _), *requests = section("An app that exists")
    shell.run([add])
    assert 'write_token = { default = "of the shop" }' in (shell.directory / "spin.toml").read_text()
    assert (shell.directory / "kv/kv-batch.wasm").read_bytes() == compiled(component)
    base = f"http://127.0.0.1:{shell.port}"
    with shell.up(up):
        shell.run(requests)
        assert httpx.get(f"{base}/hello").text == "hello"
        assert httpx.get(f"{base}/internal/kv/openapi.json").status_code == 200
        assert httpx.get(f"{base}/internal/kv/v1/default?key=a").status_code == 200
        assert httpx.get(f"{base}/v1/default?key=a").status_code == 404
        pairs = {"pairs": [{"key": "a", "value": "2"}]}
        assert httpx.post(f"{base}/internal/kv/v1/default/set-many", json=pairs).status_code == 403
        token = {"authorization": "Bearer of the shop"}
        assert httpx.get(f"{base}/internal/kv/v1/default?key=a", headers=token).status_code == 401


@pytest.mark.parametrize(("variable", "version"), [("SPIN_4_0", "4.0"), ("SPIN_3", "3.0")])
def test_the_template_on_an_older_spin(variable: str, version: str, shell: Shell) -> None:
    """With the component for this Spin."""
    if variable not in os.environ:
        pytest.skip(f"{variable} names no spin {version}")
    (shell.root / "older").mkdir()
    (shell.root / "older/spin").symlink_to(os.environ[variable])
    shell.path = f"{shell.root / 'older'}{os.pathsep}{shell.path}"
    install(shell, component_for(version))
    shell.run(section("A new app"))
    shell.run(section("An app that exists"))


def test_two_gateways_in_one_app(shell: Shell) -> None:
    """Each has a route and tokens of its own."""
    install(shell, COMPONENTS[0])
    add = "spin add -t kv-batch {0} --accept-defaults --value route=/{0}"
    shell.run([(add.format("one"), ""), (add.format("my-other"), "")])
    with shell.up("SPIN_VARIABLE_ONE_READ_TOKEN=1 SPIN_VARIABLE_MY_OTHER_READ_TOKEN=2 spin up"):
        statuses = {
            (route, token): httpx.get(
                f"http://127.0.0.1:{shell.port}/{route}/v1/default?key=a",
                headers={"authorization": f"Bearer {token}"},
            ).status_code
            for route in ("one", "my-other")
            for token in ("1", "2")
        }
    assert statuses == {("one", "1"): 200, ("one", "2"): 401, ("my-other", "1"): 401, ("my-other", "2"): 200}


def test_another_store_is_served_under_its_label(shell: Shell) -> None:
    install(shell, COMPONENTS[0])
    (shell.directory / "stores.toml").write_text(
        '[key_value_store.cache]\ntype = "spin"\npath = "cache.db"\n'
    )
    values = "--value store=cache --value anonymous=read"
    shell.run([(f"spin new -t kv-batch my-kv --init --allow-overwrite --accept-defaults {values}", "")])
    with shell.up("spin up --runtime-config-file stores.toml"):
        base = f"http://127.0.0.1:{shell.port}/v1"
        assert httpx.get(f"{base}/cache?key=a").json() == {"pairs": [{"key": "a", "value": None}]}
        assert httpx.get(f"{base}/default?key=a").status_code in {403, 404}


@pytest.mark.parametrize(
    "value", ['route=/a"b', "route=kv", "store=Default", "store=a b", "anonymous=write", "unknown=1"]
)
def test_a_value_that_no_manifest_can_have_is_refused(value: str, shell: Shell) -> None:
    install(shell, COMPONENTS[0])
    command = ["spin", "add", "-t", "kv-batch", "kv", "--accept-defaults", "--value", value]
    done = subprocess.run(
        command, cwd=shell.directory, env=shell.environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "invalid according to the template" in done.stderr
    assert (shell.directory / "spin.toml").read_text() == SHOP


def test_the_files_of_a_release(shell: Shell) -> None:
    dist.write(shell.root / "dist")
    shell.run(section("From the files of a release"))


def test_a_component_is_downloaded_from_its_address(shell: Shell) -> None:
    files = shell.root / "dist"
    port = free_port()
    dist.write(files, f"http://127.0.0.1:{port}")
    with (shell.directory / "spin.toml").open("a") as manifest:
        manifest.write((files / f"{dist.name(COMPONENTS[0])}.toml").read_text())
    server = [sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1"]
    server += ["--directory", str(files)]
    with (
        running(server, port, shell.root / "server.log"),
        shell.up(f"spin up --cache-dir {shell.root / 'cache'}"),
    ):
        assert httpx.get(f"http://127.0.0.1:{shell.port}/kv/v1/default?key=a").status_code == 401
    assert ".wasm HTTP" in (shell.root / "server.log").read_text()


def test_an_app_goes_through_a_registry(shell_with_registry: Shell) -> None:
    shell = shell_with_registry
    dist.write(shell.root / "dist")
    shell.run(section("From the files of a release")[:3])
    push, *steps = section("Through an OCI registry")
    shell.run([push])
    # From here on, only the registry has the app.
    shutil.rmtree(shell.directory)
    shell.directory.mkdir()
    shell.run(steps)
    assert list((shell.directory / "data").glob("*.db"))


@pytest.mark.parametrize("component", COMPONENTS, ids=[each.interface for each in COMPONENTS])
def test_the_manifests_of_this_project_go_through_a_registry(
    component: Component, shell_with_registry: Shell
) -> None:
    shell = shell_with_registry
    shell.run([(f"spin registry push --from {ROOT / component.manifest} {OCI}/kv-batch:1", "")])
    with shell.up(f"spin up --from {OCI}/kv-batch:1"):
        assert httpx.get(f"http://127.0.0.1:{shell.port}/v1/default?key=a").status_code == 401


# Without spin


def test_the_same_components_give_the_same_files(tmp_path: Path) -> None:
    first, second = dist.write(tmp_path / "first"), dist.write(tmp_path / "second")
    assert [file.name for file in first] == [file.name for file in second]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes(), one.name


def test_the_checksums_name_every_file(tmp_path: Path) -> None:
    files = dist.write(tmp_path)
    named = {line.split("  ")[1] for line in (tmp_path / "SHA256SUMS").read_text().splitlines()}
    assert named | {"SHA256SUMS"} == {file.name for file in files}
    components = [file for file in files if file.suffix == ".wasm"]
    assert {file.read_bytes() for file in components} == {compiled(each) for each in COMPONENTS}
    (wheel,) = (file for file in files if file.suffix == ".whl")
    with zipfile.ZipFile(wheel) as archive:
        assert "kv_batch/batch.py" in archive.namelist()
    if shutil.which("sha256sum") is None:
        pytest.skip("no sha256sum on PATH")
    command = ["sha256sum", "--check", "SHA256SUMS"]
    check = subprocess.run(command, cwd=tmp_path, capture_output=True, check=False)
    assert check.returncode == 0, check.stdout
