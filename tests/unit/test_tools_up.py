"""The decisions of `make up` and the lines that it prints: host, address, access, and refusals."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest

from tools.components import COMPONENTS, ROOT, Component
from tools.up.access import (
    ALLOWED_HOSTS,
    ANONYMOUS,
    READ_TOKEN,
    WRITE_TOKEN,
    allowed_hosts,
    decide_access,
    with_dotenv,
)
from tools.up.data import DATABASE, ensure_directory, write_ahead
from tools.up.errors import CannotServe
from tools.up.host import Spin, choose_host, find_spin
from tools.up.listen import Listen, ensure_free, parse_listen
from tools.up.plan import example

INSTALL = "https://spinframework.dev/v4/install"
V4_HOST = Listen("127.0.0.1", 3000)
V6_HOST = Listen("::1", 3000)
OPEN = Listen("0.0.0.0", 3000)


def fake_spin(directory: Path, script: str) -> str:
    """A PATH whose first directory has a `spin`: this shell script."""
    directory.mkdir(exist_ok=True)
    spin = directory / "spin"
    spin.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    spin.chmod(0o755)
    return f"{directory}{os.pathsep}{os.defpath}"


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that is in use."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


# Which host

NEWEST, CANDIDATE, OLDEST = COMPONENTS
VERSIONS = [
    ("spin 4.1.0 (94a8fc8a 2026-08-21)", "4.1.0", NEWEST),
    ("spin 4.1.0-pre0 (94a8fc8a 2026-08-21)", "4.1.0-pre0", NEWEST),
    ("spin 4.10.2 (94a8fc8a 2026-08-21)", "4.10.2", NEWEST),
    ("spin 5.0.0", "5.0.0", NEWEST),
    ("spin 4.0.0 (94a8fc8a 2026-03-01)", "4.0.0", CANDIDATE),
    ("spin 3.6.9 (94a8fc8a 2026-03-01)", "3.6.9", OLDEST),
    ("spin 3.0.0 (94a8fc8a 2024-11-01)", "3.0.0", OLDEST),
    ("spin 2.7.0 (a111517 2024-07-30)", "2.7.0", None),
    ("Spin Version 6.5.2 -- 6 December 2019", None, None),  # the model checker
    ("a spin 4.1.0", None, None),
    ("", None, None),
]


@pytest.mark.parametrize(("printed", "version", "component"), VERSIONS)
def test_the_version_is_what_spin_prints(
    tmp_path: Path, printed: str, version: str | None, component: Component | None
) -> None:
    path = fake_spin(tmp_path, f"echo '{printed}'")

    assert find_spin(path) == Spin(str(tmp_path / "spin"), version, component)


def test_a_spin_that_is_no_program_or_fails_names_no_version(tmp_path: Path) -> None:
    path = fake_spin(tmp_path, "echo 'spin 4' >&2; exit 3")
    assert find_spin(path) == Spin(str(tmp_path / "spin"))

    (tmp_path / "spin").write_bytes(b"\x7fELF\xff")
    assert find_spin(path) == Spin(str(tmp_path / "spin"))


def test_a_spin_that_waits_for_input_gets_none(tmp_path: Path) -> None:
    assert find_spin(fake_spin(tmp_path, "read line; echo spin 4.1.0")).component


def test_without_a_spin_there_is_none(tmp_path: Path) -> None:
    (tmp_path / "spin").write_text("not executable", encoding="utf-8")

    assert find_spin(str(tmp_path)) == Spin(None)


NO_SPIN = Spin(None)
OLD_SPIN = Spin("/bin/spin", "2.7.0")
OTHER_SPIN = Spin("/bin/spin")
GOOD_SPIN = Spin("/bin/spin", "4.1.0", NEWEST)
SPIN_3 = Spin("/bin/spin", "3.6.3", OLDEST)

INSTEAD = f"To serve with Spin, install it: {INSTALL}"
HOSTS = [
    ("", GOOD_SPIN, "spin", "Spin 4.1.0 (/bin/spin), with the component for wasi:http@0.3.0"),
    ("spin", GOOD_SPIN, "spin", "Spin 4.1.0 (/bin/spin), with the component for wasi:http@0.3.0"),
    ("", SPIN_3, "spin", "Spin 3.6.3 (/bin/spin), with the component for wasi:http@0.2.0"),
    ("embedded", GOOD_SPIN, "embedded", "embedded (HOST=embedded)"),
    ("embedded", NO_SPIN, "embedded", "embedded (HOST=embedded)"),
    ("", NO_SPIN, "embedded", f"embedded, because there is no spin on PATH. {INSTEAD}"),
    ("", OLD_SPIN, "embedded", f"embedded, because spin 2.7.0 on PATH is older than 3.0. {INSTEAD}"),
    (
        "",
        OTHER_SPIN,
        "embedded",
        f"embedded, because `/bin/spin --version` reports no version of Spin. {INSTEAD}",
    ),
]


@pytest.mark.parametrize(("asked", "spin", "host", "why"), HOSTS)
def test_the_host_is_the_one_asked_for_or_spin_where_it_is_or_the_embedded_one(
    asked: str, spin: Spin, host: str, why: str
) -> None:
    assert choose_host(asked, spin) == (host, why)


REFUSED_HOSTS = [
    (
        "spin",
        NO_SPIN,
        1,
        f"HOST=spin, but there is no spin on PATH. Install Spin 3.0 or later ({INSTALL}), or unset HOST",
    ),
    ("spin", OLD_SPIN, 1, "HOST=spin, but spin 2.7.0 on PATH is older than 3.0. Install Spin 3.0 or later"),
    ("spin", OTHER_SPIN, 1, "HOST=spin, but `/bin/spin --version` reports no version of Spin"),
    ("Spin", GOOD_SPIN, 2, "HOST is 'Spin': use HOST=spin or HOST=embedded"),
    ("my-laptop", GOOD_SPIN, 2, "HOST is 'my-laptop': use HOST=spin or HOST=embedded"),
]


@pytest.mark.parametrize(("asked", "spin", "exit_code", "message"), REFUSED_HOSTS)
def test_a_host_that_cannot_be_had_is_refused(asked: str, spin: Spin, exit_code: int, message: str) -> None:
    with pytest.raises(CannotServe) as refusal:
        choose_host(asked, spin)

    assert str(refusal.value).startswith(message)
    assert refusal.value.exit_code == exit_code


# Where it listens

ADDRESSES = [
    ("127.0.0.1:3000", "127.0.0.1:3000", "http://127.0.0.1:3000", True),
    ("127.9.9.9:80", "127.9.9.9:80", "http://127.9.9.9:80", True),
    ("[::1]:3000", "[::1]:3000", "http://[::1]:3000", True),
    ("localhost:3000", "127.0.0.1:3000", "http://127.0.0.1:3000", True),
    ("0.0.0.0:3000", "0.0.0.0:3000", "http://127.0.0.1:3000", False),
    ("[::]:3000", "[::]:3000", "http://[::1]:3000", False),
    ("192.0.2.1:65535", "192.0.2.1:65535", "http://192.0.2.1:65535", False),
    ("[2001:db8::1]:1", "[2001:db8::1]:1", "http://[2001:db8::1]:1", False),
]


@pytest.mark.parametrize(("text", "listen", "url", "is_loopback"), ADDRESSES)
def test_listen_is_an_address_and_a_port(text: str, listen: str, url: str, is_loopback: bool) -> None:
    parsed = parse_listen(text)

    assert (str(parsed), parsed.url, parsed.is_loopback) == (listen, url, is_loopback)


@pytest.mark.parametrize(
    "text",
    ["3000", ":3000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:http",
     "127.0.0.1:-1", "127.0.0.1:٣", "127.0.0.1:3000 ", "http://127.0.0.1:3000", "::1:3000", "[::1]",
     "[::1:3000", "[]:3000", f"{'a' * 70}.example:3000", "[not an address]:3000"],
)  # fmt: skip
def test_any_other_listen_is_refused(text: str) -> None:
    with pytest.raises(CannotServe) as refusal:
        parse_listen(text)

    assert str(refusal.value).startswith(f"LISTEN is {text!r}: ")
    assert refusal.value.exit_code == 2


def test_a_taken_port_is_named_with_one_that_is_free(taken: int) -> None:
    with pytest.raises(CannotServe) as refusal:
        ensure_free(Listen("127.0.0.1", taken))

    said, other = str(refusal.value).split(": try LISTEN=")
    assert said == f"port {taken} on 127.0.0.1 is in use"
    ensure_free(parse_listen(other))


def test_an_address_of_another_machine_is_refused() -> None:
    with pytest.raises(CannotServe, match=r"cannot listen on 192\.0\.2\.1:3000: "):
        ensure_free(Listen("192.0.2.1", 3000))


def test_a_port_just_left_is_free_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            server.accept()[0].close()  # the server's side closes first, and so keeps the port waiting
            client.recv(1)

    ensure_free(Listen("127.0.0.1", port))


# Who may do what

READ, WRITE = {READ_TOKEN: "r-secret"}, {WRITE_TOKEN: "w-secret"}


def anonymous(scope: str) -> dict[str, str]:
    return {ANONYMOUS: scope}


ACCESS: list[tuple[Listen, Mapping[str, str], str, str]] = [
    (
        V4_HOST,
        {},
        "write",
        "open to every program on this machine, but not to pages of other sites (127.0.0.1)",
    ),
    (V6_HOST, {}, "write", "open to every program on this machine, but not to pages of other sites (::1)"),
    (
        V4_HOST,
        anonymous(""),
        "write",
        "open to every program on this machine, but not to pages of other sites (127.0.0.1)",
    ),
    (V4_HOST, anonymous("none"), "none", "closed: every request is answered with 401 until a token is set"),
    (V4_HOST, anonymous("read"), "read", "anyone on this machine may read (SPIN_VARIABLE_ANONYMOUS=read)"),
    (V4_HOST, READ, "none", "only with a token"),
    (V4_HOST, WRITE, "none", "only with a token"),
    (V4_HOST, {READ_TOKEN: "", WRITE_TOKEN: ""}, "write", "open to every program on this machine"),
    (V4_HOST, WRITE | anonymous("read"), "read", "anyone on this machine may read"),
    (
        OPEN,
        {},
        "none",
        "closed: every request is answered with 401 until a token is set (SPIN_VARIABLE_WRITE_TOKEN)",
    ),
    (OPEN, WRITE, "none", "only with a token"),
    (OPEN, anonymous("none"), "none", "closed"),
    (OPEN, {"OPEN_TO_ALL": "yes"}, "none", "closed"),
    (OPEN, anonymous("read") | {"OPEN_TO_ALL": "yes"}, "read", "anyone who can reach 0.0.0.0:3000 may read"),
    (
        OPEN,
        anonymous("write") | {"OPEN_TO_ALL": "yes"},
        "write",
        "anyone who can reach 0.0.0.0:3000 may write",
    ),
]


@pytest.mark.parametrize(("listen", "variables", "scope", "line"), ACCESS)
def test_only_the_loopback_is_open_by_itself(
    listen: Listen, variables: Mapping[str, str], scope: str, line: str
) -> None:
    decided, said = decide_access(listen, variables)

    assert decided == scope
    assert said.startswith(line)


@pytest.mark.parametrize(
    ("listen", "variables", "message"),
    [
        (OPEN, anonymous("write"), "would let anyone who can reach 0.0.0.0:3000 write"),
        (OPEN, anonymous("read") | WRITE, "would let anyone who can reach 0.0.0.0:3000 read"),
        (OPEN, anonymous("read") | {"OPEN_TO_ALL": "no"}, "add OPEN_TO_ALL=yes if you want that"),
        (V4_HOST, anonymous("all"), "SPIN_VARIABLE_ANONYMOUS is 'all': use none, read or write"),
    ],
)
def test_opening_it_to_others_takes_a_second_word(
    listen: Listen, variables: Mapping[str, str], message: str
) -> None:
    with pytest.raises(CannotServe) as refusal:
        decide_access(listen, variables)

    assert message in str(refusal.value)
    assert refusal.value.exit_code == 2


NAMES: list[tuple[Listen, Mapping[str, str], str]] = [
    (V4_HOST, {}, "localhost, 127.0.0.1, [::1]"),
    (V6_HOST, {}, "localhost, 127.0.0.1, [::1]"),
    (Listen("127.0.0.2", 3000), {}, "localhost, 127.0.0.1, [::1], 127.0.0.2"),
    (V4_HOST, {ALLOWED_HOSTS: "kv.internal"}, "kv.internal"),
    (V4_HOST, {ALLOWED_HOSTS: ""}, ""),
    (OPEN, {}, ""),
    (OPEN, {ALLOWED_HOSTS: "kv.example"}, "kv.example"),
]


@pytest.mark.parametrize(("listen", "variables", "hosts"), NAMES)
def test_the_loopback_answers_to_its_own_names(
    listen: Listen, variables: Mapping[str, str], hosts: str
) -> None:
    assert allowed_hosts(listen, variables) == hosts


DOTENV = """\
# SPIN_VARIABLE_ANONYMOUS=write
SPIN_VARIABLE_READ_TOKEN=plain#with-a-hash  # and a comment
export SPIN_VARIABLE_WRITE_TOKEN = "with space"
SPIN_VARIABLE_MAX_KEYS='7'
SPIN_VARIABLE_EMPTY=
OTHER=1
"""


def test_the_variables_of_a_dotenv_count_and_the_environment_wins(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(DOTENV, encoding="utf-8")

    assert with_dotenv({"SPIN_VARIABLE_MAX_KEYS": "9", "A": "b"}, tmp_path / ".env") == {
        "A": "b",
        "SPIN_VARIABLE_READ_TOKEN": "plain#with-a-hash",
        "SPIN_VARIABLE_WRITE_TOKEN": "with space",
        "SPIN_VARIABLE_MAX_KEYS": "9",
        "SPIN_VARIABLE_EMPTY": "",
    }
    assert with_dotenv({"A": "b"}, tmp_path / "none") == {"A": "b"}


JSON = '{"pairs": [{"key": "greeting", "value": "hello"}]}'
BEARER_WRITE = '-H "Authorization: Bearer $SPIN_VARIABLE_WRITE_TOKEN"'
BEARER_READ = '-H "Authorization: Bearer $SPIN_VARIABLE_READ_TOKEN"'
STORE = "http://127.0.0.1:3000/v1/default"
EXAMPLES = [
    ("write", {}, f"curl --json '{JSON}' {STORE}/set-many"),
    ("write", WRITE, f"curl --json '{JSON}' {STORE}/set-many"),
    ("none", WRITE, f"curl --json '{JSON}' {BEARER_WRITE} {STORE}/set-many"),
    ("read", WRITE, f"curl --json '{JSON}' {BEARER_WRITE} {STORE}/set-many"),
    ("none", READ, f"curl {BEARER_READ} '{STORE}?key=greeting'"),
    ("read", {}, f"curl '{STORE}?key=greeting'"),
    ("none", {}, f"curl '{STORE}?key=greeting'"),
]


@pytest.mark.parametrize(("scope", "variables", "line"), EXAMPLES)
def test_the_example_works_as_the_gateway_is_and_shows_no_token(
    scope: str, variables: Mapping[str, str], line: str
) -> None:
    assert example(V4_HOST, scope, variables) == line


# Where the data lies


def test_the_directory_is_made(tmp_path: Path) -> None:
    assert ensure_directory(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize("data", ["file", "file/below"])
def test_a_file_is_no_directory(tmp_path: Path, data: str) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(CannotServe, match="which is not a directory"):
        ensure_directory(tmp_path / data)


def test_a_directory_that_cannot_be_written_is_refused() -> None:
    # Nobody may write there, not even root, who may write to a directory whatever its permissions.
    if not Path("/proc/self").is_dir():
        pytest.skip("needs a file system that nobody can write to: /proc")
    with pytest.raises(CannotServe, match="DATA is /proc/kv-batch, which is not writable"):
        ensure_directory(Path("/proc/kv-batch"))


def journal_mode(file: Path) -> str:
    with closing(sqlite3.connect(file)) as connection:
        return str(connection.execute("PRAGMA journal_mode").fetchone()[0])


def test_a_store_keeps_its_pairs_and_gets_a_write_ahead_log(tmp_path: Path) -> None:
    file = tmp_path / DATABASE
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE spin_key_value (store, key, value)")
        connection.execute("INSERT INTO spin_key_value VALUES ('default', 'a', x'01')")
    assert journal_mode(file) == "delete"
    write_ahead(file)
    assert journal_mode(file) == "wal"
    with closing(sqlite3.connect(file)) as connection:
        assert connection.execute("SELECT * FROM spin_key_value").fetchall() == [("default", "a", b"\x01")]


def test_a_store_that_is_locked_keeps_its_mode(tmp_path: Path) -> None:
    file = tmp_path / DATABASE
    with closing(sqlite3.connect(file, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.execute("BEGIN EXCLUSIVE")
        write_ahead(file)
    assert journal_mode(file) == "delete"


def test_a_file_that_is_no_database_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"something else" * 100)
    write_ahead(tmp_path / DATABASE)
    assert (tmp_path / DATABASE).read_bytes() == b"something else" * 100


# The whole program. The fake Spin prints its arguments, the fake make its target.


def run_up(
    tmp_path: Path, *, spin: str = "", make: str = 'echo "make $*"', **variables: str
) -> subprocess.CompletedProcess[str]:
    (tmp_path / "make").write_text(f"#!/bin/sh\n{make}\n", encoding="utf-8")
    (tmp_path / "make").chmod(0o755)
    path = fake_spin(tmp_path / "bin", spin) if spin else os.defpath
    environment = {
        "PATH": path,
        "MAKE": str(tmp_path / "make"),
        "MAKEFLAGS": "-j8 --jobserver-auth=3,4",
        "LISTEN": f"127.0.0.1:{free_port()}",
        "DATA": str(tmp_path / "data"),
    }
    return subprocess.run(
        [sys.executable, "-m", "tools.up"],
        cwd=ROOT,
        env=environment | variables,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


SPIN_41 = """\
if [ "$1" = --version ]; then echo 'spin 4.1.0-pre0 (94a8fc8a 2026-08-21)'; exit; fi
echo "spin $*"; echo "anonymous=$SPIN_VARIABLE_ANONYMOUS"; echo "hosts=$SPIN_VARIABLE_ALLOWED_HOSTS"
echo 'useful' >&2; exit 7"""


REUSE = "--max-instance-reuse-count 10000"


def test_it_builds_what_spin_needs_and_becomes_spin(tmp_path: Path) -> None:
    port = free_port()
    done = run_up(
        tmp_path, spin=SPIN_41, make='echo "make $*, flags $MAKEFLAGS."', LISTEN=f"localhost:{port}"
    )

    assert done.stdout.splitlines() == [
        "make -s build/kv-batch.wasm, flags .",
        f"host:    Spin 4.1.0-pre0 ({tmp_path}/bin/spin), with the component for wasi:http@0.3.0",
        f"data:    {tmp_path}/data/sqlite_key_value.db",
        "access:  open to every program on this machine, but not to pages of other sites (127.0.0.1)",
        f"try:     curl --json '{JSON}' http://127.0.0.1:{port}/v1/default/set-many",
        f"spin up --from spin.toml --listen 127.0.0.1:{port} --state-dir {tmp_path}/data {REUSE}",
        "anonymous=write",
        "hosts=localhost, 127.0.0.1, [::1]",
    ]
    assert done.stderr == "useful\n"
    assert done.returncode == 7, "the exit code is the host's own"
    assert journal_mode(tmp_path / "data" / DATABASE) == "wal"


def test_it_builds_what_an_older_spin_needs(tmp_path: Path) -> None:
    port = free_port()
    done = run_up(
        tmp_path,
        spin=SPIN_41.replace("4.1.0-pre0", "4.0.2"),
        make='echo "make $*"',
        LISTEN=f"127.0.0.1:{port}",
    )
    assert "make -s build/kv-batch-0.3-rc.wasm" in done.stdout
    started = (
        f"spin up --from deploy/spin-4.0.toml --listen 127.0.0.1:{port} --state-dir {tmp_path}/data {REUSE}"
    )
    assert started in done.stdout.splitlines()


def test_what_spin_reads_of_its_own_settings_is_mentioned(tmp_path: Path) -> None:
    done = run_up(tmp_path, spin=SPIN_41, RUNTIME_CONFIG_FILE="redis.toml")

    assert "sqlite_key_value.db, unless redis.toml configures another store" in done.stdout
    assert not (tmp_path / "data" / DATABASE).exists()


def test_a_token_stays_out_of_what_is_printed(tmp_path: Path) -> None:
    done = run_up(tmp_path, spin=SPIN_41, **WRITE)

    assert "anonymous=none" in done.stdout
    assert "w-secret" not in done.stdout + done.stderr


ONE_LINE = [
    ({"HOST": "spin"}, 1, "make up: HOST=spin, but there is no spin on PATH"),
    ({"HOST": "both"}, 2, "make up: HOST is 'both'"),
    ({"LISTEN": "3000"}, 2, "make up: LISTEN is '3000'"),
    ({"DATA": str(Path(__file__))}, 1, f"make up: DATA is {Path(__file__)}, which is not a directory"),
    ({"LISTEN": "0.0.0.0:3000", ANONYMOUS: "read"}, 2, "make up: SPIN_VARIABLE_ANONYMOUS=read would let"),
    ({"MAKE": "/nowhere/make"}, 1, "make up: there is no make on PATH"),
]


@pytest.mark.parametrize(("variables", "exit_code", "message"), ONE_LINE)
def test_what_cannot_be_is_said_in_one_line_before_anything_is_built(
    tmp_path: Path, variables: dict[str, str], exit_code: int, message: str
) -> None:
    done = run_up(tmp_path, **variables)

    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1
    assert (done.returncode, done.stdout) == (exit_code, "")


def test_a_taken_port_is_said_in_one_line(tmp_path: Path, taken: int) -> None:
    done = run_up(tmp_path, LISTEN=f"127.0.0.1:{taken}")

    assert done.stderr.startswith(f"make up: port {taken} on 127.0.0.1 is in use: try LISTEN=127.0.0.1:")
    assert (done.returncode, done.stdout) == (1, "")


def test_a_failed_build_ends_it(tmp_path: Path) -> None:
    done = run_up(tmp_path, make="echo 'no compiler' >&2; exit 2", HOST="embedded")

    assert done.stderr == "no compiler\nmake up: build/embedded.wasm could not be built\n"
    assert (done.returncode, done.stdout) == (2, "")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_host_itself(tmp_path: Path, sent: signal.Signals) -> None:
    """There is only one process, so none can stay behind."""
    spin = f"""\
if [ "$1" = --version ]; then echo 'spin 4.1.0'; exit; fi
trap 'echo stopped; exit 0' {sent.name.removeprefix("SIG")}
echo "pid $$"
while :; do sleep 0.05; done"""
    (tmp_path / "make").symlink_to("/bin/true")
    with subprocess.Popen(
        [sys.executable, "-m", "tools.up"],
        cwd=ROOT,
        env={
            "PATH": fake_spin(tmp_path / "bin", spin),
            "MAKE": str(tmp_path / "make"),
            "LISTEN": f"127.0.0.1:{free_port()}",
            "DATA": str(tmp_path / "data"),
        },
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        while not (line := process.stdout.readline()).startswith("pid "):
            assert line, "it ended early"
        process.send_signal(sent)
        assert process.stdout.read() == "stopped\n"

    assert line == f"pid {process.pid}\n"
    assert process.returncode == 0
