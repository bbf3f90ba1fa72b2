"""toxiproxy: the network between Spin and an engine, as far away, as slow and as unreliable as a test says.

It is a Go module, built once where `go` is there. Everything listens on the loopback.
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
from tests.servers import ROOT, free_port
from tests.servers import why_not as why_no_host

VERSION = "2.5.0"
MODULE = f"github.com/Shopify/toxiproxy/v2/cmd/server@v{VERSION}"
BUILT = ROOT / "build" / f"toxiproxy-{VERSION}" / "server"


def why_not() -> str | None:
    """Why nothing can be far away on this machine; None where it can be, or where that must be tried."""
    if BUILT.exists() or shutil.which("go"):
        return None
    return "no go on PATH to build toxiproxy with"


@functools.cache
def why_not_built() -> str | None:
    """The same, and builds toxiproxy where that was not done before."""
    missing = why_not()
    if missing or BUILT.exists():
        return missing
    environment = {**os.environ, "GOBIN": str(BUILT.parent)}
    command = ["go", "install", MODULE]
    made = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    said = made.stderr.strip().splitlines()[-1:]
    return None if made.returncode == 0 else f"go cannot build toxiproxy: {''.join(said)}"


def why_not_away(name: str) -> str | None:
    """Why this machine cannot run Spin over an engine of that name that is away; None where it can."""
    return why_no_host("spin") or why_no_engine(name) or why_not_built()


@dataclass(frozen=True)
class Link:
    """The link between Spin and one engine.

    Attributes:
        port: Where Spin reaches the engine through it.
    """

    port: int
    _api: httpx.Client

    def distance(self, round_trip: float) -> None:
        """Sets the round trip, in seconds: half of it each way."""
        for stream in ("upstream", "downstream"):
            self._remove(f"latency_{stream}")
            if round_trip:
                self._add("latency", stream, latency=round(round_trip * 500))

    @contextmanager
    def slow(self, kilobytes: int) -> Iterator[None]:
        """Lets through so many KB a second, each way."""
        for stream in ("upstream", "downstream"):
            self._add("bandwidth", stream, rate=kilobytes)
        try:
            yield
        finally:
            for stream in ("upstream", "downstream"):
                self._remove(f"bandwidth_{stream}")

    @contextmanager
    def stalled(self) -> Iterator[None]:
        """Nothing comes through; what was sent comes at the end. No connection is closed."""
        # The toxic `timeout` would drop what is sent, which no network does within a connection.
        for stream in ("upstream", "downstream"):
            self._add("latency", stream, name=f"stall_{stream}", latency=3_600_000)
        try:
            yield
        finally:
            for stream in ("upstream", "downstream"):
                self._remove(f"stall_{stream}")

    @contextmanager
    def cut_after(self, count: int) -> Iterator[None]:
        """Each connection is closed when so many further bytes of answers have come."""
        self._add("limit_data", "downstream", bytes=count)
        try:
            yield
        finally:
            self._remove("limit_data_downstream")

    @contextmanager
    def reset_after(self, seconds: float) -> Iterator[None]:
        """Each connection is reset (RST) after so long; until then, no answer comes."""
        self._add("reset_peer", "downstream", timeout=round(seconds * 1_000))
        try:
            yield
        finally:
            self._remove("reset_peer_downstream")

    def _add(self, kind: str, stream: str, name: str = "", **attributes: int) -> None:
        toxic = {"name": name or f"{kind}_{stream}", "type": kind, "stream": stream, "attributes": attributes}
        self._api.post("/toxics", json=toxic).raise_for_status()

    def _remove(self, name: str) -> None:
        answer = self._api.delete(f"/toxics/{name}")
        if answer.status_code != 404:
            answer.raise_for_status()


@contextmanager
def network(engine: Engine, data: Path, round_trip: float = 0) -> Iterator[tuple[Link, Engine]]:
    """A link to an engine, and that engine as Spin reaches it through the link.

    Args:
        engine: What is at its other end.
        data: A directory for the log of toxiproxy.
        round_trip: In seconds.
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
