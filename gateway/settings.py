"""The settings: variables of the component, read from the host and validated.

An invalid value is an error of the operator. It is reported as the problem `misconfigured`, with the name of
the variable.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

from gateway.problems import Problem
from gateway.wire.json_text import parse
from kv_batch.batch import RETRY_SECONDS

Config = Callable[[str], str | None]
"""Returns the value of a variable by its name; None if the host does not have it."""

Scope = Literal["none", "read", "write"]


class Misconfigured(Problem):
    """A variable of the component has a value that is not valid.

    Attributes:
        rule: What the value must be.
    """

    def __init__(self, variable: str, rule: str) -> None:
        super().__init__(
            "misconfigured",
            f"The variable {variable} has a value that is not valid: {rule}. "
            f"The operator of this gateway sets it, in spin.toml or as SPIN_VARIABLE_{variable.upper()}.",
            variable=variable,
        )
        self.rule = rule


@dataclass(frozen=True)
class Token:
    """An entry of the variable `tokens`.

    Attributes:
        name: The name of its user, for the log.
        digest: The SHA-256 of the token, 32 bytes.
        scope: What the token allows. Write includes read.
        stores: The labels of the stores that it allows; None for all.
        prefix: The keys that it allows start with this.
    """

    name: str
    digest: bytes
    scope: Scope
    stores: frozenset[str] | None = None
    prefix: str = ""


@dataclass(frozen=True)
class Access:
    """Who may do what.

    Attributes:
        read_token, write_token: The bearer tokens; empty if not set. The write token may also read.
        tokens: Further tokens, each with a name and rights of its own.
        anonymous: The scope of a caller without a token.
        allowed_hosts: The hosts as which such a caller may address the gateway, in lower case, each with or
            without a port; empty for any.
    """

    read_token: str = ""
    write_token: str = ""
    tokens: tuple[Token, ...] = ()
    anonymous: Scope = "none"
    allowed_hosts: frozenset[str] = frozenset()

    @classmethod
    def of(cls, config: Config) -> Access:
        """Reads the access settings from the host.

        Raises:
            Problem: `misconfigured`.
        """
        anonymous = config("anonymous") or "none"
        if anonymous not in ("none", "read", "write"):
            raise Misconfigured("anonymous", 'it must be "none", "read" or "write"')
        return cls(
            read_token=_token("read_token", config),
            write_token=_token("write_token", config),
            tokens=_tokens(config("tokens") or ""),
            anonymous=anonymous,  # type: ignore[arg-type]
            allowed_hosts=_hosts("allowed_hosts", config),
        )


@dataclass(frozen=True)
class Limits:
    """The limits of a request. Sizes are in bytes.

    Attributes:
        body_bytes: The maximum size of a JSON or multipart body.
        keys: The maximum number of keys in a JSON or multipart body, or in a query.
        key_bytes: The maximum size of a key in UTF-8.
        value_bytes: The maximum size of a value as it is stored.
        answer_bytes: The maximum size of a JSON answer to get-many.
        refused_characters: The characters that no key may contain.
        key_prefix: The start of every key that the caller may name. It is a right of the token, not a
            variable.
    """

    body_bytes: int = 16 * 1024 * 1024
    keys: int = 10_000
    key_bytes: int = 2_048
    value_bytes: int = 10 * 1024 * 1024
    answer_bytes: int = 64 * 1024 * 1024
    refused_characters: str = ""
    key_prefix: str = ""

    @classmethod
    def of(cls, config: Config) -> Limits:
        """Reads the limits from the host. A limit that is not set has the default above.

        Raises:
            Problem: `misconfigured`.
        """
        values: dict[str, Any] = {"refused_characters": config("refused_characters") or ""}
        for name in LIMITED:
            variable = f"max_{name}"
            text = config(variable)
            if text:
                values[name] = _limit(variable, text)
        return cls(**values)


LIMITED: Final = ("body_bytes", "keys", "key_bytes", "value_bytes", "answer_bytes")
"""The limits that are numbers. The variable of each is `max_` and its name."""

_CONTROL = re.compile("[\x00-\x1f\x7f]")
_NAME = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_HOST = re.compile(r"(?:[a-z0-9_.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


def _token(variable: str, config: Config) -> str:
    token = config(variable) or ""
    # Such a token usually comes from a file that ends with a newline. No client could send it.
    if token != token.strip() or _CONTROL.search(token):
        raise Misconfigured(
            variable,
            "a token must not contain control characters or line ends, or start or end with white space",
        )
    return token


def _tokens(text: str) -> tuple[Token, ...]:
    if not text.strip():
        return ()
    try:
        entries = parse(text.encode())
    except (Problem, UnicodeEncodeError) as error:
        detail = error.detail if isinstance(error, Problem) else "it contains a lone surrogate."
        raise Misconfigured("tokens", f"it must be a JSON list of objects: {detail.rstrip('.')}") from error
    if not isinstance(entries, list):
        raise Misconfigured("tokens", "it must be a JSON list of objects")
    tokens = tuple(_entry(entry, number) for number, entry in enumerate(entries, 1))
    for what, values in (
        ("name", [each.name for each in tokens]),
        ("sha256", [each.digest for each in tokens]),
    ):
        if len(set(values)) < len(values):
            raise Misconfigured("tokens", f"two of its entries have the same {what}")
    return tokens


def _entry(entry: object, number: int) -> Token:
    """One entry of the variable `tokens`. Entries are counted from 1."""
    rule = f"entry {number} must be an object with name, sha256, scope, and optionally stores and prefix"
    if not isinstance(entry, tuple):
        raise Misconfigured("tokens", rule)
    members = dict(entry)
    required = {"name", "sha256", "scope"}
    if len(members) < len(entry) or not required <= members.keys() <= required | {"stores", "prefix"}:
        raise Misconfigured("tokens", rule)
    name, digest, scope = members["name"], members["sha256"], members["scope"]
    stores, prefix = members.get("stores"), members.get("prefix", "")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise Misconfigured(
            "tokens", f"the name of entry {number} must be 1 to 64 characters of A-Za-z0-9._@-"
        )
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-fA-F]{64}", digest):
        raise Misconfigured("tokens", f"the sha256 of entry {number} must be 64 hexadecimal digits")
    if scope not in ("read", "write"):
        raise Misconfigured("tokens", f'the scope of entry {number} must be "read" or "write"')
    if stores is not None and not (
        isinstance(stores, list) and all(isinstance(each, str) for each in stores)
    ):
        raise Misconfigured("tokens", f"the stores of entry {number} must be a list of labels")
    if not isinstance(prefix, str) or any("\ud800" <= character <= "\udfff" for character in prefix):
        raise Misconfigured("tokens", f"the prefix of entry {number} must be a string of Unicode text")
    allowed = None if stores is None else frozenset(stores)
    return Token(name, bytes.fromhex(digest), scope, allowed, prefix)


def words(text: str) -> list[str]:
    """The words of a list, separated by commas, spaces or both."""
    return text.replace(",", " ").split()


def _hosts(variable: str, config: Config) -> frozenset[str]:
    hosts = frozenset(words((config(variable) or "").lower()))
    if not all(map(_HOST.fullmatch, hosts)):
        raise Misconfigured(
            variable, "it must be a list of host names, such as localhost, 127.0.0.1:3000, [::1]"
        )
    return hosts


def retry_seconds(config: Config) -> float:
    """How long a request retries calls to a busy store, in seconds; 0 for no retries.

    Raises:
        Problem: `misconfigured`.
    """
    text = config("retry_seconds") or ""
    if not text:
        return RETRY_SECONDS
    # Four digits: over two hours.
    if re.fullmatch(r"[0-9]{1,4}(\.[0-9]{1,3})?", text):
        return float(text)
    raise Misconfigured("retry_seconds", "it must be a number of seconds from 0 to 9999, such as 10 or 0.5")


def ready_stores(config: Config) -> list[str]:
    """The labels of the stores that `/readyz` probes."""
    return words(config("ready_stores") or "default")


def _limit(variable: str, text: str) -> int:
    # Ten digits: the guest's address space is 4 GiB, so nothing larger could be held.
    if text.isascii() and text.isdigit() and len(text) <= 10 and int(text) > 0:
        return int(text)
    raise Misconfigured(variable, "it must be a whole number from 1 to 9999999999, in digits")
