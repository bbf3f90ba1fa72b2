"""Forms of real clients: a key is stored as its sender named it, or the form is refused."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.problems import Problem
from gateway.settings import Limits
from gateway.wire.disposition import NoName, name_of
from gateway.wire.form import FormDecoder
from gateway.wire.pairs import Pair
from tests.forms import CLIENTS, CannotSend, Form

LIMITS = Limits()


def decode(form: Form) -> list[Pair]:
    content_type, body = form
    decoder = FormDecoder(content_type, LIMITS)
    decoder.feed(body)
    return decoder.pairs()


TRICKY = [
    *("user:1", "a/b", "naïve", "a[b]", "a b", "50% off", "a\\b", "a\\\\b", 'a"b', "a%22b", "a%0Ab", "a%20b"),
    *("a\nb", "a\r\nb", "a\r\n b", "a\r\nb: c", "a\tb", "a\0b", "=?utf-8?B?bmHDr3Zl?=", "utf-8''a%C3%A9"),
    *('a"; name="b', "a; name=b", '"', '""', '"a"', "\\", '\\"', '"\\', "", " ", " a ", "a'b", "名前", "😀"),
    *("\x1b", "\x7f", "\x85", "\u2028", "\ufeff", "a,b", "<a>", "a?b#c", "*", "name", "name*", "filename"),
    *("a=b", "a;b", "%"),
]

NAMES = (
    st.sampled_from(TRICKY)
    | st.text(st.sampled_from("ab \"\\%2'?=;:*é\r\n\t,/[]"), max_size=12)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
)


@settings(max_examples=400, deadline=None)
@given(NAMES, st.binary(max_size=20))
@example("a\r\n b", b"1")
@example("a%22b", b"1")
@pytest.mark.parametrize("client", CLIENTS)
def test_no_client_has_another_key_stored_than_it_named(client: str, name: str, value: bytes) -> None:
    try:
        form = CLIENTS[client](name, value)
    except CannotSend:
        return
    with suppress(Problem):
        assert decode(form) == [(name, value)]


USUAL = [
    "greeting",
    "user:1",
    "logo.png",
    "a/b",
    "a[b]",
    "naïve",
    "naïve-key",
    "名前",
    "😀",
    "50%",
    "a'b",
    "",
]

REFUSED_BY = {
    # What a client writes in a way that could be meant otherwise, of the names above.
    "aiohttp before 3.8": {"user:1", "a/b", "a[b]", "naïve", "naïve-key", "名前", "😀", "50%", "a'b"},
    ".NET": {"naïve", "naïve-key", "名前", "😀"},
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize("name", USUAL)
def test_usual_names_are_taken_of_every_client(client: str, name: str) -> None:
    form = CLIENTS[client](name, b"v")
    if name in REFUSED_BY.get(client, set()):
        with pytest.raises(Problem):
            decode(form)
    else:
        assert decode(form) == [(name, b"v")]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ('form-data; name="a"', "a"),
        ('Form-Data ; Name = "a" ;', "a"),
        ('form-data;name="a";filename="b"', "a"),
        ('form-data; filename="b"; name="a"', "a"),
        ("form-data; name=a; filename=b", "a"),
        ("form-data; name=!#$&'*+-.^_`|~%1", "!#$&'*+-.^_`|~%1"),
        ('form-data; name=""', ""),
        ('form-data; name="a"; size=1', "a"),
        ('form-data; name="a;b"; filename="c\\"d"', "a;b"),
        ('form-data; name="a"; filename="c\\"', "a"),
        ('form-data; name="a"; filename="C:\\dir\\"', "a"),
        ("form-data; name*=utf-8''na%C3%AFve", "naïve"),
        ("form-data; name*=UTF-8'en'%22%5C%25", '"\\%'),
        ("form-data; name*=iso-8859-1''%E9", "é"),
        ("form-data; name=\"naive\"; name*=utf-8''na%C3%AFve", "naïve"),
        ("form-data; name*=utf-8''", ""),
    ],
)
def test_a_name_is_read(header: str, name: str) -> None:
    assert name_of(header) == name


@pytest.mark.parametrize(
    ("header", "told"),
    [
        ("form-data", "has no name"),
        ('form-data; filename="a"', "has no name"),
        ("attachment; name=a", "is not form-data"),
        ("form-data; name=user:1", "Write it in quotes"),
        ("form-data; name=a/b", "Write it in quotes"),
        ("form-data; name=a b", "Write it in quotes"),
        ("form-data; name=a[b]", "Write it in quotes"),
        ("form-data; name=naïve", "Write it in quotes"),
        ("form-data; name=", "Write it in quotes"),
        ("form-data; name=x;y=z", "Write it in quotes"),
        ('form-data; name="a', "Write it in quotes"),
        ('form-data; name="a"b', "Write it in quotes"),
        ('form-data; name="a" b', "Write it in quotes"),
        ("form-data; name", "cannot be read"),
        ('form-data; name="a"; b', "cannot be read"),
        ('form-data; name="a"; name="b"', "twice"),
        ('form-data; name="a"; NAME="b"', "twice"),
        ('form-data; name="a\\ b"', "Send this key as JSON"),
        ('form-data; name="a\\\\b"', "Send this key as JSON"),
        ('form-data; name="a%22b"', "Send this key as JSON"),
        ('form-data; name="a%0ab"', "Send this key as JSON"),
        ("form-data; name=user%3A1", "Send this key as JSON"),
        ('form-data; name="=?utf-8?B?bmHDr3Zl?="', "Send this key as JSON"),
        ('form-data; name="=?UTF-8?q?na=C3=AFve?= b"', "Send this key as JSON"),
        ("form-data; name*=utf-8''%ff", "Send this key as JSON"),
        ("form-data; name*=utf-8''%e", "Send this key as JSON"),
        ("form-data; name*=koi8-r''%C1", "Send this key as JSON"),
        ("form-data; name*=a", "Send this key as JSON"),
    ],
)
def test_a_name_that_could_be_another_is_refused(header: str, told: str) -> None:
    with pytest.raises(NoName, match=told):
        name_of(header)


@pytest.mark.parametrize("tail", ['"', "\\", '\\"', "; a", '; a="', '; a="\\"', "; name*=utf-8''%4", "%"])
def test_a_long_header_costs_no_more_than_its_length(tail: str) -> None:
    """No expression goes back over what it has read: this would take hours."""
    header = 'form-data; name="' + tail * 20_000
    with pytest.raises(NoName):
        name_of(header + "\0")


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        (["Content-Type: multipart/mixed; boundary=x"], "a form itself"),
        (["content-type: Multipart/Mixed"], "a form itself"),
        (["Content-Transfer-Encoding: base64"], "content-transfer-encoding"),
        (["Content-Transfer-Encoding: quoted-printable"], "content-transfer-encoding"),
        (['Content-Disposition: form-data; name="b"'], "twice"),
        (["X: 1", "x: 2"], "twice"),
        (["X: 1", " 2"], "folded"),
    ],
)
def test_a_part_that_is_not_one_value_as_it_is_is_refused(headers: list[str], told: str) -> None:
    lines = ['--xyz\r\nContent-Disposition: form-data; name="a"', *headers, "", "value", "--xyz--", ""]
    with pytest.raises(Problem, match=told) as problem:
        decode(("multipart/form-data; boundary=xyz", "\r\n".join(lines).encode()))
    assert (problem.value.code, problem.value.members) == ("malformed-body", {"pointer": "/pairs/0"})


@pytest.mark.parametrize("encoding", ["7bit", "8BIT", "binary"])
def test_a_part_may_say_that_it_is_not_encoded(encoding: str) -> None:
    part = f'Content-Disposition: form-data; name="a"\r\nContent-Transfer-Encoding: {encoding}'
    body = f"--xyz\r\n{part}\r\n\r\nv\r\n--xyz--\r\n".encode()
    assert decode(("multipart/form-data; boundary=xyz", body)) == [("a", b"v")]
