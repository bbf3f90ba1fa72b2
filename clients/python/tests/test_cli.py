"""The command kvb: what it says and its exit code, with a gateway that is a function."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import httpx
import pytest

from fake_gateway import Gateway
from kv_batch_client import Store, cli, parser
from kv_batch_client.lines import end_line, pair_line

Answer = Callable[[httpx.Request], httpx.Response]
Run = Callable[..., tuple[int, str, str]]

URL = "http://127.0.0.1:3000/v1/default"


@pytest.fixture
def kvb(monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Runs kvb. Returns its exit code, stdout and stderr."""
    for variable in ("KVB_URL", "KVB_STORE", "KVB_TOKEN", "KVB_TOKEN_TO"):
        monkeypatch.delenv(variable, raising=False)

    def run(gateway: httpx.BaseTransport | Answer, *arguments: str) -> tuple[int, str, str]:
        transport = gateway if isinstance(gateway, httpx.BaseTransport) else httpx.MockTransport(gateway)
        monkeypatch.setattr("kv_batch_client.connections.Store", partial(Store, transport=transport))
        code = cli.run(parser.build().parse_args([*arguments, "--retry-seconds", "0"]))
        out, err = capfdbinary.readouterr()
        return code, out.decode(), err.decode()

    return run


def problem(status: int, code: str, **members: object) -> httpx.Response:
    document = {"type": f"/problems/{code}", "title": "The store failed", "detail": "", **members}
    return httpx.Response(status, json=document)


def test_a_delete_that_stops_says_how_many_keys_it_deleted(kvb: Run) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if "dry-run" in request.url.params:
            return httpx.Response(200, json={"keys": 12_000})
        return problem(502, "store-failed", applied=9_000, failed=[])

    code, out, err = kvb(answer, "delete", "--prefix", "a", "--yes")
    assert (code, out) == (3, "")
    assert err == (
        f"kvb: {URL}: The store failed.\n"
        "kvb: 9,000 keys deleted. The command may be repeated, and deletes the rest then.\n"
    )


def test_an_export_that_fails_before_its_first_byte_leaves_no_file(kvb: Run, tmp_path: Path) -> None:
    part = tmp_path / "x.ndjson.part"
    part.write_text("of an earlier export")
    code, _, err = kvb(lambda _: problem(502, "store-failed"), "export", "-o", str(tmp_path / "x.ndjson"))
    assert (code, err) == (3, f"kvb: {URL}: The store failed.\n")
    assert [file.name for file in tmp_path.iterdir()] == ["x.ndjson.part"]
    assert part.read_text() == "of an earlier export"


@pytest.mark.parametrize("name", ["x.ndjson", "x.ndjson.gz"])
def test_an_export_that_fails_later_leaves_what_has_arrived(kvb: Run, tmp_path: Path, name: str) -> None:
    line = pair_line("a", b"1") + b"\n"
    (tmp_path / name).write_bytes(b"of an earlier export")
    code, _, err = kvb(lambda _: httpx.Response(200, content=line), "export", "-o", str(tmp_path / name))
    part = tmp_path / f"{name}.part"
    assert (code, err) == (
        5,
        f"kvb: The answer was cut after 1 pair.\nkvb: What has arrived is in {part}.\n",
    )
    there = part.read_bytes()
    assert (gzip.decompress(there) if name.endswith("gz") else there) == line
    assert (tmp_path / name).read_bytes() == b"of an earlier export"


def test_an_export_into_a_link_or_a_device_keeps_both(kvb: Run, tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert kvb(Gateway({"a": b"1"}), "export", "-o", str(tmp_path / "link"))[0] == 0
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == pair_line("a", b"1") + b"\n" + end_line(1)
    assert kvb(Gateway({"a": b"1"}), "export", "-o", "/dev/null")[0] == 0
    assert not Path("/dev/null").is_file()


@pytest.mark.parametrize("to", [["-o", "/dev/full"], ["-o", "{}/link"]])
def test_a_full_disk_is_told_with_the_file(kvb: Run, tmp_path: Path, to: list[str]) -> None:
    (tmp_path / "link").symlink_to("/dev/full")
    pairs = {f"k{number}": b"v" * 1_000 for number in range(100)}
    code, out, err = kvb(Gateway(pairs), "export", *(each.format(tmp_path) for each in to))
    assert (code, out, err) == (7, "", "kvb: /dev/full: No space left on device.\n")


@pytest.mark.parametrize("arguments", [["keys", "--prefix", "a\udcff"], ["keys", "--store", "a\udcff"]])
def test_an_argument_that_is_not_utf_8_is_told(kvb: Run, arguments: list[str]) -> None:
    code, out, err = kvb(Gateway(), *arguments)
    assert (code, out) == (6, "")
    assert err == "kvb: 'a\\udcff' is not UTF-8. Keys, prefixes and names must be.\n"


def test_ctrl_c_in_the_first_part_of_a_copy_is_one_line(kvb: Run) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "POST":
            raise KeyboardInterrupt
        return Gateway({"a": b"1"}).handle_request(request)

    code, out, err = kvb(answer, "copy", "http://a.test", "http://b.test")
    assert (code, out) == (130, "")
    assert err == (
        "kvb: Interrupted in the first part. Some of it may be applied. The command may be repeated.\n"
    )


def test_ctrl_c_while_the_modules_are_imported_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "httpx.py").write_text("import time\nprint('imported', flush=True)\ntime.sleep(60)\n")
    paths = os.pathsep.join([str(tmp_path), str(Path(__file__).parents[1])])
    command = [sys.executable, "-m", "kv_batch_client", "keys"]
    environment = os.environ | {"PYTHONPATH": paths}
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, env=environment) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"imported\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30) == (b"", b"")
        assert process.returncode == -signal.SIGINT
