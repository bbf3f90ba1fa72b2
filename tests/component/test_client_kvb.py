"""The command `kvb` (clients/python) against both hosts."""

from __future__ import annotations

import fcntl
import gzip
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest

from kv_batch_client import Store, __version__
from tests.conftest import FIGURES
from tests.servers import Server, free_port, serving
from tests.transcripts import blocks, run
from tools.components import ROOT

RUN_ON = ("embedded", "spin")

README = (ROOT / "clients/python/README.md").read_text()

PAIRS = int(os.environ.get("PAIRS", "100000"))
"""The pairs that are copied while the gateways are killed. `PAIRS=1000000` by hand."""

DOWN_SECONDS = 2
"""The time after which a killed gateway is started again."""


def kvb(*arguments: str, stdin: bytes = b"", **variables: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "kv_batch_client", *arguments],
        input=stdin,
        capture_output=True,
        env=_environment(**variables),
        check=False,
        timeout=600,
    )


def _environment(**variables: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("KVB_")}
    return own | {"PYTHONPATH": str(ROOT / "clients/python"), **variables}


def test_a_person_sets_reads_lists_and_deletes(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    every = bytes(range(256))
    (tmp_path / "bin").write_bytes(every)

    def run(*arguments: str, stdin: bytes = b"") -> tuple[int, bytes]:
        done = kvb(*arguments, stdin=stdin, KVB_URL=server.url)
        assert b"Traceback" not in done.stderr
        return done.returncode, done.stdout

    assert run("set", "a=1=1", "b", f"@{tmp_path}/bin", "ü", "text") == (0, b"")
    assert run("set", "c", "-", stdin=b"from stdin") == (0, b"")
    assert run("get", "a", "c", "ü") == (0, b"1=1\nfrom stdin\ntext\n")
    assert run("get", "--raw", "b") == (0, every)
    code, out = run("get", "--json", "a", "no")
    assert (code, [json.loads(line)["value"] for line in out.splitlines()]) == (1, ["1=1", None])
    assert run("get", "--keys-file", "-", stdin=b"c\na\n") == (0, b"from stdin\n1=1\n")
    assert run("keys") == (0, "a\nb\nc\nü\n".encode())
    assert run("delete", "--prefix", "a")[0] == 6  # it must ask, and cannot
    assert run("delete", "--prefix", "a", "--yes") == (0, b"")
    assert run("delete", "c", "never") == (0, b"")
    assert run("keys") == (0, "b\nü\n".encode())


def test_an_export_is_imported_and_compared(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    pairs = [{"key": f"k{number:05}", "value": "v" * (number % 9)} for number in range(25_000)]
    lines = b"".join(json.dumps(pair).encode() + b"\n" for pair in pairs)
    file = tmp_path / "all.ndjson.gz"
    assert kvb("import", "-", stdin=gzip.compress(lines), KVB_URL=server.url).returncode == 0
    assert kvb("export", "-o", str(file), KVB_URL=server.url).returncode == 0
    assert gzip.decompress(file.read_bytes()) == lines + b'{"end": {"pairs": 25000}}\n'
    assert not file.with_name("all.ndjson.gz.part").exists()
    assert kvb("diff", str(file), server.url).returncode == 0
    kvb("set", "k00001=other", "new=1", KVB_URL=server.url)
    kvb("delete", "k00000", KVB_URL=server.url)
    different = kvb("diff", str(file), server.url)
    assert (different.returncode, different.stdout) == (1, b"- k00000\n~ k00001\n+ new\n")
    assert kvb("import", "--end", str(file), KVB_URL=server.url).returncode == 0
    assert kvb("diff", str(file), server.url).stdout == b"+ new\n"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        (
            "wrangler",
            b'[{"key":"a","value":"AP8=","base64":true,"expiration_ttl":60},{"key":"b","value":"2"}]',
            b"expiration_ttl",
        ),
        ("consul", b'[{"key":"a","flags":7,"value":"AP8="},{"key":"b","flags":0,"value":"Mg=="}]', b"flags"),
    ],
)
def test_files_of_other_tools(
    server: Server, client: httpx.Client, name: str, content: bytes, said: bytes
) -> None:
    done = kvb("import", "--from", name, "-", stdin=content, KVB_URL=server.url)
    assert (done.returncode, said in done.stderr) == (0, True)
    assert kvb("get", "--raw", "a", "b", KVB_URL=server.url).stdout == b"\0\xff2"


