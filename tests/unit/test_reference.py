"""The API reference, `GET /docs`: it has everything that the OpenAPI document has, and loads nothing."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from html import escape, unescape
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from gateway.pages import reference
from gateway.problems import PROBLEMS
from tests.unit.test_gateway import SmallHost, ask
from tools.api.openapi import DOCUMENT
from tools.api.reference import MEMBERS, curls

HTML = reference("").html.decode()

OPERATIONS = [
    (method.upper(), path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method not in {"parameters", "head"}
]


class Elements(HTMLParser):
    """The elements of a page, and whether each was closed in its turn."""

    VOID = ("meta", "br", "link")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag


def section(identifier: str) -> str:
    """The section of an operation or of a problem."""
    (text,) = re.findall(rf'<section aria-labelledby="{identifier}">(.*?)</section>', HTML, re.DOTALL)
    return str(text)


@pytest.mark.parametrize(("method", "path", "operation"), OPERATIONS)
def test_an_operation_has_its_section(method: str, path: str, operation: dict[str, object]) -> None:
    text = section(str(operation["operationId"]))
    parameters = operation.get("parameters", [])
    assert isinstance(parameters, list)
    assert [each["name"] for each in parameters if f"<code>{each['name']}</code>" not in text] == []
    asked = [line for _, line in curls(method, "u", operation, DOCUMENT)]
    assert all(("-X DELETE" in line) is (method == "DELETE") for line in asked)
    assert [line for line in asked if escape(line.removesuffix("u")) not in text] == []
    assert text.count('<pre class="curl"') == len(list(curls(method, "u", operation, DOCUMENT))) >= 1
    responses = operation["responses"]
    assert isinstance(responses, dict)
    codes = [code for code, (status, _) in PROBLEMS.items() if str(status) in responses]
    # /readyz has a 503 that is no problem.
    assert [code for code in codes if path != "/readyz" and f'href="#{code}"' not in text] == []


@pytest.mark.parametrize("code", PROBLEMS)
def test_a_problem_has_its_members(code: str) -> None:
    status, title = PROBLEMS[code]
    example = DOCUMENT["components"]["responses"][str(status)]["content"]["application/problem+json"]
    text = section(code)
    assert title in unescape(text)
    standard = {"type", "title", "status", "detail"}
    shown = set(example["examples"][code]["value"]) - standard
    assert shown <= set(MEMBERS.get(code, ()))
    assert set(re.findall(r'<th scope="row"><code>(\w+)</code>', text)) == set(MEMBERS.get(code, ()))


def test_each_member_of_a_problem_belongs_to_some_problem() -> None:
    properties = set(DOCUMENT["components"]["schemas"]["Problem"]["properties"])
    assert {name for names in MEMBERS.values() for name in names} == properties - {
        "type",
        "title",
        "status",
        "detail",
    }


def test_every_link_leads_somewhere_and_every_id_is_unique() -> None:
    elements = Elements(HTML).seen
    ids = Counter(attributes["id"] for _, attributes in elements if "id" in attributes)
    assert max(ids.values()) == 1
    links = [attributes["href"] or "" for _, attributes in elements if "href" in attributes]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    assert [link for link in links if not link.startswith("#")] == ["/openapi.json", "/"]


def test_the_page_loads_nothing_and_has_no_script() -> None:
    elements = Elements(HTML).seen
    assert not {tag for tag, _ in elements} & {"script", "link", "img", "iframe", "form", "object"}
    assert not [name for _, attributes in elements for name in attributes if name in {"src", "style"}]
    assert "url(" not in HTML
    assert "@import" not in HTML
    assert "script-src 'none'" in reference("").policy
    assert "style-src 'sha256-" in reference("").policy


def test_no_two_regions_have_the_same_name() -> None:
    names = Counter(attributes["aria-label"] for _, attributes in Elements(HTML).seen if "role" in attributes)
    assert max(names.values()) == 1


def test_headings_follow_each_other() -> None:
    levels = [int(tag[1]) for tag, _ in Elements(HTML).seen if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_under_a_route_the_curl_lines_and_links_have_it() -> None:
    text = reference("/a/b").html.decode()
    assert text.count("http://127.0.0.1:3000/a/b/") == HTML.count("http://127.0.0.1:3000/")
    assert 'href="/a/b/openapi.json"' in text
    assert 'href="/a/b/"' in text
    Elements(text)


def test_a_base_means_nothing_to_a_shell_or_in_html() -> None:
    """A route may have a wildcard, so a client chooses a part of the path."""
    text = reference("""/a'"&$(x);<b>%20""").html.decode()
    assert text.count("http://127.0.0.1:3000/a%27%22%26%24%28x%29%3B%3Cb%3E%20/") == HTML.count(
        "http://127.0.0.1:3000/"
    )
    Elements(text)


def test_what_a_shell_reads_otherwise_is_quoted() -> None:
    operation = {
        "requestBody": {
            "content": {"application/x-ndjson": {"schema": {}, "example": '{"key": "it\'s"}\n{}\n'}}
        }
    }
    ((_, line),) = curls("POST", "http://h/?a&b", operation, DOCUMENT)
    assert shlex.split(line)[2:4] == ['{"key": "it\'s"}', "{}"]
    assert shlex.split(line)[-1] == "http://h/?a&b"


def test_it_needs_no_token_and_has_one_method() -> None:
    answer = ask(SmallHost(anonymous="none"), "GET", "/docs")
    assert (answer.status, dict(answer.headers)["content-type"]) == (200, "text/html; charset=utf-8")
    assert ask(SmallHost(), "POST", "/docs").status == 405
