"""A client that writes and reads its own keys, and checks every value, whatever the network does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.backends.contract import Gateway, Refused

SIZES = (2, 40, 150)
"""Keys of one batch. On Redis up to 128 are written concurrently, more by a call that blocks the instance."""


@dataclass
class Witness:
    """One client.

    Attributes:
        gateway: The client of kv-batch.
        name: The prefix of its keys.
        longest: The duration of its longest request, in seconds.
        answers: The number of answers, by status.
    """

    gateway: Gateway
    name: str
    longest: float = 0.0
    answers: dict[int, int] = field(default_factory=dict)
    _written: dict[str, bytes | None] = field(default_factory=dict)
    _doubtful: dict[str, set[bytes | None]] = field(default_factory=dict)
    _turn: int = 0

    def turn(self) -> None:
        """Writes or, every fourth time, deletes some keys, and reads them."""
        self._turn += 1
        keys = [f"{self.name} {i}" for i in range(SIZES[self._turn % len(SIZES)])]
        if self._turn % 4 == 0:
            self._write("delete_many", keys, dict.fromkeys(keys))
        else:
            values = {key: b"%d of %s" % (self._turn, key.encode()) for key in keys}
            self._write("set_many", list(values.items()), values)
        self.read(keys)

    def read(self, keys: Sequence[str]) -> None:
        """Reads keys, and checks their values."""
        pairs, problem = self._call("get_many", keys)
        if problem is not None:
            return
        assert [key for key, _ in pairs] == list(keys)
        for key, value in pairs:
            may_be = {self._written.get(key)} | self._doubtful.get(key, set())
            assert value in may_be, f"{key}: {value!r} was read, none of {may_be!r}"

    def _write(self, operation: str, items: Sequence[Any], values: dict[str, Any]) -> None:
        _, problem = self._call(operation, items)
        failed = [] if problem is None else [each["key"] for each in problem["failed"]]
        untouched = [] if problem is None else problem["not_attempted"]
        if problem is not None:
            assert problem["applied"] + len(failed) + len(untouched) == len(values), problem
            assert not set(failed) & set(untouched)
        for key, value in values.items():
            if key in failed:
                # The write may have reached the store, or may still reach it.
                self._doubtful.setdefault(key, set()).add(value)
            elif key not in untouched:
                self._written[key] = value

    def _call(
        self, operation: str, items: Sequence[Any]
    ) -> tuple[list[tuple[str, bytes | None]], dict[str, Any] | None]:
        start = time.monotonic()
        try:
            pairs, problem = self.gateway.call(operation, items), None
        except Refused as refusal:
            pairs, problem = [], refusal.problem
            assert problem["status"] in {502, 503}, problem
        self.longest = max(self.longest, time.monotonic() - start)
        status = 200 if problem is None else int(problem["status"])
        self.answers[status] = self.answers.get(status, 0) + 1
        return pairs, problem


@contextmanager
def watching(url: str, count: int, name: str = "witness") -> Iterator[list[Witness]]:
    """Runs `count` witnesses until the end of the block, and raises the first error of any of them.

    Args:
        url: The address of the gateway.
        count: The number of witnesses.
        name: The start of their names, and so of their keys, which nobody else may write.
    """
    witnesses = [Witness(Gateway(url), f"{name} {number}") for number in range(count)]
    ended = threading.Event()
    errors: list[Exception] = []

    def go_on(witness: Witness) -> None:
        try:
            while not ended.is_set():
                witness.turn()
        except (AssertionError, httpx.HTTPError, ValueError, KeyError) as error:
            errors.append(error)

    threads = [threading.Thread(target=go_on, args=(each,)) for each in witnesses]
    for thread in threads:
        thread.start()
    try:
        yield witnesses
    finally:
        ended.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]


def eventually(call: Callable[[], object], seconds: float) -> float:
    """Repeats a call until it succeeds. Returns the seconds until then.

    Raises:
        Refused: it still fails after `seconds`.
    """
    start = time.monotonic()
    while True:
        try:
            call()
        except Refused:
            if time.monotonic() > start + seconds:
                raise
            time.sleep(0.1)
        else:
            return time.monotonic() - start