def test_csv(server: Server, client: httpx.Client) -> None:
    content = b'note,key,value\r\nx,a,"1,\n2"\r\n,b,2\r\n'
    assert kvb("import", "--from", "csv", "-", stdin=content, KVB_URL=server.url).returncode == 0
    assert kvb("get", "--raw", "a", "b", KVB_URL=server.url).stdout == b"1,\n22"


def test_foreseeable_errors_are_sentences(server: Server, client: httpx.Client, tmp_path: Path) -> None:
    bad = b'{"key": "a", "value": "1"}\n\n{"key": "b"}\n'
    cut = b'{"key": "a", "value": "1"}\n{"end": {"pairs": 2}}\n'
    cut_gzip = gzip.compress(bad * 1_000)[:-20]
    large = b'{"key": "a", "value": "%s"}\n' % (b"x" * 25_000_000)
    url = server.url
    cases: list[tuple[list[str], bytes, int, bytes]] = [
        (["get", "--url", f"http://127.0.0.1:{free_port()}", "a"], b"", 5, b"reached: Connection refused."),
        (["get", "--url", "http://nowhere.invalid", "a"], b"", 5, b"cannot be reached"),
        (["get", "--url", "https://" + url[7:], "a"], b"", 5, b"its URL may start with http://"),
        (["get", "--url", "127.0.0.1:3000", "a"], b"", 6, b"not the URL of a gateway"),
        (["get", "--url", "http://u:secret@127.0.0.1:1", "a"], b"", 6, b"must have no user"),
        (["get", "--url", f"{url}/v1/default/keys", "a"], b"", 6, b"the URL of an operation"),
        (["get", "--url", f"{url}/v2", "a"], b"", 3, b"nothing at"),
        (["get", "--store", "other", "a"], b"", 3, b"not granted"),
        (["get", "--timeout", "-1", "a"], b"", 2, b"'-1' is not a number of seconds"),
        (["get", "--timeout", "0", "a"], b"", 2, b"0 seconds would be no time"),
        (["get", "--retry-seconds", "nan", "a"], b"", 2, b"'nan' is not a number of seconds"),
        (["get", "-key"], b"", 2, b"comes after --"),
        (["import", "--part-lines", "0"], bad, 2, b"'0' is not a whole number from 1"),
        (["import", "-"], bad, 3, b"Line 3 of the input"),
        (["import"], cut, 6, b"lost lines"),
        (["import"], cut_gzip, 6, b"was cut: Compressed file ended before"),
        (["import"], cut_gzip, 6, b"kvb: Nothing was written."),
        (["import"], '{"key": "a"}\n'.encode("utf-16"), 3, b"iconv"),
        (["import"], large, 3, b"its value is too large, or the newline between two pairs is missing"),
        (["import", "--end"], b"", 6, b"no end line"),
        (["import", "/no/such/file"], b"", 7, b"No such file"),
        (["import", url], b"", 6, b"kvb copy"),
        (["export", "-o", "/no/such/directory/x"], b"", 7, b"No such file"),
        (["export", "-o", str(tmp_path)], b"", 7, b"Is a directory"),
        (["set", "a", "@/no/such/file"], b"", 7, b"No such file"),
        (["set", "a"], b"", 6, b"has no value"),
        (["copy", url, f"{url}/v1/default"], b"", 6, b"the same store"),
        (["diff", "/no/such/file", url], b"", 7, b"No such file"),
        (["get"], b"", 6, b"No key"),
    ]
    for arguments, stdin, code, message in cases:
        done = kvb(*arguments, stdin=stdin, KVB_URL=url)
        assert (done.returncode, done.stdout) == (code, b""), (arguments, done)
        assert message in done.stderr, (arguments, done)
        assert b"Traceback" not in done.stderr, done


