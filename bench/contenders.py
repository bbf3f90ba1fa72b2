"""What `bench/compare.py` compares: kv-batch, and its peers in `bench/peers/`, each as a running server.

| peer | what it is |
| --- | --- |
| hello | the SDK's hello: an answer that costs nothing |
| bare | the least guest in Python that makes the host calls of kv-batch, and checks nothing |
| calls | the host calls of kv-batch and no other work: its bodies are parsed once, its answers made once |
| straight | *calls* with all that a get-many of JSON promises: checks, answer, line of the log |
| plain | what a Python user of Spin writes first: one call a key |
| javascript | the same in JavaScript, by Spin's own toolchain for it; its components are for WASI 0.2 |
| webdis | Webdis, an HTTP server in C over Redis, without Spin |
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.backends.engines import Engine, running
from tests.servers import free_port, serving
from tools.components import ROOT, SPIN_OPTIONS
from tools.immortal import immortal
from tools.up.data import DATABASE, write_ahead

BUILT = ROOT / "build" / "bench"
_SDK = ["-w", "spin:up/http-trigger@4.1.0"]
_SERVICE = ["-d", str(ROOT / "wit"), "-w", "kv-batch:gateway/service@1.0.0"]
WORLDS = {
    "hello": _SDK,
    "plain": _SDK,
    "bare": _SERVICE,
    "calls": _SERVICE,
    "straight": _SERVICE,
    "stream": _SERVICE,
    "bulk": _SERVICE,
}
"""The guests in Python of `bench/peers/`, and the options that name their worlds."""

SETTLED = ("calls", "straight", "bulk")
"""The guests that show what is possible: they have the snapshot of kv-batch too (`guests/snapshot.py`)."""

GUESTS = {**dict.fromkeys(WORLDS, ".py"), "javascript": ""}
"""All guests of `bench/peers/`, and how the name of their source ends."""

MANIFEST = """
spin_manifest_version = 2
application = {{ name = "{name}", version = "1.0.0" }}
[[trigger.http]]
route = "/..."
component = "{name}"
[component.{name}]
source = "{name}.wasm"
key_value_stores = ["default"]
"""

Pairs = Mapping[str, str]


@dataclass(frozen=True)
class Operation:
    """One request of a row, without the store that it goes to.

    Attributes:
        name: "get-many", "set-many", "delete-many" or "hello".
        pairs: The keys with their values.
    """

    name: str
    pairs: Pairs

    def json(self) -> bytes:
        """The body of kv-batch's API."""
        if self.name == "hello":
            return b""
        if self.name == "set-many":
            pairs = [{"key": key, "value": value} for key, value in self.pairs.items()]
            return json.dumps({"pairs": pairs}).encode()
        return json.dumps({"keys": list(self.pairs)}).encode()


@dataclass(frozen=True)
class Contender:
    """A running server.

    Attributes:
        url: Its address.
        asked: Gives the path and the body of an operation.
        values: Gives the values of a get-many from its answer, in order.
    """

    url: str
    asked: Callable[[Operation], tuple[str, bytes]]
    values: Callable[[bytes], list[str]]


def _json_asked(operation: Operation) -> tuple[str, bytes]:
    return f"/v1/default/{operation.name}", operation.json()


def _json_values(answer: bytes) -> list[str]:
    return [pair["value"] for pair in json.loads(answer)["pairs"]]


def _webdis_asked(operation: Operation) -> tuple[str, bytes]:
    match operation.name:
        case "get-many":
            words = ["MGET", *operation.pairs]
        case "set-many":
            words = ["MSET", *(word for pair in operation.pairs.items() for word in pair)]
        case _:
            words = ["DEL", *operation.pairs]
    return "/", "/".join(words).encode()


def _webdis_values(answer: bytes) -> list[str]:
    values: list[str] = json.loads(answer).get("MGET", [])
    return values


