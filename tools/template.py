"""Write a template for Spin: `python -m tools.template [SPIN [DIRECTORY]]`, or `make template`.

`spin templates install --dir build/template` installs it. `spin new -t kv-batch` then makes an app, and
`spin add -t kv-batch` adds the gateway to an app that exists. The template has the component itself, because
no component is published at a fixed address.

The manifests are made from `spin.toml`. Spin renders them with Liquid: `{{name}}` is replaced by the value of
a parameter. The expressions of Spin, `{{ read_token }}`, look the same, and are escaped with `{% raw %}`.

Arguments:
    SPIN: The version of Spin that will run the app, such as 4.0. By default that of the `spin` on PATH. If
        there is none, the component for 3.0 is taken, which every later Spin runs too.
    DIRECTORY: `build/template` by default. It is replaced.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tools.components import COMPONENTS, ROOT, Component, NoComponent, compiled, component_for
from tools.snippet import Placement, Variable, app_variables, component_tables, quoted
from tools.up.host import find_spin

TEMPLATE = ROOT / "build" / "template"

FILE = "kv-batch.wasm"
"""The file of the component in the app."""

METADATA = """\
manifest_version = "1"
id = "kv-batch"
description = "kv-batch: a batch key-value gateway over HTTP"
tags = ["http", "key-value"]

[add_component]
skip_files = ["spin.toml", ".gitignore"]
skip_parameters = ["description"]

[add_component.snippets]
component = "component.txt"
variables = "variables.txt"

[parameters]
description = { type = "string", prompt = "Description", default = "", pattern = '^[^"\\\\]*$' }
route = { type = "string", prompt = "Route of the gateway", default = "/...", pattern = '^/[^\\s"\\\\]*$' }
store = { type = "string", prompt = "Label of the key-value store", default = "default", \
pattern = '^[a-z][a-z0-9]*((-[a-z][a-z0-9]*)*|(_[a-z][a-z0-9]*)*)$' }
anonymous = { type = "string", prompt = "What callers without a token may do", default = "none", \
allowed_values = ["none", "read"] }
"""

NEW_APP = """\
spin_manifest_version = 2

[application]
name = "<<project-name | kebab_case>>"
version = "0.1.0"
description = "<<description>>"
authors = ["<<authors>>"]

# Set a variable from outside as SPIN_VARIABLE_NAME (in capitals) in the environment of Spin, or with
# `spin up --variable name=value`. With nothing set, every /v1 request is answered with 401.
[variables]
"""

OF_ITS_OWN = Placement(
    id="<<project-name | kebab_case>>",
    source=f'"{FILE}"',
    route="<<route | http_wildcard>>",
    store="<<store>>",
    anonymous="<<anonymous>>",
)
"""The component in a new app."""

ADDED = replace(
    OF_ITS_OWN,
    source=f'"<<output-path>>/{FILE}"',
    prefix="<<project-name | snake_case>>_",
)
"""The component in an app that it is added to."""


def write(directory: Path, component: Component) -> None:
    """Write the template.

    Args:
        directory: The directory, which is replaced.
        component: The component that the template brings.

    Raises:
        FileNotFoundError: the component has not been compiled.
    """
    data = compiled(component)
    shutil.rmtree(directory, ignore_errors=True)
    root = directory / "templates" / "kv-batch"
    texts = {
        "metadata/spin-template.toml": METADATA,
        "metadata/snippets/component.txt": liquid(component_tables(ADDED)),
        "metadata/snippets/variables.txt": liquid(declared(ADDED)),
        "content/spin.toml": liquid(NEW_APP + declared(OF_ITS_OWN) + "\n" + component_tables(OF_ITS_OWN)),
        "content/.gitignore": ".spin/\n.env\n",
    }
    for name, text in texts.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    (root / "content" / FILE).write_bytes(data)


def declared(placement: Placement) -> str:
    """The lines of the app's table `variables`."""
    return "".join(
        f"{f'{each.name} = {inline(each)}':<46} {each.comment}".rstrip() + "\n"
        for each in app_variables(placement)
    )


def inline(variable: Variable) -> str:
    """The declaration of a variable, as an inline table of TOML."""
    return f"{{ default = {quoted(variable.default)}{', secret = true' * variable.secret} }}"


def liquid(text: str) -> str:
    """A text of Liquid that renders to a text of ours.

    `<<name>>` becomes `{{name}}`, the value of a parameter. Braces of ours are escaped.
    """
    escaped = re.sub(r"\{\{|\}\}", r"{% raw %}\g<0>{% endraw %}", text)
    return escaped.replace("<<", "{{").replace(">>", "}}")


def choose(spin: str) -> tuple[Component, str]:
    """Choose the component that the template brings.

    Args:
        spin: The version of Spin that will run the app; empty for that of the `spin` on PATH.

    Returns:
        The component, and the reason.

    Raises:
        NoComponent: no component runs on that Spin.
    """
    if spin:
        return component_for(spin), f"Spin {spin} was asked for"
    found = find_spin(os.environ.get("PATH"))
    if found.component is None:
        return COMPONENTS[-1], f"it runs on every Spin from 3.0 on; {found.complaint}"
    return found.component, f"the spin on PATH is {found.version}"


def main(arguments: Sequence[str]) -> int:
    """Write the template. Returns the exit code."""
    spin, directory = [*arguments, "", ""][:2]
    out = Path(directory) if directory else TEMPLATE
    try:
        component, why = choose(spin)
        write(out, component)
    except NoComponent as error:
        print(f"make template: {error}", file=sys.stderr)
        return 2
    except FileNotFoundError as error:
        print(f"make template: {error.filename} is missing. Run make build", file=sys.stderr)
        return 1
    print(f"component: {component.file} ({why})")
    print(f"install:   spin templates install --dir {os.path.relpath(out)} --upgrade")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
