"""The contract as cases: the stored pairs, the operation, and the required result.

Each case runs twice on every engine: through the raw batch interface of the host, whose outcome is described
in words, and through kv-batch, whose outcome must be right.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from tests.wire import value_of, wire_pair

Pairs = list[tuple[str, bytes | None]]
Operation = Literal["get_many", "set_many", "delete_many"]

RIGHT = "right"

EVERY_BYTE = bytes(range(256))
ODD_KEYS = [
    "*",
    "?",
    "[a]",
    "{b}",
    "a/b",
    "a\\b",
    " ",
    "a#b",
    "\x01",
    "é",
    "e\u0301",
    "\u2028",
    "中文",
    "😀",
    "\U0010fffe",
]


def numbered(count: int) -> dict[str, bytes]:
    """The given number of different pairs."""
    return {f"key {i}": b"value %d" % i for i in range(count)}


@dataclass(frozen=True)
class Case:
    """One promise of the contract.

    Attributes:
        promise: The promise, as in the table of docs/backends.md.
        operation: The function that is called.
        items: The keys, or the pairs to set.
        stored: The contents of the store before.
        after: For a write, the required values after it (None for a missing key), if they do not follow from
            `items` alone.
        about_order: Whether the case tests the order. In the other cases the raw interface may use any order.
    """

    promise: str
    operation: Operation
    items: Sequence[Any]
    stored: dict[str, bytes] = field(default_factory=dict)
    after: Mapping[str, bytes | None] | None = None
    about_order: bool = False

    @property
    def name(self) -> str:
        """A unique name."""
        return f"{self.operation}: {self.promise}"

    def answer(self) -> Pairs:
        """The required answer of get_many."""
        return [(key, self.stored.get(key)) for key in self.items]

    def touched(self) -> Mapping[str, bytes | None]:
        """The required values of the keys of the case after a write."""
        if self.after is not None:
            return self.after
        if self.operation == "set_many":
            return dict(self.items)
        return {**self.stored, **dict.fromkeys(self.items)}


ABC = {"a": b"1", "b": b"2", "c": b"3"}
MANY = numbered(5_000)

CASES = [
    Case("a key that is not there has its pair", "get_many", ["a", "missing", "b"], ABC),
    Case("nothing that is asked is there", "get_many", ["x", "y", "z"], ABC),
    Case("pairs come in the order asked", "get_many", [f"key {i}" for i in reversed(range(30))], numbered(30),
         about_order=True),
    Case("a key asked twice is answered twice", "get_many", ["a", "b", "a"], ABC),
    Case("one key", "get_many", ["a"], ABC),
    Case("one key that is not there", "get_many", ["missing"], ABC),
    Case("one key that looks like a pattern", "get_many", ["*"], ABC | {"*": b"star"}),
    Case("one such key that is not there", "get_many", ["?"], ABC),
    Case("two keys", "get_many", ["a", "b"], ABC),
    Case("100 keys", "get_many", list(MANY)[:100], MANY),
    Case("101 keys", "get_many", list(MANY)[:101], MANY),
    Case("5,000 keys, every other one missing", "get_many",
         [key for name in list(MANY)[:2_500] for key in (name, f"no {name}")], MANY),
    Case("every byte, and none", "get_many", ["every", "none"], {"every": EVERY_BYTE, "none": b""}),
    Case("keys of every kind", "get_many", ODD_KEYS, {key: key.encode() for key in ODD_KEYS}),
    Case("the last value of a repeated key wins", "set_many", [("a", b"1"), ("b", b"2"), ("a", b"3")],
         after={"a": b"3", "b": b"2"}),
    Case("a value is overwritten", "set_many", [("a", b"new")], ABC, ABC | {"a": b"new"}),
    Case("bytes and keys of every kind are set", "set_many",
         [("every", EVERY_BYTE), ("none", b""), *((key, key.encode()) for key in ODD_KEYS)]),
    Case("26 pairs", "set_many", list(numbered(26).items())),
    Case("101 pairs", "set_many", list(numbered(101).items())),
    Case("5,000 pairs", "set_many", list(MANY.items())),
    Case("a key that is not there is skipped", "delete_many", ["a", "missing"], ABC),
    Case("a key may be deleted twice", "delete_many", ["a", "a", "b"], ABC),
    Case("keys of every kind are deleted", "delete_many", ODD_KEYS, ABC | dict.fromkeys(ODD_KEYS, b"x")),
    Case("26 keys", "delete_many", list(numbered(26)), numbered(30)),
    Case("5,000 keys", "delete_many", list(MANY), MANY | ABC),
]  # fmt: skip


def compared(answer: Pairs, expected: Pairs, *, in_order: bool) -> str:
    """Compares an answer: RIGHT, or what is wrong with it in a few words."""
    if answer == expected or (not in_order and sorted(map(repr, answer)) == sorted(map(repr, expected))):
        return RIGHT
    asked = {key for key, _ in expected}
    if any(key not in asked for key, _ in answer):
        return "another key's pair"
    values = dict(expected)
    if any(values[key] != value for key, value in answer):
        return "a wrong value"
    answered = Counter(key for key, _ in answer)
    wanted = Counter(key for key, _ in expected)
    if any(key not in answered and value is None for key, value in expected):
        return "left out"
    if answered != wanted:
        return "answered once"
    return "another order"


class Raw:
    """A client of the raw interface of the host, through `raw/raw.py`."""

    def __init__(self, url: str) -> None:
        self._url = url

    def call(self, operation: str, items: Sequence[Any]) -> Pairs:
        """Makes one host call.

        Raises:
            Refused: the call failed.
        """
        if operation == "set_many":
            items = [(key, base64.b64encode(value).decode()) for key, value in items]
        try:
            answer = httpx.post(self._url, json={operation: list(items)}, timeout=120)
        except httpx.TransportError as error:
            raise Refused("the host panics") from error
        if answer.status_code != 200:
            raise Refused("the host panics")
        content = answer.json()
        if "error" in content:
            raise Refused("refused")
        return [(key, None if value is None else base64.b64decode(value)) for key, value in content["pairs"]]


class Gateway:
    """A client of kv-batch over HTTP."""

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=f"{url}/v1", timeout=300)

    def call(self, operation: str, items: Sequence[Any]) -> Pairs:
        """Makes one request.

        Raises:
            Refused: the status was not 200.
        """
        body: dict[str, Any] = {"keys": list(items)}
        if operation == "set_many":
            body = {"pairs": [wire_pair(key, value) for key, value in items]}
        answer = self._client.post(f"/default/{operation.replace('_', '-')}", json=body)
        if answer.status_code != 200:
            raise Refused(answer.text[:2_000], answer.json())
        return [(pair["key"], value_of(pair)) for pair in answer.json().get("pairs") or []] if (
            operation == "get_many"
        ) else []  # fmt: skip

    def hold(self, pairs: dict[str, bytes]) -> None:
        """Replaces the contents of the store with these pairs."""
        while (
            keys := self._client.get("/default/keys", params={"limit": 10_000})
            .raise_for_status()
            .json()["keys"]
        ):
            self.call("delete_many", keys)
        self.call("set_many", list(pairs.items()))


class Refused(Exception):
    """A call that failed, with the problem that kv-batch returned."""

    def __init__(self, outcome: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(outcome)
        self.problem = problem or {}


def outcome(case: Case, through: Raw | Gateway, gateway: Gateway) -> str:
    """Runs a case. Returns RIGHT, or what is wrong in a few words."""
    gateway.hold(case.stored)
    try:
        answer = through.call(case.operation, case.items)
    except Refused as refusal:
        return str(refusal)
    if case.operation == "get_many":
        in_order = case.about_order or isinstance(through, Gateway)
        return compared(answer, case.answer(), in_order=in_order)
    touched = case.touched()
    held = dict(gateway.call("get_many", list(touched)))
    return RIGHT if held == touched else "a wrong value"
