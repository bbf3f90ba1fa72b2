"""The API reference: the OpenAPI document as a page for people.

The page is complete without a script. Each operation has the curl line of each kind of body, its parameters,
and the problems that it may answer.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Any, Final

from gateway.problems import PROBLEM, PROBLEMS
from gateway.wire.media import FORM, JSON, NDJSON
from tools.api.openapi import Json

ADDRESS = "http://127.0.0.1:3000"
"""The address of the gateway in the curl lines: that of `make up`."""

_STYLE: Final = Path(__file__).with_name("reference.css").read_text(encoding="utf-8")

_LONG = 110
"""Examples of more characters are indented."""

_PLACE = ("pointer", "line", "applied", "failed", "resume_line")
"""Of these a JSON body or a form has `pointer`, and NDJSON has the others."""

_REPORT = ("applied", "failed", "not_attempted", "resume_line")

MEMBERS: Final[dict[str, tuple[str, ...]]] = {
    "malformed-body": _PLACE,
    "malformed-query": ("parameter",),
    "invalid-key": ("parameter", *_PLACE),
    "invalid-value": _PLACE,
    "forbidden": ("parameter", *_PLACE),
    "too-large": ("limit", "actual", "parameter", *_PLACE),
    "misconfigured": ("variable",),
    "internal-error": ("request_id",),
    "store-failed": _REPORT,
    "store-busy": _REPORT,
}
"""The members that a problem may have beside those of every problem. Which it has depends on the request."""

_STANDARD = ("type", "title", "status", "detail")
"""The members of every problem."""


def html(document: Json, base: str) -> str:
    """An OpenAPI document as one HTML text that loads nothing, for a gateway mounted at the path `base`."""
    operations = [
        (method, path, item[method], item.get("parameters", []))
        for path, item in document["paths"].items()
        for method in item
        if method in {"get", "post", "delete"}
    ]
    info = document["info"]
    sections = [
        _operation(
            document, base, method.upper(), path, operation, [*common, *operation.get("parameters", [])]
        )
        for method, path, operation, common in operations
    ]
    contents = "".join(
        f'<li><a href="#{escape(operation["operationId"])}"><b>{method.upper()} </b>{escape(path)}</a></li>'
        for method, path, operation, _ in operations
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>API reference of kv-batch {escape(info["version"])}</title>
<style>{_STYLE}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the operations</a>
<header>
<h1>kv-batch: API reference</h1>
<p>{escape(info["summary"])}. Version {escape(info["version"])};
<a href="{escape(base)}/openapi.json">the same as OpenAPI {escape(document["openapi"])}</a>;
<a href="{escape(base)}/">the console</a>.</p>
</header>
<nav aria-label="Operations"><ul>{contents}<li><a href="#problems">Problems</a></li></ul></nav>
<main id="main">
{"".join(f"<p>{_prose(text)}</p>" for text in info["description"].split(chr(10) * 2))}
<h2 id="tokens">Tokens</h2>
<p>{_prose(document["components"]["securitySchemes"]["token"]["description"])} With a token, add
<code>-H 'authorization: Bearer TOKEN'</code> to the curl lines. HEAD works wherever GET does.</p>
{"".join(sections)}
<h2 id="problems">Problems</h2>
<p>{_prose(document["components"]["schemas"]["Problem"]["description"])} The media type is
<code>{PROBLEM}</code>. Every problem has the members <code>type</code>, <code>title</code>,
<code>status</code> and <code>detail</code>; a problem may have further ones, which are listed with it.</p>
{"".join(_problem(document, code) for code in PROBLEMS)}
</main>
</body>
</html>
"""


def curls(method: str, url: str, operation: Json, document: Json) -> Iterator[tuple[str, str]]:
    """The curl lines of an operation, each with the media type of its body; empty if it has none.

    They are made from the examples of the document.
    """
    verb = "" if method == "GET" else f"-X {method} "
    contents = operation.get("requestBody", {}).get("content", {})
    if not contents:
        yield "", f"curl {verb}{shlex.quote(url)}"
    for media_type, content in contents.items():
        example = content.get("example", _resolved(document, content["schema"]).get("example"))
        if media_type == JSON:
            yield media_type, f"curl --json {shlex.quote(json.dumps(example))} {shlex.quote(url)}"
        elif media_type == FORM:
            parts = " ".join(f"-F {shlex.quote(f'{key}={value}')}" for key, value in example.items())
            yield media_type, f"curl {parts} {shlex.quote(url)}"
        else:
            lines = " ".join(map(shlex.quote, example.splitlines()))
            header = shlex.quote(f"content-type: {media_type}")
            yield media_type, f"printf '%s\\n' {lines} | curl -X POST -H {header} -T - {shlex.quote(url)}"


