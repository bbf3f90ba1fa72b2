"""`make token`: a token that the gateway accepts, and an entry without it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from gateway.settings import Access
from tests.unit.test_gateway import SmallHost
from tests.unit.test_tokens import send
from tools import token as tool


def printed(
    settings: Mapping[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """The exit code, stdout and stderr."""
    for name in ("NAME", "SCOPE", "STORES", "PREFIX"):
        monkeypatch.delenv(name, raising=False)
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    code = tool.main()
    return code, *capsys.readouterr()


def test_the_gateway_accepts_what_it_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = {"NAME": "ci", "SCOPE": "read", "STORES": "default, other", "PREFIX": 'ci:"é'}
    code, out, told = printed(settings, monkeypatch, capsys)
    assert code == 0
    token, text = (line.partition(":")[2].strip() for line in out.splitlines())
    assert len(token) == 43
    assert token not in text + told
    made = json.loads(text)
    assert (made["name"], made["scope"]) == ("ci", "read")
    assert (made["stores"], made["prefix"]) == (["default", "other"], 'ci:"é')
    assert [each.name for each in Access.of({"tokens": f"[{text}]"}.get).tokens] == ["ci"]
    where = SmallHost(anonymous="none", tokens=f"[{text}]")
    assert send(where, "GET", "/v1/default/keys", token=token)[0] == 200
    assert send(where, "DELETE", "/v1/default?key=a", token=token)[0] == 403
    assert printed(settings, monkeypatch, capsys)[1] != out


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "the name of entry 1"),
        ({"NAME": "a b", "SCOPE": "read"}, "the name"),
        ({"NAME": "a"}, "the scope"),
    ],
)
def test_what_it_cannot_use_is_told(
    settings: dict[str, str],
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code, out, said = printed(settings, monkeypatch, capsys)
    assert (code, out) == (2, "")
    assert told in said
    assert "Use make token NAME=ci SCOPE=read" in said
