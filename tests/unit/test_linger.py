"""Whose bodies are read on for how long."""

from __future__ import annotations

import pytest

from gateway import linger


def test_a_stranger_is_read_from_less_than_a_caller() -> None:
    for name in ("bytes", "seconds", "silence"):
        assert getattr(linger.STRANGERS, name) < getattr(linger.CALLERS, name)


@pytest.mark.parametrize("status", [200, 401, 403, 404, 405, 500])
def test_what_anyone_can_be_answered_is_no_sign_of_a_caller(status: int) -> None:
    assert linger.limits(status) is linger.STRANGERS


@pytest.mark.parametrize("status", [400, 413, 415, 502, 503])
def test_what_only_a_caller_can_be_answered_is(status: int) -> None:
    assert linger.limits(status) is linger.CALLERS
