"""Serve kv-batch on this machine: what `make up` does.

It decides which host serves, refuses with one line what cannot work, builds the one component that the host
needs, says what it decided, and then becomes the host (`exec`): signals, the exit code and the terminal are
the host's own, and no process is left behind it.

It runs before anything is installed, so it uses the standard library alone.

Environment (make passes its own variables on):
    HOST: `spin` or `embedded`. Unless given, Spin where 4.1 or later is on PATH, else the embedded host.
    LISTEN: `host:port`, IPv6 as `[::1]:3000`. 127.0.0.1:3000 unless given.
    DATA: The directory of the store. `.spin` unless given, which is where Spin itself keeps it.
    SPIN_VARIABLE_*: The variables of spin.toml, from the environment or from a file `.env`, as with Spin.
    OPEN_TO_ALL: `yes` allows anonymous access on an address that other machines can reach.

Exit codes before the host runs: 2 for a setting that makes no sense, 1 for a machine that cannot do it.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

OLDEST_SPIN = (4, 1)
"""The first Spin with `wasi:http/handler@0.3.0`, which the component exports."""

SPIN_INSTALL = "https://spinframework.dev/v4/install"

DEFAULT_LISTEN = "127.0.0.1:3000"
DEFAULT_DATA = ".spin"

DATABASE = "sqlite_key_value.db"
"""What Spin calls the default store's file in its state directory; the embedded host follows it."""

SPIN_OPTIONS = ("--max-instance-reuse-count", "10000")
"""Spin would replace an instance after 128 requests. That costs speed, and where a store is gone, memory
(docs/decisions/0010-instances.md)."""

ANONYMOUS = "SPIN_VARIABLE_ANONYMOUS"
ALLOWED_HOSTS = "SPIN_VARIABLE_ALLOWED_HOSTS"
READ_TOKEN = "SPIN_VARIABLE_READ_TOKEN"  # noqa: S105 - a variable's name
WRITE_TOKEN = "SPIN_VARIABLE_WRITE_TOKEN"  # noqa: S105 - a variable's name

EXAMPLE_BODY = '{"pairs": [{"key": "greeting", "value": "hello"}]}'


class CannotServe(Exception):
    """The reason in one line, and the exit code."""

    def __init__(self, reason: str, exit_code: int = 1) -> None:
        super().__init__(reason)
        self.exit_code = exit_code


@dataclass(frozen=True)
class Spin:
    """What `spin` on PATH turned out to be.

    Attributes:
        path: Where it is; None where there is none.
        version: Its version, as it says; None where it said none.
        usable: Whether it can run the component.
    """

    path: str | None
    version: str | None = None
    usable: bool = False

    @property
    def complaint(self) -> str:
        """Why it is not usable, to be followed by a colon or a semicolon."""
        if self.path is None:
            return "no spin on PATH"
        if self.version is None:
            return f"{self.path} does not say that it is Spin (`spin --version`)"
        return f"spin {self.version} on PATH is older than 4.1"


