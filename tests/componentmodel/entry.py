"""The real entry, on the host of this directory: `app.py`, and the asyncio support of componentize-py.

It is imported once, as a component is compiled once. Each run has a process of its own, which begins with the
memory of this one (`apart`), as an instance begins with the snapshot of its component.
"""

from __future__ import annotations

import asyncio
import gc
import io
import json
import os
import random
import sys
import time
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.componentmodel.host import EXIT, End, Instance, Resource, Task

ROOT = Path(__file__).resolve().parents[2]

INSTANCE = Instance(Random(0))
INSTANCE.installed((ROOT / "bindings/componentize_py_runtime.pyi").read_text())

# The guest takes these names when it is imported.
time.monotonic = time.perf_counter = lambda: INSTANCE.now
random.SystemRandom = lambda: INSTANCE.random  # type: ignore[assignment, misc]

from guests import snapshot  # noqa: E402

snapshot.fill_holes = snapshot.settle = lambda: None  # they suit the memory of WASI, not this one

from tests.componentmodel.interfaces import Engine, Exchange, Request, offer  # noqa: E402

ENGINES: dict[str, Engine] = {}
"""The stores of the host, by label."""

VARIABLES = {"anonymous": "write", "read_token": "r", "write_token": "w"}
"""The variables of the component."""

offer(INSTANCE, ENGINES, VARIABLES)

import componentize_py_async_support as support  # noqa: E402
from wit_world.imports import wasi_http_types  # noqa: E402

import app  # noqa: E402

HANDLER = app.HttpHandler()
"""The entry."""

INSTANCE.callback = support.callback


class Run:
    """One instance with its requests.

    Attributes:
        requests: All requests so far.
    """

    def __init__(self, seed: int, handler: Any = HANDLER, **engines: Engine) -> None:
        """An instance.

        Args:
            seed: What all choices of the host are drawn from.
            handler: The handler of its requests.
            engines: The stores, by label.
        """
        INSTANCE.begin(seed)
        self._handler = handler
        ENGINES.update(engines)
        self.requests: list[Request] = []
        self._exchanges: list[Exchange] = []
        self._tasks: list[Task] = []
        self._lost: list[str] = []
        self._log = sys.stderr = io.StringIO()
        sys.unraisablehook = lambda lost: self._lost.append(repr(lost.exc_value))

    def send(self, *requests: Request) -> None:
        """Sends requests, each at its time. They are in the instance when `run` has returned."""
        for request in requests:
            self.requests.append(request)
            exchange = Exchange(INSTANCE, request)
            self._exchanges.append(exchange)
            task = self._task(exchange)
            self._tasks.append(task)
            INSTANCE.at(request.at, partial(INSTANCE.tasks.append, task))

    def _task(self, exchange: Exchange) -> Task:
        def start() -> int:
            exchange.begin()
            request = INSTANCE.lift(wasi_http_types.Request, exchange)
            code: int = support.first_poll(0, 0, self._handler.handle(request))
            return code

        return Task(start, exchange.answered)

    def run(self) -> None:
        """Runs until nothing can happen any more.

        Raises:
            Trap: the instance has ended.
        """
        INSTANCE.run()

    def check(self) -> None:
        """Checks what is left when nothing can happen any more.

        Raises:
            AssertionError: a request did not end as it should, or has left something behind.
        """
        gc.collect()
        broken = [*self._lost, *self._unended(), *self._left()]
        if support._loop.exception is not None:
            broken.append(f"an exception waits for the next request: {support._loop.exception!r}")
        logged = map(json.loads, self._log.getvalue().splitlines())
        broken += [line["traceback"] for line in logged if "traceback" in line]
        assert not broken, "\n".join(broken)

    def _unended(self) -> list[str]:
        wrong = []
        for request, task in zip(self.requests, self._tasks, strict=True):
            name = f"{request.method} {request.target} at {request.at:.3f}"
            if request.ended is None:
                wrong.append(f"{name} was never {'answered' if request.status is None else 'ended'}")
            elif request.ended - request.at > request.bound + INSTANCE.stopped:
                wrong.append(
                    f"{name} took {request.ended - request.at:.3f} s, and may take {request.bound:.3f}"
                )
            if task.state != EXIT:
                wrong.append(f"the task of {name} has not ended")
        return wrong

    def _left(self) -> list[str]:
        """The handles and promises that nobody has any more, but these:

        - The open stores, one of each kind.
        - The reads of silent clients, which cannot be cancelled (`Rest` of the entry).
        """
        table = INSTANCE.table
        stores = [
            item for item in table.values() if isinstance(item, Resource) and isinstance(item.value, Engine)
        ]
        silent = {exchange.received.contents.reader for exchange in self._exchanges if exchange.is_silent}
        reads = [
            item
            for item in table.values()
            if isinstance(item, End) and item in silent and item.busy and item.set is None
        ]
        known = [*stores, *reads]
        left = [f"handle {handle} is left: {item}" for handle, item in table.items() if item not in known]
        if len(stores) > 2 * len(ENGINES):
            left.append(f"{len(stores)} stores are open, and there are {len(ENGINES)}")
        if len(INSTANCE.promises) > len(reads):
            left.append(f"{len(INSTANCE.promises)} promises are left, and {len(reads)} reads")
        return left


def apart(run: Callable[..., object], *args: Any) -> str:
    """Runs something in a new instance. Returns its failure; empty if there is none."""
    reader, writer = os.pipe()
    if os.fork():
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            failure = pipe.read().decode()
        os.wait()
        return failure
    os.close(reader)
    asyncio._set_running_loop(support._loop)  # a fork unsets it
    failure = ""
    try:
        run(*args)
    except BaseException:  # noqa: BLE001 - a Trap is one
        failure = traceback.format_exc()
    os.write(writer, failure.encode()[-60_000:])
    os._exit(0)
