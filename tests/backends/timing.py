"""The durations of requests on a distant engine: the requests, and the bound of each.

A bound is a number of round trips plus a time for everything that is not the network: the client, Spin, the
gateway and the engine.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.backends.behind_spin import spin_over
from tests.backends.engines import Engine

ONE = {"keys": ["key 1"]}
TWO = {"pairs": [{"key": "key 1", "value": "a"}, {"key": "key 2", "value": "b"}]}
KEYS = [f"key {i}" for i in range(1_000)]
THOUSAND = {"keys": KEYS}

PAUSE = 1.2
"""Seconds without requests, so that the store has not answered within the last second."""

NEW_EACH_TIME = ("--max-instance-reuse-count", "1")
"""Options that make Spin answer every request in a new instance."""

KEPT = ("--idle-instance-timeout", "60s")
"""Options that make Spin keep an instance through PAUSE. By default it drops one after an idle second."""


@dataclass(frozen=True)
class Request:
    """A request with a bound for its duration.

    Attributes:
        name: Its name in the table.
        path: Its path under `/v1/default`.
        body: Its body; None for a GET.
        round_trips: The maximum number of round trips.
        besides: The maximum time without the round trips, in seconds.
        new: Whether a new instance answers it.
        pause: The pause before it, in seconds.
    """

    name: str
    path: str
    body: object
    round_trips: int
    besides: float
    new: bool = False
    pause: float = 0.0

    def bound(self, round_trip: float) -> float:
        """The maximum duration in seconds."""
        return self.round_trips * round_trip + self.besides


REQUESTS = [
    Request("first get-many of 1 key", "/get-many", ONE, 5, 0.1, new=True),
    Request("later ones", "/get-many", ONE, 1, 0.02),
    Request("after a pause", "/get-many", ONE, 2, 0.02, pause=PAUSE),
    Request("first GET keys of 1,000", "/keys?limit=1000", None, 10, 0.1, new=True),
    Request("GET keys, again", "/keys?limit=1000", None, 10, 0.1),
    Request("GET keys, after a pause", "/keys?limit=1000", None, 10, 0.1, pause=PAUSE),
    Request("set-many of 2 pairs", "/set-many", TWO, 3, 0.02),
    Request("set-many, after a pause", "/set-many", TWO, 3, 0.02, pause=PAUSE),
    Request("first get-many of 1,000", "/get-many", THOUSAND, 12, 0.4, new=True),
    Request("get-many of 1,000, again", "/get-many", THOUSAND, 12, 0.4),
]


@dataclass(frozen=True)
class Spins:
    """Two Spins over one engine: one keeps its instances, the other starts a new one for each request."""

    kept: httpx.Client
    new: httpx.Client

    def seconds(self, request: Request) -> float:
        """Makes a request. Returns its duration in seconds."""
        time.sleep(request.pause)
        client = self.new if request.new else self.kept
        start = time.perf_counter()
        if request.body is None:
            answer = client.get(request.path)
        else:
            answer = client.post(request.path, json=request.body)
        took = time.perf_counter() - start
        answer.raise_for_status()
        return took

    def fill(self) -> None:
        """Writes the 1,000 keys to the store."""
        pairs = [{"key": key, "value": f"value of {key}"} for key in KEYS]
        self.kept.post("/set-many", json={"pairs": pairs}).raise_for_status()

    def warm(self) -> None:
        """Makes each request once on the kept instance."""
        for request in REQUESTS:
            if not request.new and not request.pause:
                self.seconds(request)


@contextmanager
def spins_over(engine: Engine, data: Path) -> Iterator[Spins]:
    """Runs the two Spins. They have not made a call to the engine yet."""
    with ExitStack() as stack:

        def client(name: str, *arguments: str) -> httpx.Client:
            url = spin_over(engine, data / name, stack, *arguments).url
            return stack.enter_context(httpx.Client(base_url=f"{url}/v1/default", timeout=120))

        yield Spins(client("kept", *KEPT), client("new", *NEW_EACH_TIME))
