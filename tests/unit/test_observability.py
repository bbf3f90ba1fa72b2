"""The queries of docs/observability.md, on lines that kv-batch has written."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from gateway.record import Record
from tools.components import ROOT

DOCUMENT = (ROOT / "docs/observability.md").read_text()
QUERIES = [shlex.split(line)[1:-1] for line in DOCUMENT.splitlines() if line.startswith("jq ")]
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture
def log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A log with a line of Spin, a request that succeeded, a stream that failed, and a defect."""
    for status, problem, traceparent in (
        (200, None, f"00-{TRACE}-00f067aa0ba902b7-01"),
        (200, "store-failed", ""),
        (500, "internal-error", ""),
    ):
        record = Record("GET", {"traceparent": traceparent, "x-request-id": f"{status}-{problem}"})
        record.status, record.problem, record.host_calls, record.retries = status, problem, 2, 1
        record.log()
    file = tmp_path / "kv-batch.log"
    file.write_text("Serving http://127.0.0.1:3000\n" + capsys.readouterr().err)
    return file


def test_the_document_names_every_field(log: Path) -> None:
    fields = re.findall(r'"(\w+)": ', log.read_text().splitlines()[1])
    assert len(fields) > 15
    table = DOCUMENT.partition("### Alerts")[0]
    assert [field for field in fields if f"`{field}`" not in table] == []


def test_the_queries_find_what_they_are_for(log: Path) -> None:
    if shutil.which("jq") is None:
        pytest.skip("no jq on PATH")
    answers = [
        subprocess.run(["jq", "-c", *query, str(log)], capture_output=True, text=True, check=True).stdout
        for query in QUERIES
    ]
    defect, stream, by_problem, retries, slowest, traced = answers
    assert '"internal-error"' in defect
    assert defect.count("\n") == 1
    assert stream == '["200-store-failed",null,"store-failed"]\n'
    assert by_problem.count('"requests":1') == 3
    assert retries == '{"requests":3,"retries":3}\n'
    assert float(slowest) >= 0
    assert traced.count("\n") == traced.count(TRACE) == 1