def _operation(
    document: Json, base: str, method: str, path: str, operation: Json, parameters: list[Json]
) -> str:
    name = escape(operation["operationId"])
    url = ADDRESS + base + path.replace("{store}", "default") + _query(parameters)
    lines = "".join(
        _KINDS[media_type] + _code(line, f"curl line of {method} {path} {media_type}", "curl")
        for media_type, line in curls(method, url, operation, document)
    )
    answers, problems = [], []
    for status, given in operation["responses"].items():
        answer = _resolved(document, given)
        content = answer.get("content", {})
        if PROBLEM in content:
            problems += [(status, code) for code in content[PROBLEM]["examples"]]
            continue
        examples = "".join(
            _code(_text(each["example"]), f"answer {status} of {method} {path}, {media_type}")
            for media_type, each in content.items()
            if "example" in each
        )
        answers.append(f"<p><b>{status}</b> {_prose(answer['description'])}</p>{examples}")
    rows = [
        f'<th scope="row"><code>{escape(each["name"])}</code></th><td>{each["in"]}</td>'
        f"<td>{'yes' if each.get('required') else 'no'}</td><td>{_prose(each['description'])}"
        f"{_range(each['schema'])}</td>"
        for each in parameters
    ]
    codes = "".join(
        f'<li>{status} <a href="#{code}"><code>{code}</code></a>{_members(code)}</li>'
        for status, code in problems
    )
    return f"""<section aria-labelledby="{name}">
<h2 id="{name}"><span class="method">{method}</span> <code>{escape(base + path)}</code></h2>
<p><b>{escape(operation["summary"])}.</b> {_prose(operation.get("description", ""))}</p>
{lines}
{_table(("parameter", "in", "required", "what"), rows, f"Parameters of {method} {path}")}
<h3>Answers</h3>
{"".join(answers)}
{f"<h3>Problems</h3><ul>{codes}</ul>" if codes else ""}
</section>
"""


_KINDS: Final = {
    JSON: "<p>As JSON:</p>",
    NDJSON: "<p>As lines (NDJSON) of any length; <code>-T FILE</code> sends a file:</p>",
    FORM: "<p>As a form; <code>-F KEY=@FILE</code> sends a file as a value:</p>",
    "": "",
}
"""What is said above a curl line, by the media type of its body."""


def _problem(document: Json, code: str) -> str:
    status, title = PROBLEMS[code]
    example = _example(document, code)
    properties = document["components"]["schemas"]["Problem"]["properties"]
    rows = [
        f'<th scope="row"><code>{name}</code></th><td>{properties[name]["type"]}</td>'
        f"<td>{_prose(properties[name]['description'])}</td>"
        for name in MEMBERS.get(code, ())
    ]
    return f"""<section aria-labelledby="{code}">
<h3 id="{code}">{status} <code>{code}</code></h3>
<p>{escape(title)}.</p>
{_table(("member", "type", "what"), rows, f"Members of {code}")}
{_code(_text(example), f"example of {code}")}
</section>
"""


def _members(code: str) -> str:
    """The members of a problem, for a list."""
    names = ", ".join(f"<code>{name}</code>" for name in MEMBERS.get(code, ()))
    return f": {names}" if names else ""


def _example(document: Json, code: str) -> Json:
    answer = document["components"]["responses"][str(PROBLEMS[code][0])]
    example: Json = answer["content"][PROBLEM]["examples"][code]["value"]
    return example


def _query(parameters: list[Json]) -> str:
    """The query of the examples of the parameters; empty if none has one."""
    given = [
        f"{each['name']}={value}"
        for each in parameters
        if each["in"] == "query" and "example" in each
        for value in (each["example"] if isinstance(each["example"], list) else [each["example"]])
    ]
    return "?" + "&".join(given) if given else ""


def _range(schema: Json) -> str:
    """The values that a parameter may have, if they are few or bounded."""
    if "enum" in schema:
        return f" Only <code>{escape(', '.join(schema['enum']))}</code>."
    if "maximum" in schema:
        return f" {schema['minimum']} to {schema['maximum']}; {schema['default']} if it is not given."
    return ""


def _table(heads: tuple[str, ...], rows: list[str], caption: str) -> str:
    if not rows:
        return ""
    head = "".join(f'<th scope="col">{each}</th>' for each in heads)
    body = "".join(f"<tr>{row}</tr>" for row in rows)
    return (
        f'<div class="wide" role="region" aria-label="{escape(caption)}" tabindex="0"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _code(text: str, label: str, kind: str = "answer") -> str:
    """A block of code that the keyboard can scroll."""
    attributes = f'class="{kind}" tabindex="0" role="region" aria-label="{escape(label)}"'
    return f"<pre {attributes}><code>{escape(text)}</code></pre>"


def _prose(text: str) -> str:
    """A description, with what stands between backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def _text(example: object) -> str:
    """An example as it is answered, and indented if it is long."""
    if isinstance(example, str):
        return example
    line = json.dumps(example, ensure_ascii=False)
    return line if len(line) <= _LONG else json.dumps(example, ensure_ascii=False, indent=1)


def _resolved(document: Json, node: Json) -> Json:
    """What a `$ref` refers to, or the node itself."""
    while "$ref" in node:
        found: Any = document
        for step in node["$ref"].removeprefix("#/").split("/"):
            found = found[step]
        node = found
    return node
