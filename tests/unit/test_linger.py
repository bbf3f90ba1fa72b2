"""Whose bodies are read on for how long."""

from __future__ import annotations

import pytest

from gateway import linger
from gateway.gateway import Gateway
from tests.buckets import Sqlite
from tests.unit.test_gateway import SmallHost, ask


def test_a_stranger_is_read_from_less_than_a_caller() -> None:
    for name in ("bytes", "seconds", "silence"):
        assert getattr(linger.STRANGERS, name) < getattr(linger.CALLERS, name)


@pytest.mark.parametrize("token", [None, "wrong", "reader", "writer"])
@pytest.mark.parametrize(
    ("method", "target", "scope"),
    [
        ("POST", "/v1/default/set-many", "write"),
        ("POST", "/v1/default/set-many?end=maybe", None),
        ("POST", "/v1/default/get-many", "read"),
        ("POST", "/v1/default/nothing", None),
        ("PATCH", "/v1/default/get-many", None),
        ("GET", "/readyz", None),
        ("POST", "/readyz", None),
        ("GET", "/", None),
    ],
)
def test_the_token_shows_a_caller_and_not_the_status(
    token: str | None, method: str, target: str, scope: str | None
) -> None:
    """A stranger may be answered 400, 503 or 200 too."""
    gateway = Gateway(SmallHost(Sqlite(), anonymous="none", read_token="reader", write_token="writer"))
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    answer = ask(gateway, method, target, b"", **headers)
    known = token == "writer" and "set-many" in target
    assert answer.authorized == (known or (scope == "read" and token in ("reader", "writer")))
