"""`python -m tools.api [DIRECTORY]`: writes the OpenAPI document and the reference (`make api`)."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from gateway.http import BASE
from tools.api.openapi import DOCUMENT
from tools.api.reference import html
from tools.components import ROOT


def main(directory: Path) -> None:
    """Writes both files."""
    directory.mkdir(exist_ok=True)
    document = {**DOCUMENT, "servers": [{"url": BASE}]}
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"
    (directory / "openapi.json").write_text(text, encoding="utf-8")
    (directory / "reference.html").write_text(html(DOCUMENT, BASE), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "gateway" / "api")