@dataclass(frozen=True)
class Listen:
    """Where to listen: the address of one socket.

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
        """Whether this machine alone can reach it: 127.0.0.0/8 or ::1."""
        return ipaddress.ip_address(self.host).is_loopback

    @property
    def url(self) -> str:
        """Where a client on this machine reaches it: the wildcard addresses are none to connect to."""
        reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - not bound
        return f"http://{Listen(reachable, self.port)}"


@dataclass(frozen=True)
class Plan:
    """All that is decided before anything is built.

    Attributes:
        component: The file that the host runs, relative to the project: a target of the Makefile.
        command: The host with its arguments, to be run in the project's directory.
        environment: The host's environment.
        lines: What the user is told.
    """

    component: str
    command: list[str]
    environment: dict[str, str]
    lines: list[str]


def plan(environment: Mapping[str, str]) -> Plan:
    """Decide how to serve, and make sure that it can be done.

    Raises:
        CannotServe: with the reason.
    """
    variables = with_dotenv(environment, ROOT / ".env")
    listen = parse_listen(variables.get("LISTEN") or DEFAULT_LISTEN)
    spin = find_spin(variables.get("PATH"))
    host, why = choose_host(variables.get("HOST", ""), spin)
    anonymous, access = decide_access(listen, variables)
    ensure_free(listen)
    data = ensure_directory(Path(variables.get("DATA") or ROOT / DEFAULT_DATA).expanduser())

    variables[ANONYMOUS] = anonymous
    variables[ALLOWED_HOSTS] = allowed_hosts(listen, variables)
    if host == "spin":
        component = "build/kv-batch.wasm"
        # Not --quiet: it would hide what the component itself writes to stderr, which is its log.
        command = [str(spin.path), "up", "--from", "spin.toml"]
        command += ["--listen", str(listen), "--state-dir", str(data), *SPIN_OPTIONS]
    else:
        component = "build/embedded.wasm"
        command = [str(ROOT / ".venv/bin/python"), "-m", "embedded", "--manifest", "spin.toml"]
        command += ["--component", component, "--listen", str(listen), "--data", str(data)]
    return Plan(
        component=component,
        command=command,
        environment=variables,
        lines=[
            f"host:    {why}",
            f"data:    {where_data_lies(host, data, variables)}",
            f"access:  {access}",
            f"try:     {example(listen, anonymous, variables)}",
        ],
    )


# Which host


def find_spin(path: str | None) -> Spin:
    """Look for `spin` on PATH and ask it for its version.

    Args:
        path: The value of PATH; None stands for the default of the platform.
    """
    found = shutil.which("spin", path=path)
    if found is None:
        return Spin(None)
    found = str(Path(found).absolute())  # PATH may hold relative directories, and the host runs in another
    try:
        # Another program may have the name (there is a model checker): it may want input, or never end.
        answer = subprocess.run(
            [found, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return Spin(found)
    return Spin(found, *parse_spin_version(answer.stdout.decode(errors="replace")))


def parse_spin_version(answer: str) -> tuple[str | None, bool]:
    """What `spin --version` printed: the version, and whether it will do.

    A pre-release counts as its release: `spin 4.1.0-pre0 (94a8fc8a 2026-08-21)` is 4.1.
    """
    match = re.match(r"spin ((\d+)\.(\d+)\S*)", answer)
    if match is None:
        return None, False
    return match[1], (int(match[2]), int(match[3])) >= OLDEST_SPIN


def choose_host(asked: str, spin: Spin) -> tuple[str, str]:
    """The host, `spin` or `embedded`, and why it is that one.

    Raises:
        CannotServe: when the one asked for cannot be had.
    """
    if asked not in {"", "spin", "embedded"}:
        # Some shells (tcsh) and environments (conda) export a HOST of their own.
        raise CannotServe(f"HOST is {asked!r}: say HOST=spin or HOST=embedded", 2)
    if asked == "embedded":
        return "embedded", "embedded, as HOST says"
    if spin.usable:
        return "spin", f"Spin {spin.version} ({spin.path})"
    if asked == "spin":
        raise CannotServe(
            f"HOST=spin, but {spin.complaint}: install 4.1 or later ({SPIN_INSTALL}), or leave HOST out"
        )
    instead = "serving with the embedded host; for Spin itself install 4.1 or later"
    return "embedded", f"{spin.complaint}: {instead}: {SPIN_INSTALL}"


# Where it listens


def parse_listen(text: str) -> Listen:
    """Read `host:port` or `[IPv6]:port`.

    Raises:
        CannotServe: when it is neither, or when the name stands for no address.
    """
    match = re.fullmatch(r"(?:\[([^]]+)]|([^:\[\]]+)):([0-9]{1,5})", text)
    if match is None or not 1 <= int(match[3]) <= 65_535:
        raise CannotServe(f"LISTEN is {text!r}: say host:port, such as 127.0.0.1:3000 or [::1]:3000", 2)
    host, port = match[1] or match[2], int(match[3])
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CannotServe(f"LISTEN is {text!r}: {host} stands for no address ({error})", 2) from error
    # The address and not the name goes to the host, so that what is checked here is what it binds. Of several
    # the first IPv4 one, which is how Spin chooses.
    addresses = [str(address[0]) for *_, address in sorted(found, key=lambda each: each[0] != socket.AF_INET)]
    return Listen(addresses[0], port)


def ensure_free(listen: Listen) -> None:
    """Try the address, to say what is wrong with it before minutes of building, not after.

    Raises:
        CannotServe: when it cannot be bound.
    """
    try:
        bind(listen.host, listen.port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            other = Listen(listen.host, free_port_after(listen))
            raise CannotServe(f"port {listen.port} of {listen.host} is taken: try LISTEN={other}") from error
        raise CannotServe(f"cannot listen on {listen}: {error.strerror}") from error


def bind(host: str, port: int) -> None:
    """Bind and listen once, as the host will, and let go again."""
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # Without this a port counts as taken for a minute after a gateway on it was stopped.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(address)
        probe.listen()


def free_port_after(listen: Listen) -> int:
    """The next port that could be bound, for a suggestion; the very next where none of a hundred can."""
    following = range(listen.port + 1, min(listen.port + 101, 65_536))
    for port in following:
        try:
            bind(listen.host, port)
        except OSError:
            continue
        return port
    return following.start if following else listen.port - 1


# Who may do what


def decide_access(listen: Listen, variables: Mapping[str, str]) -> tuple[str, str]:
    """What a caller without a token may do (`none`, `read` or `write`), and a line that says so.

    The gateway itself is closed unless told otherwise. On the loopback this opens it, where the user has said
    nothing: nobody else can reach it. On any other address only the user can open it, and must say so twice.

    Raises:
        CannotServe: when it would be open to others without OPEN_TO_ALL=yes.
    """
    anonymous = variables.get(ANONYMOUS, "")
    has_token = bool(variables.get(READ_TOKEN) or variables.get(WRITE_TOKEN))
    if anonymous not in {"", "none", "read", "write"}:
        raise CannotServe(f"{ANONYMOUS} is {anonymous!r}: say none, read or write", 2)
    tokens = "with a token (SPIN_VARIABLE_READ_TOKEN, SPIN_VARIABLE_WRITE_TOKEN)"
    if anonymous in {"", "none"}:
        if has_token:
            return "none", f"{tokens} only"
        if anonymous == "" and listen.is_loopback:
            return (
                "write",
                f"open to every program of this machine, to no page of another site ({listen.host})",
            )
        return "none", f"closed: every request is answered 401 until there is a token; set {WRITE_TOKEN}"
    if listen.is_loopback:
        return anonymous, f"anyone on this machine may {anonymous}, as {ANONYMOUS} says"
    if variables.get("OPEN_TO_ALL") != "yes":
        raise CannotServe(
            f"{ANONYMOUS}={anonymous} would let everyone who reaches {listen} {anonymous}: "
            f"set {WRITE_TOKEN} instead, or add OPEN_TO_ALL=yes if that is what you want",
            2,
        )
    return anonymous, f"anyone who reaches {listen} may {anonymous}, as OPEN_TO_ALL=yes allows"


def allowed_hosts(listen: Listen, variables: Mapping[str, str]) -> str:
    """The names by which a caller without a token may address the gateway; empty for any.

    On the loopback these are the names of the loopback, unless the user has said otherwise. A page that has
    its own name resolved to the loopback (DNS rebinding) addresses the gateway by that name.
    """
    if ALLOWED_HOSTS in variables or not listen.is_loopback:
        return variables.get(ALLOWED_HOSTS, "")
    address = f"[{listen.host}]" if ":" in listen.host else listen.host
    return ", ".join(dict.fromkeys(["localhost", "127.0.0.1", "[::1]", address]))


def with_dotenv(environment: Mapping[str, str], file: Path) -> dict[str, str]:
    """The environment, and the SPIN_VARIABLE_* of a file `.env` where it has none of that name.

    Spin reads that file itself. Read here it counts for the embedded host as well, and for what is decided
    about access: a token that stands only there must not leave the gateway open.
    """
    variables = dict(environment)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return variables
    except (OSError, UnicodeDecodeError) as error:
        raise CannotServe(f"cannot read {file}: {error}") from error
    lines = re.finditer(
        r"""^\s*(?:export\s+)?(?P<name>SPIN_VARIABLE_\w+)[ \t]*=[ \t]*"""
        r"""(?:'(?P<single>[^'\n]*)'|"(?P<double>[^"\n]*)"|(?P<bare>[^\s#]\S*|))""",
        text,
        re.MULTILINE,
    )
    written = {line["name"]: line["single"] or line["double"] or line["bare"] or "" for line in lines}
    return written | variables


