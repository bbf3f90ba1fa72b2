"""Serve the embedded component: `python -m embedded --listen 127.0.0.1:3000 --data .spin`.

It reads the same parts of `spin.toml` as Spin: the variables with their defaults, and the stores that the
component may open.
"""

from __future__ import annotations

import argparse
import os
import re
import signal
import socket
import sqlite3
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import uvicorn
from wasmtime import WasmtimeError

from embedded.component import Component
from embedded.protocol import Protocol
from embedded.server import Application
from embedded.store import FILE, BlockingBucket, Database, SqliteBucket

COMPONENT = "kv-batch"
"""The name of the component in the manifest."""

GRACE_SECONDS = 5
"""Seconds that requests in progress may take after the host was told to stop."""


class StartError(Exception):
    """The host cannot serve. The message has the reason in one line."""


@dataclass(frozen=True)
class Manifest:
    """The parts of the manifest that this host uses.

    Attributes:
        stores: The labels of the stores that the component may open.
        config: The variables of the component, with their current values.
    """

    stores: frozenset[str]
    config: dict[str, str]

    @classmethod
    def read(cls, file: Path, environment: Mapping[str, str]) -> Manifest:
        """Reads the manifest. SPIN_VARIABLE_NAME in the environment overrides the default of a variable.

        Raises:
            StartError: the file is missing, is not TOML, or does not have the component.
        """
        try:
            content = tomllib.loads(file.read_text(encoding="utf-8"))
            component = content["component"][COMPONENT]
        except (OSError, ValueError, KeyError) as error:
            raise StartError(f"cannot use the manifest {file}: {error!r}") from error
        variables = {
            name: environment.get(f"SPIN_VARIABLE_{name.upper()}", declared.get("default", ""))
            for name, declared in content.get("variables", {}).items()
        }

        def resolved(template: str) -> str:
            return re.sub(r"\{\{\s*(\w+)\s*}}", lambda found: variables.get(found[1], ""), template)

        return cls(
            stores=frozenset(component.get("key_value_stores", [])),
            config={name: resolved(value) for name, value in component.get("variables", {}).items()},
        )


@dataclass(frozen=True)
class GrantedStores:
    """The stores of the database, as far as the manifest grants them."""

    database: Database
    granted: frozenset[str]

    def open(self, label: str) -> BlockingBucket | None:
        return SqliteBucket(self.database, label) if label in self.granted else None


class Server(uvicorn.Server):
    """A server that prints its URL when it serves, and prints nothing when it stops."""

    def __init__(self, config: uvicorn.Config, url: str) -> None:
        super().__init__(config)
        self._url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"Serving {self._url}", flush=True)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        # uvicorn would raise the signal again at its end, but a requested stop is not a failure.
        del frame
        if self.should_exit:
            os._exit(128 + sig)  # the second signal stops at once; SQLite's journal keeps the store intact
        self.should_exit = True


def bound(address: str) -> socket.socket:
    """A socket that listens on `host:port`. An IPv6 host is written as `[…]`. Port 0 selects a free port.

    Raises:
        StartError: the address is malformed or cannot be bound.
    """
    host, _, port = address.rpartition(":")
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65_535:
        raise StartError(f"cannot listen on {address!r}: use host:port, such as 127.0.0.1:3000")
    try:
        found = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_STREAM)
        family, kind, protocol, _, name = found[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(name)
        listener.listen(1_024)
    except OSError as error:
        raise StartError(f"cannot listen on {address}: {error}") from error
    return listener


def serve(arguments: argparse.Namespace) -> None:
    """Serves until a signal arrives.

    Raises:
        StartError: the manifest, the address, the store or the component cannot be used.
    """
    manifest = Manifest.read(arguments.manifest, os.environ)
    listener = bound(arguments.listen)
    file = arguments.data / FILE
    try:
        arguments.data.mkdir(parents=True, exist_ok=True)
        database = Database(file)
    except (OSError, sqlite3.Error) as error:
        raise StartError(f"cannot open the store {file}: {error}") from error
    try:
        component = Component(arguments.component, manifest.config, GrantedStores(database, manifest.stores))
    except (OSError, WasmtimeError) as error:
        reason = str(error).partition("\n")[0]  # Wasmtime's message has many lines
        raise StartError(f"cannot load the component {arguments.component}: {reason}") from error
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    application = Application(component)
    config = uvicorn.Config(
        application,
        http=Protocol,
        ws="none",
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        h11_max_incomplete_event_size=128 * 1024,  # the head of a request: about Spin's limit
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    Server(config, url).run(sockets=[listener])
    if application.answering:
        # A component that computes cannot be interrupted, and Python would wait for its thread.
        print("kv-batch: stopped before all requests were answered", file=sys.stderr, flush=True)
        os._exit(0)
    database.close()


def main() -> int:
    """Runs the host. Returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m embedded", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument("--listen", default="127.0.0.1:3000", metavar="HOST:PORT")
    parser.add_argument("--data", default=".spin", type=Path, metavar="DIR", help=f"directory of {FILE}")
    parser.add_argument("--component", default="build/embedded.wasm", type=Path, metavar="FILE")
    parser.add_argument("--manifest", default="spin.toml", type=Path, metavar="FILE")
    # Until the server handles signals: compiling would delay Python's own handler for seconds.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        serve(parser.parse_args())
    except StartError as refusal:
        print(f"kv-batch: {refusal}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
