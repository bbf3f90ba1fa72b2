"""Two replicas of the component for clusters over one Redis, behind nginx with `deploy/nginx.conf`."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.backends.behind_spin import spin_over
from tests.backends.engines import redis, why_not
from tests.proxies import program, proxy
from tests.servers import Server, free_port
from tests.servers import why_not as why_no_host

HOST = "spin-0.3-rc"
SIZE = 20
"""The number of keys of a batch."""


@pytest.fixture(autouse=True)
def needed() -> None:
    """Skips where the machine lacks a program."""
    missing = (
        why_no_host(HOST) or why_not("Redis") or (None if program("nginx") else "nginx is not installed")
    )
    if missing:
        pytest.skip(missing)


class Writer(threading.Thread):
    """Writes one batch after another through nginx, each to keys of its own.

    Attributes:
        acknowledged: The numbers of the batches that were answered with 200.
        refused: The number of answers or connections that failed.
    """

    def __init__(self, url: str, name: str) -> None:
        super().__init__(name=name)
        self.acknowledged: list[int] = []
        self.refused = 0
        self.done = threading.Event()
        self._url = url

    def run(self) -> None:
        number = 0
        while not self.done.is_set():
            number += 1
            pairs = [{"key": f"{self.name}:{number}:{index}", "value": str(number)} for index in range(SIZE)]
            try:
                answer = httpx.post(f"{self._url}/v1/default/set-many", json={"pairs": pairs}, timeout=30)
            except httpx.TransportError:
                self.refused += 1
                continue
            if answer.status_code == 200:
                self.acknowledged.append(number)
            else:
                self.refused += 1
                time.sleep(0.02)

    def lost(self, url: str) -> list[str]:
        """The keys of acknowledged batches that a gateway does not answer with their value."""
        lost: list[str] = []
        for number in self.acknowledged:
            keys = [f"{self.name}:{number}:{index}" for index in range(SIZE)]
            answer = httpx.post(f"{url}/v1/default/get-many", json={"keys": keys}, timeout=30).json()
            lost += [pair["key"] for pair in answer["pairs"] if pair["value"] != str(number)]
        return lost


@contextmanager
def writing(url: str) -> Iterator[list[Writer]]:
    """Four clients that write until the end of the context."""
    writers = [Writer(url, f"w{number}") for number in range(4)]
    for writer in writers:
        writer.start()
    try:
        yield writers
    finally:
        for writer in writers:
            writer.done.set()
        for writer in writers:
            writer.join()


def becomes(url: str, status: int, seconds: float) -> bool:
    """Whether `/readyz` has that status within some seconds."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if httpx.get(f"{url}/readyz", timeout=30).status_code == status:
            return True
        time.sleep(0.2)
    return False


def test_a_replica_that_is_killed_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    ports = [free_port(), free_port()]
    with ExitStack() as stack:
        engine = stack.enter_context(redis(tmp_path))

        def replica(number: int, life: int) -> Server:
            data = tmp_path / f"replica-{number}-{life}"
            return spin_over(engine, data, stack, host=HOST, port=str(ports[number]))

        first, second = replica(0, 0), replica(1, 0)
        urls = [first.url, second.url]
        port = stack.enter_context(proxy("nginx", ports[0], tmp_path / "nginx", ports[1]))
        assert all(becomes(url, 200, 5) for url in urls)
        with writing(f"http://127.0.0.1:{port}") as writers:
            time.sleep(1.5)
            first.kill()
            before = sum(len(writer.acknowledged) for writer in writers)
            time.sleep(1.5)
            assert becomes(urls[1], 200, 2)
            replica(0, 1)
            assert becomes(urls[0], 200, 5)
            during = sum(len(writer.acknowledged) for writer in writers) - before
            time.sleep(1.5)
        assert before > 20
        assert during > 20  # the other replica went on
        for writer in writers:
            assert writer.lost(urls[0]) == []
            assert writer.lost(urls[1]) == []


def test_readiness_tells_the_truth_about_the_store_of_each_replica(tmp_path: Path) -> None:
    with ExitStack() as stack, redis(tmp_path) as engine:
        urls = [spin_over(engine, tmp_path / name, stack, host=HOST).url for name in ("first", "second")]
        assert all(becomes(url, 200, 5) for url in urls)
        assert engine.process is not None
        engine.process.send_signal(signal.SIGSTOP)
        assert all(becomes(url, 503, 10) for url in urls)
        assert httpx.get(f"{urls[0]}/readyz", timeout=30).json() == {"stores": {"default": "store-failed"}}
        assert httpx.get(f"{urls[0]}/.well-known/spin/health", timeout=5).status_code == 200
        engine.process.send_signal(signal.SIGCONT)
        assert all(becomes(url, 200, 20) for url in urls)
