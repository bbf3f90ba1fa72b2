"""Who may do what: the variables of the gateway that decide about access."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tools.up.errors import CannotServe
from tools.up.listen import Listen

ANONYMOUS = "SPIN_VARIABLE_ANONYMOUS"
ALLOWED_HOSTS = "SPIN_VARIABLE_ALLOWED_HOSTS"
READ_TOKEN = "SPIN_VARIABLE_READ_TOKEN"  # noqa: S105 - a variable's name
WRITE_TOKEN = "SPIN_VARIABLE_WRITE_TOKEN"  # noqa: S105 - a variable's name


def decide_access(listen: Listen, variables: Mapping[str, str]) -> tuple[str, str]:
    """What a caller without a token may do (`none`, `read` or `write`), and a line that says so.

    The gateway itself is closed unless told otherwise. On the loopback this opens it, where the user has said
    nothing: nobody else can reach it. On any other address only the user can open it, and must say so twice.

    Raises:
        CannotServe: when it would be open to others without OPEN_TO_ALL=yes.
    """
    anonymous = variables.get(ANONYMOUS, "")
    has_token = bool(variables.get(READ_TOKEN) or variables.get(WRITE_TOKEN))
    if anonymous not in {"", "none", "read", "write"}:
        raise CannotServe(f"{ANONYMOUS} is {anonymous!r}: say none, read or write", 2)
    tokens = "with a token (SPIN_VARIABLE_READ_TOKEN, SPIN_VARIABLE_WRITE_TOKEN)"
    if anonymous in {"", "none"}:
        if has_token:
            return "none", f"{tokens} only"
        if anonymous == "" and listen.is_loopback:
            return (
                "write",
                f"open to every program of this machine, to no page of another site ({listen.host})",
            )
        return "none", f"closed: every request is answered 401 until there is a token; set {WRITE_TOKEN}"
    if listen.is_loopback:
        return anonymous, f"anyone on this machine may {anonymous}, as {ANONYMOUS} says"
    if variables.get("OPEN_TO_ALL") != "yes":
        raise CannotServe(
            f"{ANONYMOUS}={anonymous} would let everyone who reaches {listen} {anonymous}: "
            f"set {WRITE_TOKEN} instead, or add OPEN_TO_ALL=yes if that is what you want",
            2,
        )
    return anonymous, f"anyone who reaches {listen} may {anonymous}, as OPEN_TO_ALL=yes allows"


def allowed_hosts(listen: Listen, variables: Mapping[str, str]) -> str:
    """The names by which a caller without a token may address the gateway; empty for any.

    On the loopback these are the names of the loopback, unless the user has said otherwise. A page that has
    its own name resolved to the loopback (DNS rebinding) addresses the gateway by that name.
    """
    if ALLOWED_HOSTS in variables or not listen.is_loopback:
        return variables.get(ALLOWED_HOSTS, "")
    address = f"[{listen.host}]" if ":" in listen.host else listen.host
    return ", ".join(dict.fromkeys(["localhost", "127.0.0.1", "[::1]", address]))


def with_dotenv(environment: Mapping[str, str], file: Path) -> dict[str, str]:
    """The environment, and the SPIN_VARIABLE_* of a file `.env` where it has none of that name.

    Spin reads that file itself. Read here it counts for the embedded host as well, and for what is decided
    about access: a token that stands only there must not leave the gateway open.
    """
    variables = dict(environment)
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return variables
    except (OSError, UnicodeDecodeError) as error:
        raise CannotServe(f"cannot read {file}: {error}") from error
    lines = re.finditer(
        r"""^\s*(?:export\s+)?(?P<name>SPIN_VARIABLE_\w+)[ \t]*=[ \t]*"""
        r"""(?:'(?P<single>[^'\n]*)'|"(?P<double>[^"\n]*)"|(?P<bare>[^\s#]\S*|))""",
        text,
        re.MULTILINE,
    )
    written = {line["name"]: line["single"] or line["double"] or line["bare"] or "" for line in lines}
    return written | variables