def test_any_key_can_be_written_read_and_deleted(server: Server, client: httpx.Client) -> None:
    keys = [
        "-dash",
        "--prefix",
        "with space",
        "new\nline",
        "100%",
        "%41",
        "😀",
        "",
        "tab\t",
        "a/b",
        "?q&x#y+",
    ]

    def run(*arguments: str) -> bytes:
        done = kvb(*arguments, KVB_URL=server.url)
        assert (done.returncode, b"Traceback" in done.stderr) == (0, False), done
        return done.stdout

    run("set", "--", *(f"{key}={number}" for number, key in enumerate(keys)))
    assert run("get", "--", *keys) == b"".join(b"%d\n" % number for number in range(len(keys)))
    assert [json.loads(line) for line in run("keys", "--json").splitlines()] == sorted(keys)
    for key in filter(None, keys):
        assert run("keys", "--json", f"--prefix={key}").splitlines() == [json.dumps(key).encode()]
    run("delete", "--", *keys)
    assert run("keys") == b""


@pytest.mark.parametrize(
    "content",
    [
        b'{"key":"a","value":"1"}\r\n{"key":"b","value":"2"}\r\n',
        b'\xef\xbb\xbf{"key": "a", "value": "1"}\n\n{"key": "b", "value": "2"}',
        gzip.compress(b'{"key": "a", "value": "1"}\n') + gzip.compress(b'{"key": "b", "value": "2"}\n'),
    ],
    ids=["CRLF", "byte order mark", "two gzip members"],
)
def test_files_as_other_programs_write_them(server: Server, client: httpx.Client, content: bytes) -> None:
    assert kvb("import", stdin=content, KVB_URL=server.url).returncode == 0
    done = kvb("get", "--keys-file", "-", stdin=b"\xef\xbb\xbfa\r\nb", KVB_URL=server.url)
    assert (done.returncode, done.stdout) == (0, b"1\n2\n")


def test_a_hundred_thousand_keys_are_read_in_their_order(
    server: Server, client: httpx.Client, tmp_path: Path
) -> None:
    keys = [f"k{number * 7919 % 100_000:06}" for number in range(100_000)]
    lines = "".join(f'{{"key": "{key}", "value": "of {key}"}}\n' for key in keys)
    assert kvb("import", stdin=lines.encode(), KVB_URL=server.url).returncode == 0
    (tmp_path / "keys").write_text("\n".join(keys))
    done = kvb("get", "--keys-file", str(tmp_path / "keys"), KVB_URL=server.url)
    assert done.stdout.decode() == "".join(f"of {key}\n" for key in keys)


@pytest.mark.parametrize(
    ("columns", "shown"),
    [(100, r"export .*━.* 100% 5,000 pairs .*/s .*0:00"), (40, r"^100% 5,000 pairs\s*$")],
)
def test_a_terminal_sees_the_progress_with_a_total(
    server: Server, client: httpx.Client, tmp_path: Path, columns: int, shown: str
) -> None:
    lines = b"".join(b'{"key": "k%06d", "value": "v"}\n' % each for each in range(5_000))
    assert kvb("import", stdin=lines, KVB_URL=server.url).returncode == 0
    code, seen = _on_terminal(columns, "export", "-o", str(tmp_path / "x"), KVB_URL=server.url, NO_COLOR="1")
    assert code == 0
    assert not re.search(r"\x1b\[[0-9;]*m", seen)  # NO_COLOR
    frames = re.split(r"[\r\n]+", re.sub(r"\x1b\[\??[0-9;]*[a-zA-Z]", "", seen))
    assert any(re.search(shown, frame) for frame in frames), frames
    assert all(len(frame) <= columns for frame in frames), frames
    assert frames[-2:] == ["kvb: 5,000 pairs exported.", ""]


def _on_terminal(columns: int, *arguments: str, **variables: str) -> tuple[int, str]:
    """Runs kvb with stderr on a terminal. Returns its exit code and what the terminal got."""
    terminal, its_end = pty.openpty()
    fcntl.ioctl(its_end, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = _environment(TERM="xterm", **variables)
    for variable in ("COLUMNS", "FORCE_COLOR"):
        environment.pop(variable, None)
    command = [sys.executable, "-m", "kv_batch_client", *arguments]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=its_end, env=environment) as run:
        os.close(its_end)
        got = b""
        with suppress(OSError):  # the terminal is gone when kvb has ended
            while data := os.read(terminal, 65_536):
                got += data
    os.close(terminal)
    return run.returncode, got.decode()


def test_a_pipe_sees_no_progress(server: Server, client: httpx.Client) -> None:
    done = kvb("export", KVB_URL=server.url, FORCE_COLOR="1")
    assert (done.stdout, done.stderr) == (b'{"end": {"pairs": 0}}\n', b"kvb: 0 pairs exported.\n")


