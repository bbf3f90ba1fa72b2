"""Print a new token, and its entry for the variable `tokens`: the program behind `make token`.

Environment:
    NAME: The name of its user, for the log.
    SCOPE: `read` or `write`.
    STORES: The labels of the stores that it allows, separated by spaces or commas; all if unset.
    PREFIX: The start of the keys that it allows; all if unset.

Exit codes: 2 for an invalid setting.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
from hashlib import sha256

from gateway.settings import Access, Misconfigured, words

BYTES = 32
"""The size of the random part of a token."""


def entry(token: str, name: str, scope: str, stores: str = "", prefix: str = "") -> dict[str, object]:
    """The entry of a token. It has the digest of the token, not the token itself.

    Args:
        token: The token.
        name: The name of its user.
        scope: `read` or `write`.
        stores: The labels of the stores that it allows, separated by spaces or commas; empty for all.
        prefix: The start of the keys that it allows; empty for all.
    """
    made: dict[str, object] = {
        "name": name,
        "sha256": sha256(token.encode()).hexdigest(),
        "scope": scope,
    }
    if stores:
        made["stores"] = words(stores)
    if prefix:
        made["prefix"] = prefix
    return made


def main() -> int:
    """Prints the token to stdout and its entry below it. Returns an exit code."""
    name, scope = os.environ.get("NAME", ""), os.environ.get("SCOPE", "")
    token = secrets.token_urlsafe(BYTES)
    made = entry(token, name, scope, os.environ.get("STORES", ""), os.environ.get("PREFIX", ""))
    text = json.dumps([made], ensure_ascii=False)
    try:
        Access.of({"tokens": text}.get)
    except Misconfigured as error:
        print(
            f"make token: {error.rule}. Use make token NAME=ci SCOPE=read [STORES=default] [PREFIX=ci:]",
            file=sys.stderr,
        )
        return 2
    print(f"token:   {token}\nentry:   {text[1:-1]}")
    print(
        f"Put the entry into the list of the variable tokens: SPIN_VARIABLE_TOKENS='{text}'", file=sys.stderr
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
