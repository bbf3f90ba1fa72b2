"""Real proxies for the tests: nginx and Caddy, with the configurations in `deploy/`."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers import free_port
from tools.components import ROOT

PROXIES = {"nginx": "nginx.conf", "caddy": "Caddyfile"}
"""The name of each program, and its file in `deploy/`."""

LISTENS, UPSTREAM = ":8080", ":3000"
"""The ports in the files. The tests replace them."""

NEW_IN_CADDY = "enable_full_duplex"
"""A setting that Caddy before 2.8 does not have. Such a Caddy also forwards a cut answer as complete."""


def program(name: str) -> str | None:
    """The path of the program; None if this machine does not have it. Debian's nginx is in /usr/sbin."""
    return shutil.which(name, path=os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin"]))


def is_old_caddy(name: str) -> bool:
    """Whether a proxy is a Caddy that `deploy/Caddyfile` does not support: Debian 12 has 2.6.2."""
    found = program(name)
    if name != "caddy" or found is None:
        return False
    file = str(ROOT / "deploy" / PROXIES[name])
    command = [found, "adapt", "--adapter", "caddyfile", "--config", file]
    return NEW_IN_CADDY in subprocess.run(command, capture_output=True, text=True, check=False).stderr


@contextmanager
def proxy(name: str, upstream: int, directory: Path, second: int = 0) -> Iterator[int]:
    """Runs a proxy in front of a gateway, and yields the proxy's port.

    Args:
        name: A key of PROXIES.
        upstream: The port of the gateway.
        directory: The directory for the proxy's files.
        second: The port of a second replica of the gateway, behind nginx; 0 for none.
    """
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    text = (ROOT / "deploy" / PROXIES[name]).read_text()
    for old, new in (LISTENS, f":{port}"), (UPSTREAM, f":{upstream}"):
        assert old in text
        text = text.replace(old, new)
    if second:
        text = text.replace(
            f"server 127.0.0.1:{upstream};", f"server 127.0.0.1:{upstream}; server 127.0.0.1:{second};"
        )
    if is_old_caddy(name):
        text = text.replace(NEW_IN_CADDY, "")
    found = program(name)
    assert found is not None
    if name == "nginx":
        # The defaults of nginx for these files are writable only by root.
        text = f"daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log; {text}"
        text = text.replace("http {", "http {\n    access_log off;", 1)
        command = [found, "-p", str(directory), "-e", str(directory / "error.log"), "-c"]
    else:
        command = [found, "run", "--adapter", "caddyfile", "--config"]
    file = directory / PROXIES[name]
    file.write_text(text)
    with (directory / "proxy.log").open("wb") as log:
        environment = os.environ | {"XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
        process = subprocess.Popen(
            [*command, str(file)], stdout=log, stderr=log, env=environment, start_new_session=True
        )
    try:
        _wait(process, port, directory)
        yield port
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(20)


def _wait(process: subprocess.Popen[bytes], port: int, directory: Path) -> None:
    end = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < end:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError((directory / "proxy.log").read_text())
