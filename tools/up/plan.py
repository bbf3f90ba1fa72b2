"""The plan: everything that `make up` decides before it builds, and the lines that it prints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.components import ROOT
from tools.up.access import (
    ALLOWED_HOSTS,
    ANONYMOUS,
    READ_TOKEN,
    WRITE_TOKEN,
    allowed_hosts,
    decide_access,
    with_dotenv,
)
from tools.up.data import DATABASE, DEFAULT_DATA, ensure_directory, other_store, where_data_lies, write_ahead
from tools.up.host import choose_host, command_line, component_file, find_spin
from tools.up.listen import DEFAULT_LISTEN, Listen, ensure_free, parse_listen

EXAMPLE_BODY = '{"pairs": [{"key": "greeting", "value": "hello"}]}'


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before the build.

    Attributes:
        component: The file that the host runs, relative to the project: a target of the Makefile.
        command: The host with its arguments. It must run in the project's directory.
        environment: The host's environment.
        lines: The lines that tell the user.
    """

    component: str
    command: list[str]
    environment: dict[str, str]
    lines: list[str]


def plan(environment: Mapping[str, str]) -> Plan:
    """Decide how to serve, and check that it is possible. Creates the data directory and the store.

    Raises:
        CannotServe: a setting is invalid, or this machine cannot serve.
    """
    variables = with_dotenv(environment, ROOT / ".env")
    listen = parse_listen(variables.get("LISTEN") or DEFAULT_LISTEN)
    spin = find_spin(variables.get("PATH"))
    host, why = choose_host(variables.get("HOST", ""), spin)
    anonymous, access = decide_access(listen, variables)
    ensure_free(listen)
    data = ensure_directory(Path(variables.get("DATA") or ROOT / DEFAULT_DATA).expanduser())
    if not other_store(host, variables):
        write_ahead(data / DATABASE)

    variables[ANONYMOUS] = anonymous
    variables[ALLOWED_HOSTS] = allowed_hosts(listen, variables)
    return Plan(
        component=component_file(host, spin),
        command=command_line(host, spin, listen, data),
        environment=variables,
        lines=[
            f"host:    {why}",
            f"data:    {where_data_lies(host, data, variables)}",
            f"access:  {access}",
            f"try:     {example(listen, anonymous, variables)}",
        ],
    )


def example(listen: Listen, anonymous: str, variables: Mapping[str, str]) -> str:
    """A shell command that works with this gateway. It names the variable of a token, never the token."""
    token = WRITE_TOKEN if variables.get(WRITE_TOKEN) else READ_TOKEN if variables.get(READ_TOKEN) else ""
    writes = anonymous == "write" or token == WRITE_TOKEN
    bearer = f'-H "Authorization: Bearer ${token}" ' if token and anonymous != "write" else ""
    if writes:
        return f"curl --json '{EXAMPLE_BODY}' {bearer}{listen.url}/v1/default/set-many"
    return f"curl {bearer}'{listen.url}/v1/default?key=greeting'"
