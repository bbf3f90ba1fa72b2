"""Forms as client libraries write them, byte for byte. Each library writes the name of a part differently.

The code of httpx and urllib3 (requests) is called, since these packages are installed for the tests. The
other writers reimplement the sources that their docstrings name.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from urllib.parse import quote

import httpx
from urllib3.filepost import encode_multipart_formdata

BOUNDARY = "----boundary"

Form = tuple[str, bytes]
"""A content type and a body."""


class CannotSend(Exception):
    """The library itself refuses this name."""


def _written(disposition: str, value: bytes) -> Form:
    head = f"--{BOUNDARY}\r\nContent-Disposition: form-data; {disposition}\r\n\r\n".encode()
    return f"multipart/form-data; boundary={BOUNDARY}", head + value + f"\r\n--{BOUNDARY}--\r\n".encode()


def _whatwg(name: str) -> str:
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")


def _backslashed(name: str) -> str:
    return name.replace("\\", "\\\\").replace('"', '\\"')


def curl(name: str, value: bytes) -> Form:
    """curl 7.81 and later, lib/mime.c, escape_string: it escapes only characters that would end the string.

    Browsers and Node (undici, lib/web/fetch/body.js) write the same.
    """
    return _written(f'name="{_whatwg(name)}"', value)


def older_curl(name: str, value: bytes) -> Form:
    """curl before 7.81 (or with --form-escape)."""
    if "\r" in name or "\n" in name:
        raise CannotSend
    return _written(f'name="{_backslashed(name)}"', value)


def urllib3(name: str, value: bytes) -> Form:
    """urllib3 2, and requests with it."""
    body, content_type = encode_multipart_formdata([(name, value)])
    return content_type, body


def older_requests(name: str, value: bytes) -> Form:
    """requests with urllib3 before 1.25, fields.py, format_header_param: RFC 2231 if escapes are needed."""
    if not any(character in name for character in '"\\\r\n') and name.isascii():
        return _written(f'name="{name}"', value)
    return _written(f"name*=utf-8''{quote(name)}", value)


def httpx_(name: str, value: bytes) -> Form:
    """httpx, the installed version."""
    request = httpx.Request("POST", "http://localhost", files={name: ("f", value)})
    return request.headers["content-type"], request.read()


def aiohttp(name: str, value: bytes) -> Form:
    """aiohttp 3.14, helpers.py, content_disposition_header and quoted_string."""
    if {chr(code) for code in range(0x20, 0x7F)} | {"\t"} > set(name):
        quoted = re.sub(r"[^\041\043-\133\135-\176]", lambda found: "\\" + found[0], name)
        return _written(f'name="{quoted}"; filename="f"', value)
    return _written(f"name*=utf-8''{quote(name, '')}; filename=\"f\"", value)


def older_aiohttp(name: str, value: bytes) -> Form:
    """aiohttp before 3.8, helpers.py, content_disposition_header: percent-encodes and quotes everything."""
    return _written(f'name="{quote(name, "")}"', value)


def go(name: str, value: bytes) -> Form:
    """Go 1.26, mime/multipart/writer.go, escapeQuotes."""
    escaped = _backslashed(name).replace("\r", "%0D").replace("\n", "%0A")
    return _written(f'name="{escaped}"', value)


def older_go(name: str, value: bytes) -> Form:
    """Older releases of Go, the same function: it does not escape line ends."""
    return _written(f'name="{_backslashed(name)}"', value)


def dot_net(name: str, value: bytes) -> Form:
    """.NET, ContentDispositionHeaderValue.cs, EncodeAndQuoteMime.

    A token is not quoted, and a name that is not ASCII becomes an encoded word.
    """
    if '"' in name or "\r" in name or "\n" in name:
        raise CannotSend
    if not name.isascii():
        return _written(f'name="=?utf-8?B?{base64.b64encode(name.encode()).decode()}?="', value)
    if re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
        return _written(f"name={name}", value)
    return _written(f'name="{name}"', value)


CLIENTS: dict[str, Callable[[str, bytes], Form]] = {
    "curl, browsers, Node": curl,
    "curl before 7.81": older_curl,
    "requests, urllib3": urllib3,
    "requests over urllib3 before 1.25": older_requests,
    "httpx": httpx_,
    "aiohttp": aiohttp,
    "aiohttp before 3.8": older_aiohttp,
    "Go": go,
    "Go, older": older_go,
    ".NET": dot_net,
}
"""For each client: a function that writes a form of one part, given its name and value."""
