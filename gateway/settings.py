"""The settings: variables of the component, read from the host and checked.

A bad value is the operator's mistake, told as the problem `misconfigured` with the variable's name.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from gateway.problems import Problem
from kv_batch.batch import RETRY_SECONDS

Config = Callable[[str], str | None]
"""The value of a variable by its name; None where the host has none."""

Scope = Literal["none", "read", "write"]


@dataclass(frozen=True)
class Access:
    """Who may do what.

    Attributes:
        read_token, write_token: Bearer tokens; empty where none is set. The second may read too.
        anonymous: What a caller without a token may do.
        allowed_hosts: The names by which such a caller may address the gateway, in lower case, each with a
            port or without; empty for any.
    """

    read_token: str = ""
    write_token: str = ""
    anonymous: Scope = "none"
    allowed_hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: Config) -> Access:
        """The access settings of a host.

        Raises:
            Problem: `misconfigured`.
        """
        anonymous = config("anonymous") or "none"
        if anonymous not in ("none", "read", "write"):
            raise _misconfigured("anonymous", 'it must be "none", "read" or "write"')
        return cls(
            read_token=_token("read_token", config),
            write_token=_token("write_token", config),
            anonymous=anonymous,  # type: ignore[arg-type]
            allowed_hosts=_hosts("allowed_hosts", config),
        )


@dataclass(frozen=True)
class Limits:
    """What a request may ask for. Bytes, except `keys` and `refused_characters`.

    Attributes:
        body_bytes: Of one JSON or multipart body.
        keys: In one JSON or multipart body, or one query.
        key_bytes: Of one key in UTF-8.
        value_bytes: Of one value, as it is stored.
        answer_bytes: Of the answer to one JSON get-many.
        refused_characters: A key has none of them.
    """

    body_bytes: int = 16 * 1024 * 1024
    keys: int = 10_000
    key_bytes: int = 2_048
    value_bytes: int = 10 * 1024 * 1024
    answer_bytes: int = 64 * 1024 * 1024
    refused_characters: str = ""

    @classmethod
    def of(cls, config: Config) -> Limits:
        """The limits of a host; the defaults above for those that it does not set.

        Raises:
            Problem: `misconfigured`.
        """
        values: dict[str, int] = {}
        for name in LIMITED:
            variable = f"max_{name}"
            text = config(variable)
            if text:
                values[name] = _limit(variable, text)
        return cls(**values, refused_characters=config("refused_characters") or "")


LIMITED: Final = ("body_bytes", "keys", "key_bytes", "value_bytes", "answer_bytes")
"""The limits that are numbers. The variable of each is its name behind `max_`."""

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_HOST = re.compile(r"(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def _token(variable: str, config: Config) -> str:
    token = config(variable) or ""
    # A file that ends with a newline is the usual source of one. No client could send it.
    if token != token.strip() or _CONTROL.search(token):
        raise _misconfigured(
            variable, "a token has no white space around it, nor line ends or other control characters in it"
        )
    return token


def _hosts(variable: str, config: Config) -> frozenset[str]:
    hosts = frozenset((config(variable) or "").lower().replace(",", " ").split())
    if not all(map(_HOST.fullmatch, hosts)):
        raise _misconfigured(
            variable, "it must be a list of host names, such as localhost, 127.0.0.1:3000, [::1]"
        )
    return hosts


def retry_seconds(config: Config) -> float:
    """For how long a request asks a busy store again; 0 for never.

    Raises:
        Problem: `misconfigured`.
    """
    text = config("retry_seconds") or ""
    if not text:
        return RETRY_SECONDS
    # Four digits: over two hours.
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text):
        return float(text)
    raise _misconfigured("retry_seconds", "it must be a number of seconds from 0 to 9999, such as 10 or 0.5")


def _limit(variable: str, text: str) -> int:
    # Ten digits: the guest's address space is 4 GiB, so nothing larger could be kept.
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) > 0:
        return int(text)
    raise _misconfigured(variable, "it must be a whole number from 1 to 9999999999, in digits")


def _misconfigured(variable: str, rule: str) -> Problem:
    return Problem(
        "misconfigured",
        f"The variable {variable} has a value that cannot be used: {rule}. "
        f"Whoever runs this gateway sets it, in spin.toml or as SPIN_VARIABLE_{variable.upper()}.",
        variable=variable,
    )
