"""The command `kvb` (clients/python) against every host."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from kv_batch_client import Store
from tests.conftest import FIGURES
from tests.servers import Server, free_port, serving
from tools.components import ROOT

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
    cases: list[tuple[list[str], bytes, int, bytes]] = [
        (["get", "--url", f"http://127.0.0.1:{free_port()}", "a"], b"", 5, b"cannot be reached"),
        (["get", "--url", "http://nowhere.invalid", "a"], b"", 5, b"cannot be reached"),
        (["get", "--url", "https://" + server.url[7:], "a"], b"", 5, b"cannot be reached"),
        (["get", "--url", "127.0.0.1:3000", "a"], b"", 6, b"not the URL of a gateway"),
        (["get", "--store", "other", "a"], b"", 3, b"not granted"),
        (["import", "-"], bad, 3, b"Line 3 of the input"),
        (["import", "-"], cut, 6, b"lost lines"),
        (["import", "/no/such/file"], b"", 7, b"No such file"),
        (["export", "-o", "/no/such/directory/x"], b"", 7, b"No such file"),
        (["get"], b"", 6, b"No key"),
    ]
    for arguments, stdin, code, message in cases:
        done = kvb(*arguments, stdin=stdin, KVB_URL=server.url)
        assert (done.returncode, done.stdout) == (code, b""), (arguments, done)
        assert message in done.stderr, (arguments, done)
        assert b"Traceback" not in done.stderr, done


def test_a_wrong_token_is_told(host: str, tmp_path: Path) -> None:
    with serving(host, tmp_path, anonymous="none", read_token="right") as server:
        wrong = kvb("keys", KVB_URL=server.url, KVB_TOKEN="wrong")
        assert (wrong.returncode, b"token" in wrong.stderr) == (3, True)
        (tmp_path / "token").write_text("right\n")
        assert kvb("keys", "--token-file", f"{tmp_path}/token", KVB_URL=server.url).returncode == 0
        refused = kvb("set", "a=1", KVB_URL=server.url, KVB_TOKEN="right")
        assert (refused.returncode, b"may only read" in refused.stderr) == (3, True)


def test_a_reader_that_leaves_and_ctrl_c_are_no_tracebacks(server: Server, client: httpx.Client) -> None:
    lines = b"".join(b'{"key": "k%06d", "value": "%s"}\n' % (each, b"v" * 90) for each in range(20_000))
    assert kvb("import", "-", stdin=lines, KVB_URL=server.url).returncode == 0
    for leaves in (True, False):
        with subprocess.Popen(
            [sys.executable, "-m", "kv_batch_client", "export"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=_environment(KVB_URL=server.url),
        ) as run:
            assert run.stdout is not None
            assert run.stderr is not None
            run.stdout.read(100)
            if leaves:
                run.stdout.close()
            else:
                run.send_signal(signal.SIGINT)
            assert run.wait(30) in {130, 141}
            assert b"Traceback" not in run.stderr.read()


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