def test_a_wrong_token_is_told(host: str, tmp_path: Path) -> None:
    with serving(host, tmp_path, anonymous="none", read_token="right") as server:
        for token in ("", "wrong"):
            wrong = kvb("keys", KVB_URL=server.url, KVB_TOKEN=token)
            assert (wrong.returncode, b"KVB_TOKEN or --token-file" in wrong.stderr) == (3, True)
        other = kvb("copy", server.url, "http://127.0.0.1:1", KVB_TOKEN="wrong")  # it names the store
        assert other.stderr.startswith(f"kvb: {server.url}/v1/default: A token is needed".encode()), other
        terminal = _on_terminal(100, "export", "-o", "/dev/null", KVB_URL=server.url, KVB_TOKEN="right")
        assert (terminal[0], "%" in terminal[1]) == (0, False)  # it may not count, so there is no total
        (tmp_path / "token").write_text("right\n")
        assert kvb("keys", "--token-file", f"{tmp_path}/token", KVB_URL=server.url).returncode == 0
        refused = kvb("set", "a=1", KVB_URL=server.url, KVB_TOKEN="right")
        assert (refused.returncode, b"may only read" in refused.stderr) == (3, True)


def test_a_reader_that_leaves_is_no_traceback(server: Server, client: httpx.Client) -> None:
    assert kvb("import", "-", stdin=_lines(20_000), KVB_URL=server.url).returncode == 0
    for command in ("export", "keys"):
        with _started(command, KVB_URL=server.url) as run:
            assert run.stdout is not None
            assert run.stderr is not None
            run.stdout.read(10)
            run.stdout.close()
            assert run.wait(30) == 141
            assert run.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["export"], rb"after \d+(,\d+)? pairs?\."),
        (["import", "-"], rb"after line (\d+)\. All up to it are applied, and perhaps some after it\."),
        (["diff", "{url}", "-"], rb""),
    ],
)
def test_ctrl_c_says_how_far_the_command_came(
    server: Server, client: httpx.Client, arguments: list[str], said: bytes
) -> None:
    assert kvb("import", "-", stdin=_lines(20_000), KVB_URL=server.url).returncode == 0
    more = ["--part-lines", "100"] if "import" in arguments else []
    arguments = [each.format(url=server.url) for each in arguments]
    with _started(*arguments, *more, KVB_URL=server.url) as run:
        assert run.stdin is not None
        assert run.stdout is not None
        assert run.stderr is not None
        if arguments[0] == "export":
            run.stdout.read(100)
        else:
            run.stdin.write(_lines(20_000))
            run.stdin.flush()
            time.sleep(2)  # it waits for more input
        run.send_signal(signal.SIGINT)
        assert run.wait(30) == 130
        line = run.stderr.read()
        match = re.fullmatch(rb"kvb: Interrupted ?" + said + rb"( The command may be repeated)?\.\n", line)
        assert match or (not said and line == b"kvb: Interrupted.\n"), line
        if "import" in arguments:
            assert match
            assert int(match[1]) in range(1, 20_001)


def test_ctrl_c_in_a_copy_says_how_far_it_came(
    server: Server, client: httpx.Client, tmp_path: Path, host: str
) -> None:
    assert kvb("import", "-", stdin=_lines(20_000), KVB_URL=server.url).returncode == 0
    with serving(host, tmp_path) as other, Store(other.url) as copied:
        with _started("copy", "--part-lines", "100", server.url, other.url) as run:
            deadline = time.monotonic() + 30
            while copied.count() < 300 and time.monotonic() < deadline:  # the first part is acknowledged
                time.sleep(0.01)
            run.send_signal(signal.SIGINT)
            assert run.wait(30) == 130
            assert run.stderr is not None
            line = run.stderr.read()
        match = re.fullmatch(
            rb"kvb: Interrupted after pair (\d+)\. All up to it are applied, and perhaps some after it\. "
            rb"The command may be repeated\.\n",
            line,
        )
        assert match, line
        applied = int(match[1])
        assert 100 <= applied < 20_000
        assert copied.count() >= applied
        assert kvb("copy", server.url, other.url).returncode == 0  # as it says
        assert kvb("diff", server.url, other.url).returncode == 0


