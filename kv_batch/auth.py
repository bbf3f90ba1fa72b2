"""Who may do what: bearer tokens (RFC 6750) and the anonymous caller. Closed unless configured."""

from __future__ import annotations

import hmac

from kv_batch.errors import Problem
from kv_batch.settings import Access, Scope

_ALLOWS: dict[Scope, frozenset[Scope]] = {
    "none": frozenset(),
    "read": frozenset({"read"}),
    "write": frozenset({"read", "write"}),
}


def scope_of(authorization: str | None, access: Access) -> Scope:
    """What a caller may do: "read", or "write" (which includes reading).

    Args:
        authorization: The header of that name, as latin-1; None where there is none.

    Raises:
        Problem: `unauthorized`, for a wrong token also where an anonymous caller would be let in: who
            sends a token wants to know that it is wrong.
    """
    if authorization is None:
        if access.anonymous != "none":
            return access.anonymous
        if access.read_token or access.write_token:
            raise _unauthorized("Send one: authorization: Bearer TOKEN.", [])
        raise _unauthorized(
            "No token is set, so nobody is let in: whoever runs this gateway sets write_token or read_token, "
            "as SPIN_VARIABLE_WRITE_TOKEN for example.",
            [],
        )
    scheme, _, token = authorization.partition(" ")
    given = token.strip().encode("latin-1")
    # Both are compared, always: the time says nothing of which one came close.
    may_write = _same(given, access.write_token)
    may_read = _same(given, access.read_token)
    if scheme.lower() != "bearer":
        raise _unauthorized("The scheme must be Bearer: authorization: Bearer TOKEN.", [])
    if may_write:
        return "write"
    if may_read:
        return "read"
    raise _unauthorized("The token is not one of this gateway's.", ['error="invalid_token"'])


def require(scope: Scope, needed: Scope) -> None:
    """Raises:
    Problem: `forbidden`, where a caller with `scope` needs more.
    """
    if needed not in _ALLOWS[scope]:
        raise Problem(
            "forbidden",
            "This changes the store, and the caller may only read. Send the write token.",
            headers=[("www-authenticate", 'Bearer error="insufficient_scope", scope="write"')],
        )


def _same(given: bytes, configured: str) -> bool:
    # An empty setting is no token, and must match nothing.
    return hmac.compare_digest(given, configured.encode()) and configured != ""


def _unauthorized(detail: str, parameters: list[str]) -> Problem:
    challenge = " ".join(["Bearer", *parameters])
    return Problem("unauthorized", f"A token is needed. {detail}", headers=[("www-authenticate", challenge)])
