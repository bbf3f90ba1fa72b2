"""The pages for people: their headers, their hashes, their size, and how a script is joined."""

from __future__ import annotations

import base64
import gzip
import re
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.http import Request, Response
from gateway.pages import CONSOLE, Page, join

MAX_PACKED = 60_000
"""Bytes. The promise is 200,000."""


class NoBody:
    """The body of a request that has none."""

    ended = False
    received = 0

    async def read(self) -> bytes:
        return b""

    async def grew(self, size: int) -> None:
        """A body without bytes does not grow."""


def answer(**headers: str) -> Response:
    """The answer to a request for the console with these headers."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return CONSOLE.answer(Request("GET", "/", named, NoBody()))


def test_the_headers_of_the_console_allow_nothing_but_its_own_content() -> None:
    response = answer()
    headers = dict(response.headers)
    assert response.status == 200
    assert headers["content-type"] == "text/html; charset=utf-8"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for directive in "base-uri", "form-action", "frame-ancestors":
        assert policy[directive] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]


def test_the_policy_has_the_hash_of_each_inline_script_and_style() -> None:
    html = CONSOLE.html.decode()
    for element, directive in ("script", "script-src"), ("style", "style-src"):
        found = re.findall(rf"<{element}[^>]*>(.*?)</{element}>", html, re.DOTALL)
        assert len(found) == 1, "an inline element ends early, or there are several"
        digest = base64.b64encode(sha256(found[0].encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}';" in CONSOLE.policy
    assert "<!--" not in html, "changes how a browser reads a script"


def test_the_console_names_no_other_address_and_no_inline_handler() -> None:
    html = CONSOLE.html.decode()
    assert re.findall(r"\b(?:src|href|action|srcset)=\"(?!data:|#)", html) == []
    assert re.findall(r"<[^>]* (?:on[a-z]+|style)=", html) == []
    assert re.findall(r"https?://(?!www\.w3\.org/2000/svg)", html) == []
    for sink in "innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(":
        assert sink not in html


def test_the_console_is_sent_packed_to_who_takes_gzip() -> None:
    plain, packed = answer(), answer(accept_encoding="gzip, br")
    assert isinstance(plain.body, bytes)
    assert isinstance(packed.body, bytes)
    assert gzip.decompress(packed.body) == plain.body
    assert dict(packed.headers)["content-encoding"] == "gzip"
    assert dict(packed.headers)["content-length"] == str(len(packed.body))
    assert dict(plain.headers)["vary"] == "accept-encoding"
    assert len(packed.body) < MAX_PACKED


def test_a_browser_that_has_the_page_gets_304() -> None:
    tags = {dict(answer(**headers).headers)["etag"] for headers in ({}, {"accept_encoding": "gzip"})}
    assert len(tags) == 2, "two encodings need two tags"
    tag = dict(answer(accept_encoding="gzip").headers)["etag"]
    for asked, status in (tag, 304), (f'"x", W/{tag}', 304), ("*", 304), ('"x"', 200), ("", 200):
        response = answer(accept_encoding="gzip", if_none_match=asked)
        assert response.status == status, asked
        assert (response.body == b"") == (status == 304)


def test_an_imported_module_comes_first_and_once(tmp_path: Path) -> None:
    (tmp_path / "a.js").write_text("export const a = 1;\n")
    (tmp_path / "b.js").write_text('import { a } from "./a.js";\nexport async function b() { return a; }\n')
    (tmp_path / "main.js").write_text(
        'import { a } from "./a.js";\nimport {\n  b,\n} from "./b.js";\nb(a);\n'
    )
    assert join(tmp_path, "main.js") == (
        "// a.js\nconst a = 1;\n\n// b.js\nasync function b() { return a; }\n\n// main.js\nb(a);\n"
    )


@pytest.mark.parametrize(
    "source", ['import a from "./a.js";\n', "export default 1;\n", 'import { a } from "./main.js";\n']
)
def test_what_cannot_be_joined_is_an_error(tmp_path: Path, source: str) -> None:
    (tmp_path / "main.js").write_text(source)
    with pytest.raises(ValueError, match=r"cannot join|a cycle"):
        join(tmp_path, "main.js")


def test_a_page_without_script_allows_none() -> None:
    assert "script-src 'none';" in Page("<p>Hello").policy