# Where the data lies


def ensure_directory(data: Path) -> Path:
    """Make the data directory where it is missing, and make sure that the host can write there.

    Raises:
        CannotServe: when it is no directory or cannot be written.
    """
    data = data.absolute()
    try:
        data.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=data):
            pass
        if (data / DATABASE).exists():
            with (data / DATABASE).open("r+b"):
                pass
    except (FileExistsError, NotADirectoryError) as error:
        raise CannotServe(f"DATA is {data}, which is not a directory") from error
    except OSError as error:
        raise CannotServe(f"DATA is {data}, where nothing can be written: {error.strerror}") from error
    return data


def where_data_lies(host: str, data: Path, variables: Mapping[str, str]) -> str:
    """A line for the user. Spin's runtime configuration may put the store elsewhere."""
    runtime_config = variables.get("RUNTIME_CONFIG_FILE")
    if host == "spin" and runtime_config:
        return f"{data / DATABASE}, unless {runtime_config} says otherwise"
    return str(data / DATABASE)


def example(listen: Listen, anonymous: str, variables: Mapping[str, str]) -> str:
    """A line of shell that works with this gateway as it is. It names a token's variable, never the token."""
    token = WRITE_TOKEN if variables.get(WRITE_TOKEN) else READ_TOKEN if variables.get(READ_TOKEN) else ""
    writes = anonymous == "write" or token == WRITE_TOKEN
    bearer = f'-H "Authorization: Bearer ${token}" ' if token and anonymous != "write" else ""
    if writes:
        return f"curl --json '{EXAMPLE_BODY}' {bearer}{listen.url}/v1/default/set-many"
    return f"curl {bearer}'{listen.url}/v1/default?key=greeting'"


