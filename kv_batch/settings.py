"""The settings: variables of the component, read from the host and checked.

A bad value is the operator's mistake, told as the problem `misconfigured` with the variable's name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from kv_batch.errors import Problem

Config = Callable[[str], str | None]
"""The value of a variable by its name; None where the host has none."""

Scope = Literal["none", "read", "write"]


@dataclass(frozen=True)
class Access:
    """Who may do what.

    Attributes:
        read_token, write_token: Bearer tokens; empty where none is set. The second may read too.
        anonymous: What a caller without a token may do.
    """

    read_token: str = ""
    write_token: str = ""
    anonymous: Scope = "none"

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
            read_token=config("read_token") or "",
            write_token=config("write_token") or "",
            anonymous=anonymous,  # type: ignore[arg-type]
        )


@dataclass(frozen=True)
class Limits:
    """What a request may ask for. Bytes, except `keys`.

    Attributes:
        body_bytes: Of one JSON or multipart body.
        keys: In one JSON or multipart body, or one query.
        key_bytes: Of one key in UTF-8.
        value_bytes: Of one value, as it is stored.
        answer_bytes: Of the answer to one JSON get-many.
    """

    body_bytes: int = 16 * 1024 * 1024
    keys: int = 10_000
    key_bytes: int = 2_048
    value_bytes: int = 10 * 1024 * 1024
    answer_bytes: int = 64 * 1024 * 1024

    @classmethod
    def of(cls, config: Config) -> Limits:
        """The limits of a host; the defaults above for those that it does not set.

        Raises:
            Problem: `misconfigured`.
        """
        values: dict[str, int] = {}
        for name in cls.__dataclass_fields__:
            variable = f"max_{name}"
            text = config(variable)
            if text:
                values[name] = _limit(variable, text)
        return cls(**values)


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
