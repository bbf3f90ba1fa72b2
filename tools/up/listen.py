"""The address that the gateway listens on."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket
from dataclasses import dataclass

from tools.up.errors import CannotServe

DEFAULT_LISTEN = "127.0.0.1:3000"


@dataclass(frozen=True)
class Listen:
    """The address of one listening socket.

    Attributes:
        host: An IP address, without brackets.
        port: 1 to 65535.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can reach it: 127.0.0.0/8 or ::1."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        """The URL for a client on this machine. No client can connect to a wildcard address."""
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - not bound
        return f"http://{Listen(reachable, self.port)}"


def parse_listen(text: str) -> Listen:
    """Parse `host:port` or `[IPv6]:port`.

    Raises:
        CannotServe: the text is neither, or the host name cannot be resolved.
    """
    match = re.fullmatch(r"(?:\[([^]]+)]|([^:\[\]]+)):([0-9]{1,5})", text)
    if match is None or not 1 <= int(match[3]) <= 65_535:
        raise CannotServe(f"LISTEN is {text!r}: use host:port, such as 127.0.0.1:3000 or [::1]:3000", 2)
    host, port = match[1] or match[2], int(match[3])
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CannotServe(f"LISTEN is {text!r}: cannot resolve {host} ({error})", 2) from error
    # The host gets the address, not the name, so that it binds the address that is checked here. Of several
    # addresses the first IPv4 one is used, as Spin does.
    addresses = [str(address[0]) for *_, address in sorted(found, key=lambda each: each[0] != socket.AF_INET)]
    return Listen(addresses[0], port)


def ensure_free(listen: Listen) -> None:
    """Check that the address can be bound, before minutes of building.

    Raises:
        CannotServe: the address cannot be bound.
    """
    try:
        bind(listen.host, listen.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = Listen(listen.host, free_port_after(listen))
            raise CannotServe(f"port {listen.port} on {listen.host} is in use: try LISTEN={other}") from error
        raise CannotServe(f"cannot listen on {listen}: {error.strerror}") from error


def bind(host: str, port: int) -> None:
    """Bind and listen as the host will, then release the address."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # Without this option a port stays in use for a minute after a gateway on it was stopped.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()


def free_port_after(listen: Listen) -> int:
    """The next port that can be bound, to suggest it. The next port at all if none of the next 100 can be."""
    following = range(listen.port + 1, min(listen.port + 101, 65_536))
    for port in following:
        try:
            bind(listen.host, port)
        except OSError:
            continue
        return port
    return following.start if following else listen.port - 1