# Doing it


def build(component: str, environment: Mapping[str, str]) -> None:
    """Have make build the component, which does nothing where it is built.

    Raises:
        CannotServe: when it could not be built; make has said why.
    """
    # This is no sub-make to the make that started us: its job slots are not handed down through Python.
    own = {name: value for name, value in environment.items() if not name.startswith(("MAKE", "MFLAGS"))}
    make = environment.get("MAKE", "make")
    try:
        done = subprocess.run([make, "-s", component], cwd=ROOT, env=own, check=False)
    except FileNotFoundError as error:
        raise CannotServe("there is no make on PATH, which builds what is served") from error
    if done.returncode != 0:
        raise CannotServe(f"{component} could not be built", done.returncode)


def main() -> int:
    """Serve until a signal comes. Returns only where it cannot."""
    try:
        decided = plan(os.environ)
        build(decided.component, os.environ)
    except CannotServe as refusal:
        print(f"make up: {refusal}", file=sys.stderr)
        return refusal.exit_code
    except KeyboardInterrupt:
        return 130
    print("\n".join(decided.lines), flush=True)
    os.chdir(ROOT)
    try:
        os.execve(decided.command[0], decided.command, decided.environment)  # noqa: S606 - no shell is wanted
    except OSError as error:
        print(f"make up: cannot run {decided.command[0]}: {error.strerror}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
