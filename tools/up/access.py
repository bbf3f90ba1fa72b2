"""Access: the variables of the gateway that decide who may do what."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from tools.up.errors import CannotServe
from tools.up.listen import Listen

ANONYMOUS = "SPIN_VARIABLE_ANONYMOUS"
ALLOWED_HOSTS = "SPIN_VARIABLE_ALLOWED_HOSTS"
READ_TOKEN = "SPIN_VARIABLE_READ_TOKEN"  # noqa: S105 - the name of a variable
WRITE_TOKEN = "SPIN_VARIABLE_WRITE_TOKEN"  # noqa: S105 - the name of a variable


def decide_access(listen: Listen, variables: Mapping[str, str]) -> tuple[str, str]:
    """Decide what a caller without a token may do.

    The gateway itself is closed by default. On the loopback this function opens it, unless the user has set
    a token or the anonymous access: no other machine can reach it there. On any other address only the user
    can open it, and needs two settings for it.

    Returns:
        `none`, `read` or `write`, and a line that tells the user.

    Raises:
        CannotServe: a setting is invalid, or would open the gateway to other machines without
            OPEN_TO_ALL=yes.
    """
    anonymous = variables.get(ANONYMOUS, "")
    has_token = bool(variables.get(READ_TOKEN) or variables.get(WRITE_TOKEN))
    if anonymous not in {"", "none", "read", "write"}:
        raise CannotServe(f"{ANONYMOUS} is {anonymous!r}: use none, read or write", 2)
    if anonymous in {"", "none"}:
        if has_token:
            return "none", f"only with a token ({READ_TOKEN}, {WRITE_TOKEN})"
        if anonymous == "" and listen.is_loopback:
            return (
                "write",
                f"open to every program on this machine, but not to pages of other sites ({listen.host})",
            )
        return "none", f"closed: every request is answered with 401 until a token is set ({WRITE_TOKEN})"
    if listen.is_loopback:
        return anonymous, f"anyone on this machine may {anonymous} ({ANONYMOUS}={anonymous})"
    if variables.get("OPEN_TO_ALL") != "yes":
        raise CannotServe(
            f"{ANONYMOUS}={anonymous} would let anyone who can reach {listen} {anonymous}. "
            f"Set {WRITE_TOKEN} instead, or add OPEN_TO_ALL=yes if you want that",
            2,
        )
    return anonymous, f"anyone who can reach {listen} may {anonymous} (OPEN_TO_ALL=yes)"


def allowed_hosts(listen: Listen, variables: Mapping[str, str]) -> str:
    """The host names by which a caller without a token may address the gateway; empty for any name.

    On the loopback these are the names of the loopback, unless the user has set others. This stops DNS
    rebinding: a web page whose own name resolves to the loopback addresses the gateway by that name.
    """
    if ALLOWED_HOSTS in variables or not listen.is_loopback:
        return variables.get(ALLOWED_HOSTS, "")
    address = f"[{listen.host}]" if ":" in listen.host else listen.host
    return ", ".join(dict.fromkeys(["localhost", "127.0.0.1", "[::1]", address]))


def with_dotenv(environment: Mapping[str, str], file: Path) -> dict[str, str]:
    """The environment, with the SPIN_VARIABLE_* of a file `.env` that the environment does not have.

    Spin reads that file itself. It is read here so that it also counts for the embedded host and for the
    decision about access: a token that is set only in that file must close the gateway.

    Raises:
        CannotServe: the file exists but cannot be read.
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
