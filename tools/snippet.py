"""The manifest of kv-batch in other apps, made from the variables of `spin.toml`.

In an app of its own, every setting is a variable of the app, as in `spin.toml`. An app of somebody else may
have variables of its own, also one with the name `read_token`. So only the secrets become variables of that
app, and their names start with a prefix. Every other setting has its value in the table of the component,
where the developer of the app can change it.
"""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass, replace

from tools.components import ROOT

MANIFEST = ROOT / "spin.toml"


@dataclass(frozen=True)
class Variable:
    """A variable of `spin.toml`.

    Attributes:
        name: Its name.
        default: Its default.
        secret: Whether it is a secret.
        comment: The comment on its line, with `#`; empty if there is none.
    """

    name: str
    default: str
    secret: bool
    comment: str


@dataclass(frozen=True)
class Placement:
    """How an app has the component.

    Attributes:
        id: The id of the component.
        source: The value of `source`, as TOML.
        route: The route.
        store: The label of the store.
        anonymous: What callers without a token may do.
        prefix: The start of the names of the app's variables: `kv_` for `kv_read_token`. None in an app of
            its own, where the names are those of `spin.toml`.
    """

    id: str
    source: str
    route: str
    store: str = "default"
    anonymous: str = "none"
    prefix: str | None = None


def settings(placement: Placement) -> list[Variable]:
    """The variables of `spin.toml` in its order, with the defaults that the placement gives them."""
    text = MANIFEST.read_text(encoding="utf-8")
    given = {"anonymous": placement.anonymous, "ready_stores": placement.store}
    found = []
    for name, declared in tomllib.loads(text)["variables"].items():
        line = re.search(rf"^{name} = \{{.*?\}}[ ]*(#.*)?$", text, re.MULTILINE)
        comment = line[1] if line and line[1] else ""
        default = given.get(name, declared["default"])
        found.append(Variable(name, default, declared.get("secret", False), comment))
    return found


def app_variables(placement: Placement) -> list[Variable]:
    """The variables that the app declares."""
    every = settings(placement)
    if placement.prefix is None:
        return every
    return [replace(each, name=placement.prefix + each.name) for each in every if each.secret]


def component_tables(placement: Placement) -> str:
    """The trigger and the component, as TOML that can be appended to a manifest."""
    lines = [
        "[[trigger.http]]",
        f"route = {quoted(placement.route)}",
        f"component = {quoted(placement.id)}",
        "",
        f"[component.{placement.id}]",
        f"source = {placement.source}",
        f"key_value_stores = [{quoted(placement.store)}]",
        "allowed_outbound_hosts = []",
        "",
        f"[component.{placement.id}.variables]",
    ]
    for each in settings(placement):
        if placement.prefix is None or each.secret:
            lines.append(f'{each.name} = "{{{{ {placement.prefix or ""}{each.name} }}}}"')
        else:
            lines.append(f"{f'{each.name} = {quoted(each.default)}':<31} {each.comment}".rstrip())
    return "\n".join(lines) + "\n"


def quoted(text: str) -> str:
    """A text as a basic string of TOML, whose escapes are those of JSON."""
    return json.dumps(text)