def why_not(name: str, engine: str) -> str | None:
    """Why this machine or this engine has no such contender; None if it has."""
    if name == "javascript" and shutil.which("npm") is None:
        return "no npm on PATH (Debian: apt install npm)"
    if name == "webdis":
        if "Redis" not in engine:
            return "Webdis is for Redis"
        if shutil.which("webdis") is None:
            return "no webdis on PATH (Debian: apt install webdis)"
    return None


@contextmanager
def contender(name: str, engine: Engine, data: Path) -> Iterator[Contender]:
    """Runs a contender over an engine.

    Args:
        name: A peer, or a host of `tests.servers.SPINS`, which means kv-batch on it.
        engine: The running engine.
        data: A new directory for its files.
    """
    data.mkdir(parents=True)
    if name == "webdis":
        yield from _webdis(engine, data)
        return
    options = list(SPIN_OPTIONS)
    if engine.runtime_config:
        config = data / "runtime-config.toml"
        config.write_text(engine.runtime_config)
        options += ["--runtime-config-file", str(config)]
    else:
        write_ahead(data / DATABASE)  # as `make up` does
    is_peer = name in GUESTS
    with serving(
        "spin" if is_peer else name,
        data,
        *(options if is_peer or name != "spin-0.2" else options[2:]),
        manifest=str(compiled(name)) if is_peer else None,
        extra_environment=engine.environment,
        max_keys="100000",
        max_body_bytes="300000000",
        max_answer_bytes="300000000",
    ) as server:
        yield Contender(server.url, _json_asked, _json_values)


def _webdis(engine: Engine, data: Path) -> Iterator[Contender]:
    port = free_port()
    config = {
        "redis_host": "127.0.0.1",
        "redis_port": engine.port,
        "http_host": "127.0.0.1",
        "http_port": port,
        "threads": 2,
        "pool_size": 4,
        "http_max_request_size": 128 * 1024 * 1024,
        "verbosity": 0,
        "logfile": str(data / "webdis.log"),
    }
    file = data / "webdis.json"
    file.write_text(json.dumps(config))
    with running(["webdis", str(file)], port, data / "output.log"):
        yield Contender(f"http://127.0.0.1:{port}", _webdis_asked, _webdis_values)


def compiled(name: str) -> Path:
    """Compiles a guest of `bench/peers/` if it has changed. Returns the path of its manifest."""
    place = BUILT / name
    component, manifest = place / f"{name}.wasm", place / "spin.toml"
    source = ROOT / "bench" / "peers" / f"{name}{GUESTS[name]}"
    files = [file for file in source.rglob("*") if file.is_file()]
    if not files:
        files = [*source.parent.glob("*.py"), *(ROOT / "guests").glob("*.py"), ROOT / "tools" / "immortal.py"]
    if component.exists() and all(component.stat().st_mtime > file.stat().st_mtime for file in files):
        return manifest
    place.mkdir(parents=True, exist_ok=True)
    if name == "javascript":
        _compile_javascript(source, component)
    else:
        _compile_python(source, component)
    manifest.write_text(MANIFEST.format(name=name))
    return manifest


def _compile_python(source: Path, component: Path) -> None:
    run = "import componentize_py, sys; sys.exit(componentize_py.script())"
    command = [sys.executable, "-c", run, "-q", *WORLDS[source.stem], "componentize"]
    subprocess.run(
        [*command, "-p", str(source.parent), "-p", str(ROOT), source.stem, "-o", str(component)],
        env={**os.environ, "VIRTUAL_ENV": sys.prefix},
        check=True,
    )
    if source.stem in SETTLED:
        component.write_bytes(immortal(component.read_bytes()))


def _compile_javascript(source: Path, component: Path) -> None:
    """Compiles in a copy, since npm writes beside its files."""
    copy = component.parent
    shutil.copytree(source, copy, dirs_exist_ok=True)
    npm = ["npm", "--no-audit", "--no-fund", "--silent"]
    subprocess.run([*npm, "ci"], cwd=copy, check=True)
    # j2w reports an error by what it prints, not by its exit code.
    subprocess.run([*npm, "exec", "--", "j2w", "-i", "index.js", "-o", component.name], cwd=copy, check=True)
    if not component.exists():
        raise RuntimeError("j2w has made no component")