def _lines(count: int) -> bytes:
    return b"".join(b'{"key": "k%06d", "value": "%s"}\n' % (each, b"v" * 90) for each in range(count))


def _started(*arguments: str, **variables: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "kv_batch_client", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=_environment(**variables),
    )


def test_the_commands_of_the_readme(
    server: Server, client: httpx.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """clients/python/README.md: each command prints what stands under it."""
    (tmp_path / "logo.png").write_bytes(b"\x89PNG")
    with (tmp_path / "users.ndjson").open("wb") as users:
        users.writelines(b'{"key": "user:%05d", "value": "{}"}\n' % number for number in range(25_000))
    for name, value in {"PYTHONPATH": str(ROOT / "clients/python"), "KVB_URL": server.url}.items():
        monkeypatch.setenv(name, value)
    program = f"{sys.executable} -m kv_batch_client 2>&1 "
    assert run(README, tmp_path, {"kvb ": program, "http://127.0.0.1:3000": server.url}) == 10


def test_the_library_as_the_readme_shows_it(
    server: Server, client: httpx.Client, capsys: pytest.CaptureFixture[str]
) -> None:
    shown = {block.language: block.text for block in blocks(README)}
    exec(shown["python"].replace("https://kv.example.com", server.url), {"token": None})
    assert capsys.readouterr().out == shown["text"]


def test_the_installation_of_the_readme(tmp_path: Path) -> None:
    """It downloads httpx and rich, as the installation of the tests did."""
    (install,) = (block.text for block in blocks(README) if block.test and block.language == "sh")
    bin_directory = tmp_path / "bin"
    uv = {"UV_TOOL_DIR": f"{tmp_path}/tools", "UV_TOOL_BIN_DIR": str(bin_directory)}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    # Under `make test`, these would make a make that is called here print more than a person sees.
    outside = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")}
    done = subprocess.run(
        ["bash", "-ec", install],
        cwd=ROOT,
        env=outside | uv | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done
    made = done.stdout.strip().splitlines()[-1]
    for program in (made, f"{bin_directory}/kvb"):
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
        assert version.stdout == f"kvb {__version__}\n"


def test_a_copy_goes_on_while_each_gateway_is_killed(
    host: str, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Each gateway is killed once and restarted, and the stores are equal after."""
    seed = tmp_path / "seed.ndjson"
    with seed.open("wb") as file:
        file.writelines(b'{"key": "k%07d", "value": "%0300d"}\n' % (each, each * 7) for each in range(PAIRS))
    ports = [free_port(), free_port()]
    source, destination = urls = [f"http://127.0.0.1:{port}" for port in ports]
    with ExitStack() as stack:

        def start(side: int) -> Server:
            return stack.enter_context(serving(host, tmp_path / f"data{side}", port=ports[side]))

        servers = [start(0), start(1)]
        assert kvb("import", str(seed), KVB_URL=source).returncode == 0
        begin = time.monotonic()
        run = subprocess.Popen(
            [sys.executable, "-m", "kv_batch_client", "copy", "--part-lines", str(PAIRS // 50), *urls],
            stderr=subprocess.PIPE,
            env=_environment(),
        )
        with run:
            for side, at in ((1, PAIRS // 10), (0, PAIRS // 4)):
                while not _has(destination, f"k{at:07}"):
                    assert run.poll() is None
                    time.sleep(0.1)
                servers[side].kill()
                time.sleep(DOWN_SECONDS)
                start(side)
            assert run.stderr is not None
            said = run.stderr.read().decode()
        seconds = time.monotonic() - begin
        assert run.returncode == 0, said
        assert all(f"connection to {url}/v1/default was lost" in said for url in urls), said
        assert f"{PAIRS:,} pairs copied" in said
        assert (_count(source), _count(destination)) == (PAIRS, PAIRS)
        different = kvb("diff", *urls)
        assert (different.returncode, different.stdout) == (0, b""), different.stderr
    figure = f"kvb copy on {host}: {PAIRS:,} pairs in {seconds:.1f} s, with each gateway killed once"
    pytestconfig.stash[FIGURES].append(figure)


def _has(url: str, key: str) -> bool:
    with Store(url) as store:
        return dict(store.get_many([key]))[key] is not None


def _count(url: str) -> int:
    with Store(url) as store:
        return store.count()
