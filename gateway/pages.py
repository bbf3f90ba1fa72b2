"""Pages for people, each one self-contained HTML text, and the OpenAPI document.

The sources of the console are in a directory beside this module: `index.html`, the style sheet `style.css`,
and JavaScript modules whose entry is `main.js`. The reference and the OpenAPI document are in `api/`, written
by `make api`. All are read while the component is compiled, and the component contains the result. A page
loads nothing: its style and its script are inline, and its policy allows these two by their hashes alone
(https://www.w3.org/TR/CSP3/).
"""

from __future__ import annotations

import base64
import gzip
import json
import re
from hashlib import sha256
from pathlib import Path
from typing import Final
from urllib.parse import quote

from gateway.http import BASE, Request, Response, buffered
from gateway.wire.media import takes_gzip

HTML = "text/html; charset=utf-8"

STYLE = "/* style.css */"
"""The text of `index.html` that is replaced by the style sheet."""

SCRIPT = "/* main.js */"
"""The text of `index.html` that is replaced by the joined script."""

_IMPORT = re.compile(r'^import (?:\{[^}]*\} from )?"\./([a-z_0-9]+\.js)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?function\*? |class |const |let )", re.MULTILINE)


class Page:
    """A page, its headers, and both of its encodings.

    Attributes:
        html: The whole text.
        packed: The text, compressed with gzip.
        policy: The value of its `content-security-policy`.
    """

    def __init__(self, html: str) -> None:
        self.html = html.encode()
        self.packed = gzip.compress(self.html, compresslevel=9, mtime=0)
        self.policy = "; ".join(
            (
                "default-src 'none'",
                f"script-src {_hashes('script', html)}",
                f"style-src {_hashes('style', html)}",
                "connect-src 'self'",
                "img-src data:",
                "base-uri 'none'",
                "form-action 'none'",
                "frame-ancestors 'none'",
                "require-trusted-types-for 'script'",
                "trusted-types 'none'",
            )
        )
        self._tag = sha256(self.html).hexdigest()[:32]

    def answer(self, request: Request) -> Response:
        """The page, with gzip if the client accepts it; 304 without a body if the client has this version."""
        with_gzip = takes_gzip(request.headers.get("accept-encoding", ""))
        # Two encodings are two representations, and need two tags (RFC 9110 section 8.8.3.3).
        tag = f'"{self._tag}{"-gzip" if with_gzip else ""}"'
        headers = [
            ("etag", tag),
            ("cache-control", "no-cache"),
            ("vary", "accept-encoding"),
            ("content-security-policy", self.policy),
            ("referrer-policy", "no-referrer"),
            ("x-content-type-options", "nosniff"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ]
        if _matches(request.headers.get("if-none-match", ""), tag):
            return Response(304, headers)
        if with_gzip:
            return buffered(200, HTML, self.packed, ("content-encoding", "gzip"), *headers)
        return buffered(200, HTML, self.html, *headers)


def read_page(directory: Path) -> Page:
    """The page whose sources are in a directory."""
    html = (directory / "index.html").read_text(encoding="utf-8")
    html = html.replace(STYLE, (directory / "style.css").read_text(encoding="utf-8"))
    return Page(html.replace(SCRIPT, join(directory, "main.js")))


def join(directory: Path, entry: str) -> str:
    """One script from a module and those that it imports, directly or not.

    Each module comes once, after those that it imports, without its `import` and `export` keywords. So all
    modules share one scope, and no two may declare the same name at their top level.

    Args:
        directory: The directory of the modules.
        entry: The file name of the first module.

    Raises:
        ValueError: an import or export has a form that this function does not understand, or imports form a
            cycle.
    """
    done: list[str] = []
    texts: list[str] = []

    def add(name: str, importers: tuple[str, ...]) -> None:
        if name in importers:
            raise ValueError(f"{' imports '.join((*importers, name))}: a cycle")
        if name in done:
            return
        source = (directory / name).read_text(encoding="utf-8")
        for imported in _IMPORT.findall(source):
            add(imported, (*importers, name))
        text = _EXPORT.sub("", _IMPORT.sub("", source))
        if left := re.search(r"^(import|export)\b.*", text, re.MULTILINE):
            raise ValueError(f"{name}: cannot join {left[0]!r}")
        done.append(name)
        texts.append(f"// {name}\n{text}")

    add(entry, ())
    return "\n".join(texts)


def _hashes(element: str, html: str) -> str:
    """The sources of a directive of the policy: the hashes of the inline elements of that name."""
    inline = re.findall(rf"<{element}(?: [^>]*)?>(.*?)</{element}>", html, re.DOTALL)
    digests = [base64.b64encode(sha256(text.encode()).digest()).decode() for text in inline]
    return " ".join(f"'sha256-{digest}'" for digest in digests) or "'none'"


def _matches(if_none_match: str, tag: str) -> bool:
    """Whether an If-None-Match names the tag. The comparison is weak (RFC 9110 section 13.1.2)."""
    tags = [each.strip().removeprefix("W/") for each in if_none_match[:4096].split(",")]
    return tag in tags or tags == ["*"]


_API: Final = Path(__file__).with_name("api")
_REFERENCE: Final = (_API / "reference.html").read_text(encoding="utf-8")
_OPENAPI: Final = (_API / "openapi.json").read_text(encoding="utf-8")


def reference(base: str) -> Page:
    """The reference of the API, `GET /docs`, of a gateway that is mounted at the path `base`; empty at the
    root."""
    # No character of it means anything to a shell, to which the curl lines are copied, or in HTML.
    return Page(_REFERENCE.replace(BASE, quote(base, safe="/%~"))) if base else _AT_ROOT


def openapi(base: str) -> bytes:
    """The OpenAPI document, `GET /openapi.json`, of such a gateway."""
    return _OPENAPI.replace(f'"{BASE}"', json.dumps(base or "/")).encode()


_AT_ROOT: Final = Page(_REFERENCE.replace(BASE, ""))

CONSOLE: Final = read_page(Path(__file__).with_name("console"))
"""The console, `GET /`: the keys and values of a store, for people."""
