"""The table of docs/backends.md shows the outcomes of this suite.

This file runs last, because files run in the order of their names.
"""

from __future__ import annotations

import os

import pytest

from tests.backends.behind_spin import seen_whole, table
from tools.components import ROOT

START = "<!-- made by tests/backends: KV_BATCH_WRITE_TABLE=1 make test -->\n"
END = "<!-- end of what is made -->\n"


def test_the_document_shows_what_was_seen() -> None:
    if not seen_whole():
        pytest.skip("the table needs every case on every engine, and this run left some out")
    file = ROOT / "docs/backends.md"
    before, _, rest = file.read_text().partition(START)
    _, _, after = rest.partition(END)
    made = before + START + table() + END + after
    if os.environ.get("KV_BATCH_WRITE_TABLE"):
        file.write_text(made)
    assert file.read_text() == made
