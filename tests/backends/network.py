"""toxiproxy: a network between Spin and an engine, with the latency, bandwidth and faults that a test sets.

It is a Go module, which is built once on machines with `go`. Everything listens on the loopback.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from tests.backends.engines import Engine, running
from tests.backends.engines import why_not as why_no_engine
from tests.servers import free_port
from tests.servers import why_not as why_no_host
from tools.components import ROOT

VERSION = "2.5.0"
MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{VERSION}"
BUILT = ROOT / "build" / f"toxiproxy-{VERSION}" / "server"


def why_not() -> str | None:
    """Why this machine has no toxiproxy and cannot build it; None if it has it or may be able to build it."""
    if BUILT.exists() or shutil.which("go"):
        return None
    return "no go on PATH to build toxiproxy with"


@functools.cache
def why_not_built() -> str | None:
    """The same, but builds toxiproxy if it was not built before. None if it is there."""
    missing = why_not()
    if missing or BUILT.exists():
        return missing
    environment = {**os.environ, "GOBIN": str(BUILT.parent)}
    command = ["go", "install", MODULE]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    said = made.stderr.strip().splitlines()[-1:]
    return None if made.returncode == 0 else f"go cannot build toxiproxy: {''.join(said)}"


def why_not_away(name: str) -> str | None:
    """Why this machine cannot run Spin over a distant engine with that name; None if it can."""
    return why_no_host("spin") or why_no_engine(name) or why_not_built()


@dataclass(frozen=True)
class Link:
    """The link between Spin and one engine.

    Attributes:
        port: The port by which Spin reaches the engine through the link.
    """

    port: int
    _api: httpx.Client

    def distance(self, round_trip: float) -> None:
        """Sets the round trip time in seconds. Each direction gets half of it."""
        for stream in ("upstream", "downstream"):
            self._remove(f"latency_{stream}")
            if round_trip:
                self._add("latency", stream, latency=round(round_trip * 500))

    @contextmanager
    def slow(self, kilobytes: int) -> Iterator[None]:
        """Limits the bandwidth in each direction, in KB per second."""
        for stream in ("upstream", "downstream"):
            self._add("bandwidth", stream, rate=kilobytes)
        try:
            yield
        finally:
            for stream in ("upstream", "downstream"):
                self._remove(f"bandwidth_{stream}")

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Delivers data only at the end of the block, and closes no connection."""
        # The toxic `timeout` would drop data, which no network does within a connection.
        for stream in ("upstream", "downstream"):
            self._add("latency", stream, name=f"stall_{stream}", latency=3_600_000)
        try:
            yield
        finally:
            for stream in ("upstream", "downstream"):
                self._remove(f"stall_{stream}")

    @contextmanager
    def cut_after(self, count: int) -> Iterator[None]:
        """Closes each connection after this number of further bytes of answers."""
        self._add("limit_data", "downstream", bytes=count)
        try:
            yield
        finally:
            self._remove("limit_data_downstream")
            self._close()

    @contextmanager
    def reset_after(self, seconds: float) -> Iterator[None]:
        """Resets each connection (RST) after this time. No answer arrives before."""
        self._add("reset_peer", "downstream", timeout=round(seconds * 1_000))
        try:
            yield
        finally:
            self._remove("reset_peer_downstream")
            self._close()

    def _close(self) -> None:
        """Closes all connections.

        Rarely, a connection that toxiproxy was about to cut when the fault ended stays open and silent.
        """
        proxy = str(self._api.base_url).rstrip("/")
        for enabled in False, True:
            self._api.post(proxy, json={"enabled": enabled}).raise_for_status()

    def _add(self, kind: str, stream: str, name: str = "", **attributes: int) -> None:
        toxic = {"name": name or f"{kind}_{stream}", "type": kind, "stream": stream, "attributes": attributes}
        self._api.post("/toxics", json=toxic).raise_for_status()

    def _remove(self, name: str) -> None:
        answer = self._api.delete(f"/toxics/{name}")
        if answer.status_code != 404:
            answer.raise_for_status()


@contextmanager
def network(engine: Engine, data: Path, round_trip: float = 0) -> Iterator[tuple[Link, Engine]]:
    """Runs toxiproxy. Yields a link to an engine, and that engine as Spin reaches it through the link.

    Args:
        engine: The engine at the other end.
        data: A directory for the log of toxiproxy.
        round_trip: The round trip time in seconds.
    """
    if missing := why_not_built():
        raise RuntimeError(missing)
    api_port, port = free_port(), free_port()
    command = [str(BUILT), "-host", "127.0.0.1", "-port", str(api_port)]
    proxies = f"http://127.0.0.1:{api_port}/proxies"
    proxy = {"name": str(port), "listen": f"127.0.0.1:{port}", "upstream": f"127.0.0.1:{engine.port}"}
    with running(command, api_port, data / "toxiproxy.log"):
        httpx.post(proxies, json=proxy).raise_for_status()
        with httpx.Client(base_url=f"{proxies}/{port}", timeout=30) as api:
            link = Link(port, api)
            link.distance(round_trip)
            yield link, _through(engine, port)


def _through(engine: Engine, port: int) -> Engine:
    def moved(text: str) -> str:
        return text.replace(f"127.0.0.1:{engine.port}", f"127.0.0.1:{port}")

    environment: Mapping[str, str] = {name: moved(value) for name, value in engine.environment.items()}
    return replace(engine, runtime_config=moved(engine.runtime_config), environment=environment)
