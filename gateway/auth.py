"""Authorizes callers: bearer tokens (RFC 6750) and anonymous callers. Without settings nobody has access.

A page of another origin is refused as an anonymous caller. A browser sends a form to any address that a page
names, without asking the gateway first, and with DNS rebinding a page can read the answers as well.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

from gateway.problems import INSUFFICIENT_SCOPE, Problem
from gateway.settings import Access, Scope, Token

_ALLOWS: dict[Scope, frozenset[Scope]] = {
    "none": frozenset(),
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
}


_PORTS = {"http": "80", "https": "443"}
"""The default port of each scheme."""

_ORIGIN = re.compile(r"(https?)://([^/?#@\s]+)")
_BLANKS = " \t"
"""The white space of a header (RFC 9110 section 5.6.3). `str.strip()` would cut the last byte of `à`."""


@dataclass(frozen=True)
class Caller:
    """Who sent a request, and what they may do.

    Attributes:
        scope: "read", or "write", which includes "read".
        name: The name of the token: that of an entry of `tokens`, or the variable; None without a token.
        stores: The labels of the stores that the caller may use; None for all.
        prefix: The start of every key that the caller may name.
    """

    scope: Scope
    name: str | None = None
    stores: frozenset[str] | None = None
    prefix: str = ""


def authenticate(headers: Mapping[str, str], access: Access) -> Caller:
    """The caller of a request.

    Args:
        headers: The headers of the request by lower-case name, decoded as latin-1.
        access: The settings.

    Raises:
        Problem: `unauthorized`: the token is missing or wrong. A wrong token is refused even if anonymous
            callers have access, so that the caller learns that it is wrong. `forbidden`: the request comes
            from a page of another origin, or names a host that is not allowed.
    """
    authorization = headers.get("authorization")
    if authorization is None:
        if access.anonymous != "none":
            _refuse_pages(headers, access)
            return Caller(access.anonymous)
        if access.read_token or access.write_token or access.tokens:
            raise _unauthorized("Send one: authorization: Bearer TOKEN.", [])
        raise _unauthorized(
            "This gateway has no token configured, so it refuses every request. Its operator must set the "
            "component's variable write_token, read_token or tokens: SPIN_VARIABLE_WRITE_TOKEN, or with the "
            "prefix of the app's variables SPIN_VARIABLE_PREFIX_WRITE_TOKEN.",
            [],
        )
    scheme, _, token = authorization.strip(_BLANKS).partition(" ")
    given = token.strip(_BLANKS).encode("latin-1")
    # The token is always compared with all, so that the time does not show which one it resembles.
    may_write = _same(given, access.write_token)
    may_read = _same(given, access.read_token)
    named = _named(given, access.tokens) if access.tokens else None
    if scheme.lower() != "bearer":
        raise _unauthorized("The scheme must be Bearer: authorization: Bearer TOKEN.", [])
    if may_write:
        return Caller("write", "write_token")
    if may_read:
        return Caller("read", "read_token")
    if named is not None:
        return Caller(named.scope, named.name, named.stores, named.prefix)
    raise _unauthorized("The token that was sent is not valid for this gateway.", ['error="invalid_token"'])


def require(caller: Caller, needed: Scope, label: str) -> None:
    """Checks that a caller may do what is needed with the store of that label.

    Raises:
        Problem: `forbidden`: the caller may not.
    """
    if caller.stores is not None and label not in caller.stores:
        raise _forbidden(
            f"The token is not valid for the store {label[:100]}. Use another token.", INSUFFICIENT_SCOPE
        )
    if needed not in _ALLOWS[caller.scope]:
        raise _forbidden(
            "This request changes the store, but the caller may only read. Send the write token.",
            f'{INSUFFICIENT_SCOPE}, scope="write"',
        )


def _refuse_pages(headers: Mapping[str, str], access: Access) -> None:
    """Checks that a request without a token was not sent by a page of another origin
    (https://www.w3.org/TR/fetch-metadata/, RFC 6454 section 7).

    Raises:
        Problem: `forbidden`: it was, as a browser says, or the request names a host that is not allowed.
    """
    host = headers.get("host", "").strip(_BLANKS).lower()
    site = headers.get("sec-fetch-site")
    if site is not None and site.strip(_BLANKS).lower() not in ("same-origin", "none"):
        raise _page(f"a page of another origin (sec-fetch-site: {site[:100]})")
    origin = headers.get("origin")
    if origin is not None and not _is_own(origin.strip(_BLANKS).lower(), host):
        raise _page(f"a page of {origin[:200]}, but it addresses the gateway as {host[:200] or 'no host'}")
    if access.allowed_hosts and not access.allowed_hosts & {host, _with_port(host, "")[0]}:
        raise _forbidden(
            f"The request has no token and addresses the gateway as {host[:200] or 'no host'}, which is not "
            "among its allowed_hosts. Send a token, or use one of these hosts: "
            f"{', '.join(sorted(access.allowed_hosts))}."
        )


def _is_own(origin: str, host: str) -> bool:
    """Whether an origin has the host and port that the request was addressed to.

    The scheme is not compared, since TLS may end at a proxy in front.
    """
    match = _ORIGIN.fullmatch(origin)
    if match is None:  # "null": a sandboxed page, a file, a redirect
        return False
    port = _PORTS[match[1]]
    return _with_port(match[2], port) == _with_port(host, port)


def _with_port(authority: str, port: str) -> tuple[str, str]:
    host, colon, digits = authority.rpartition(":")
    if colon and re.fullmatch("[0-9]*", digits):
        return host, digits or port
    return authority, port


def _page(what: str) -> Problem:
    return _forbidden(
        f"The request has no token and comes from {what}. Send a token: authorization: Bearer TOKEN."
    )


def _forbidden(detail: str, challenge: str = "Bearer") -> Problem:
    return Problem("forbidden", detail, headers=[("www-authenticate", challenge)])


def _same(given: bytes, configured: str) -> bool:
    utf_8, latin_1 = _encodings(configured)
    same = hmac.compare_digest(given, utf_8) | hmac.compare_digest(given, latin_1)
    # An empty setting means that there is no token. It must match nothing.
    return same and configured != ""


@lru_cache(maxsize=2)
def _encodings(configured: str) -> tuple[bytes, bytes]:
    """A configured token as clients may send it: characters beyond ASCII come as UTF-8 (curl, Go) or as
    latin-1 (Python's http.client, fetch).
    """
    utf_8 = configured.encode()
    try:
        return utf_8, configured.encode("latin-1")
    except UnicodeEncodeError:
        return utf_8, utf_8


def _named(given: bytes, tokens: tuple[Token, ...]) -> Token | None:
    # A token that is not ASCII may arrive as UTF-8 or as latin-1. Its digest is that of UTF-8.
    digests = [sha256(sent).digest() for sent in (given, given.decode("latin-1").encode())]
    found = None
    for entry in tokens:
        if hmac.compare_digest(entry.digest, digests[0]) | hmac.compare_digest(entry.digest, digests[1]):
            found = found or entry
    return found


def _unauthorized(detail: str, parameters: list[str]) -> Problem:
    challenge = " ".join(["Bearer", *parameters])
    return Problem("unauthorized", f"A token is needed. {detail}", headers=[("www-authenticate", challenge)])
