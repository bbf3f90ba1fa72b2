"""Ten minutes of requests of all kinds: `python -m bench.soak [SECONDS] [SEED] [OPTION OF SPIN UP …]`.

32 clients, each on its own connection, send requests to `spin up`: batches as JSON, NDJSON, forms and
queries, lists and exports, bad requests, and requests that they break off in the middle of a body or of an
answer. Half of them use a store on SQLite and half a store on Redis. Redis is stopped and restarted
repeatedly (it is append-only and syncs at each write: acknowledged writes survive).

Each client knows what it wrote and checks every answer: a value must be the last acknowledged one or, if a
write failed, one that its answer leaves possible. The program prints the number of answers by status, the
wrong answers, and the memory of the host. Under load the memory depends on the number of instances, of which
there are as many as wait for a store. So all clients pause each minute, unless one still waits for Redis;
Spin drops its instances during the pause, and the memory that remains must not grow.
"""

from __future__ import annotations

import json
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bench.files import machine, resident
from tests.servers import Server, free_port, serving
from tests.wire import value_of, wire_pair
from tools.components import ROOT

CLIENTS = 32
KEYS = 200
"""The number of keys of each client."""

PATIENCE = 180.0
"""The timeout of a client in seconds. Spin's Redis client may hold a call that was in progress when Redis
went down until it has reconnected."""

DOWN = 5.0
"""Seconds for which Redis is down."""

BETWEEN = 120.0
"""Seconds between two restarts of Redis. Spin retries a lost connection every one or two minutes."""

MINUTE = 60.0
"""Seconds between two pauses."""

AGAIN = 10.0
"""Seconds until a pause that was not possible is tried again."""

REST = 4.0
"""The length of a pause in seconds. Spin drops an instance after one idle second."""

MAX_GROWTH_BYTES = 64 * 1024 * 1024
"""Bytes by which the memory during a pause may grow after the first pause. Spin keeps 2 MiB and more for each
slot that an instance has ever used."""

GENERATIONS = 3
"""The number of generations of a client's keys that are kept, since a growing store makes its lists grow."""

Value = bytes | None


class Wrong(Exception):
    """A wrong answer."""


@dataclass
class Client:
    """One client, with its knowledge of its keys.

    Attributes:
        store: The store that it uses.
        going: Not set during a pause.
        statuses: The number of its answers, by status.
        may_be: By key, the possible values. A key without an entry must be absent.
        generation: The number of the current generation of its keys.
        wrong: The error of a wrong answer. The client stops at the first one.
        busy: Whether it has a request in progress.
    """

    number: int
    store: str
    server: Server
    chance: random.Random
    going: threading.Event
    statuses: Counter[str] = field(default_factory=Counter)
    may_be: dict[str, set[Value]] = field(default_factory=dict)
    generation: int = 0
    wrong: str = ""
    busy: bool = False

    @property
    def path(self) -> str:
        return f"/v1/{self.store}"

    def run(self, end: float) -> None:
        often = (self.set_many, self.set_many, self.set_many, self.get_many, self.get_many, self.get_many)
        seldom = (self.delete_many, self.list_keys, self.export, self.bad_request)
        gone = (self.leave_body, self.leave_answer)
        actions: tuple[Callable[[httpx.Client], None], ...] = (*often, *often, *seldom, *gone)
        with httpx.Client(base_url=self.server.url, timeout=PATIENCE) as http:
            while time.monotonic() < end and not self.wrong:
                self.going.wait()
                self.busy = True
                try:
                    self.chance.choice(actions)(http)
                    self.tidy(http)
                except Wrong as wrong:
                    self.wrong = f"client {self.number} on {self.store}: {wrong}"
                except (httpx.TransportError, TimeoutError) as error:
                    self.wrong = f"client {self.number}: no answer: {error!r}"
                finally:
                    self.busy = False

    def tidy(self, http: httpx.Client) -> None:
        """Deletes the remaining keys of an old generation."""
        old = f"{self.number}.{self.generation - GENERATIONS}:"
        keys = [key for key in self.may_be if key.startswith(old)]
        if keys:
            answer = http.post(self.path + "/delete-many", json={"keys": keys})
            if self.written(answer, dict.fromkeys(keys)):
                self.may_be = {key: self.may_be[key] for key in self.may_be if not key.startswith(old)}

    def keys(self) -> list[str]:
        most = self.chance.choice((1, 5, 50, KEYS))
        names = self.chance.sample(range(KEYS), self.chance.randint(1, most))
        return [f"{self.number}.{self.generation}:{name}" for name in names]

    def set_many(self, http: httpx.Client) -> None:
        pairs = {key: self.chance.randbytes(self.chance.choice((0, 10, 100, 2_000))) for key in self.keys()}
        how = self.chance.choice(("json", "lines", "form"))
        if how == "json":
            answer = http.post(
                self.path + "/set-many", json={"pairs": [wire_pair(*pair) for pair in pairs.items()]}
            )
        elif how == "lines":
            lines = "".join(json.dumps(wire_pair(*pair)) + "\n" for pair in pairs.items())
            answer = http.post(
                self.path + "/set-many", content=lines, headers={"content-type": "application/x-ndjson"}
            )
        else:
            answer = http.post(
                self.path + "/set-many", files=[(key, ("", value)) for key, value in pairs.items()]
            )
        if self.written(answer, dict(pairs)) and answer.json() != {"pairs": len(pairs)}:
            raise Wrong(answer.text)

    def delete_many(self, http: httpx.Client) -> None:
        keys = self.keys()
        if self.chance.random() < 0.5:
            answer = http.post(self.path + "/delete-many", json={"keys": keys})
        else:
            answer = http.delete(self.path, params={"key": keys[:50]})
            keys = keys[:50]
        if self.written(answer, dict.fromkeys(keys)) and answer.json() != {"keys": len(keys)}:
            raise Wrong(answer.text)

    def written(self, answer: httpx.Response, values: dict[str, Value]) -> bool:
        """Records the effect of a write. Returns whether it succeeded."""
        self.count(answer)
        if answer.status_code == 200:
            self.may_be.update({key: {value} for key, value in values.items()})
            return True
        # A part may have been applied. The answer names the keys not attempted, except for a stream.
        untouched = set(answer.json().get("not_attempted", []))
        for key, value in values.items():
            if key not in untouched:
                self.may_be.setdefault(key, {None}).add(value)
        return False

    def get_many(self, http: httpx.Client) -> None:
        keys = self.keys()
        how = self.chance.choice(("json", "query", "lines"))
        if how == "query":
            keys = keys[:50]
            answer = http.get(self.path, params={"key": keys})
        elif how == "json":
            answer = http.post(self.path + "/get-many", json={"keys": keys})
        else:
            lines = "".join(json.dumps({"key": key}) + "\n" for key in keys)
            answer = http.post(
                self.path + "/get-many", content=lines, headers={"content-type": "application/x-ndjson"}
            )
        if not self.count(answer):
            return
        pairs = answer.json()["pairs"] if how != "lines" else self.lines(answer.text)
        if [pair["key"] for pair in pairs] != keys[: len(pairs) if how == "lines" else None]:
            raise Wrong(f"other keys than were asked for: {answer.text[:300]}")
        self.look(pairs)

    def look(self, pairs: list[dict[str, Any]]) -> None:
        for pair in pairs:
            value, known = value_of(pair), self.may_be.get(pair["key"], {None})
            if value not in known:
                raise Wrong(f"{pair['key']} is {value!r:.50}, and may be {str(known)[:200]}")
            self.may_be[pair["key"]] = {value}

    def lines(self, text: str) -> list[dict[str, Any]]:
        """The pairs of a streamed answer. If the last line is a problem, it is counted and left out."""
        pairs = [json.loads(line) for line in text.split("\n") if line]
        if pairs and "problem" in pairs[-1]:
            self.statuses["in a stream: " + str(pairs.pop()["problem"]["status"])] += 1
        return pairs

    def list_keys(self, http: httpx.Client) -> None:
        prefix = f"{self.number}.{self.generation}:"
        answer = http.get(self.path + "/keys", params={"prefix": prefix, "limit": KEYS})
        if self.count(answer):
            found = set(answer.json()["keys"])
            there = {
                key for key, values in self.may_be.items() if key.startswith(prefix) and None not in values
            }
            if there - found or any(None in self.may_be.get(key, {None}) == {None} for key in found):
                raise Wrong(f"{len(there - found)} keys are missing from the list")

    def export(self, http: httpx.Client) -> None:
        answer = http.get(self.path + "/export", params={"prefix": f"{self.number}.{self.generation}:"})
        if self.count(answer):
            self.look(self.lines(answer.text))

    def bad_request(self, http: httpx.Client) -> None:
        wrong = [
            ("POST", "/set-many", b'{"pairs": [', 400),
            ("POST", "/set-many", b'{"pairs": [{"key": "a", "value": "\\ud800"}]}', 400),
            ("POST", "/get-many", b"[" * 50_000, 400),
            ("POST", "/get-many", b'{"keys": [' + b"1," * 20_000 + b"1]}", 413),
            ("PUT", "/get-many", b"", 405),
            ("GET", "/nothing", b"", 404),
            ("GET", "?kex=a", b"", 400),
            ("GET", "?key=%ff", b"", 400),
        ]
        method, path, body, status = self.chance.choice(wrong)
        answer = http.request(
            method, self.path + path, content=body, headers={"content-type": "application/json"}
        )
        self.count(answer)
        if answer.status_code != status:
            raise Wrong(f"{method} {path}: {answer.status_code} {answer.text[:300]}")

    def leave_body(self, _: httpx.Client) -> None:
        """Disconnects in the middle of a body. JSON must have no effect; received lines may have one."""
        pairs = {key: self.chance.randbytes(2_000) for key in self.keys()}
        lines = b"".join(json.dumps(wire_pair(*pair)).encode() + b"\n" for pair in pairs.items())
        kind, body = "application/x-ndjson", lines
        if self.chance.random() < 0.5:
            kind = "application/json"
            body = json.dumps({"pairs": [wire_pair(*pair) for pair in pairs.items()]}).encode()
        else:
            self.forget()
        self.break_off(f"POST /v1/{self.store}/set-many", kind, len(body), body[: len(body) * 2 // 3])

    def leave_answer(self, _: httpx.Client) -> None:
        """Disconnects when the first bytes of an answer arrive."""
        self.break_off(f"GET /v1/{self.store}/export", "", 0, b"", read=True)

    def break_off(self, line: str, kind: str, length: int, body: bytes, *, read: bool = False) -> None:
        head = f"{line} HTTP/1.1\r\nhost: localhost\r\n"
        if kind:
            head += f"content-type: {kind}\r\ncontent-length: {length}\r\n"
        with socket.create_connection(("127.0.0.1", self.server.port), timeout=PATIENCE) as connection:
            connection.sendall(head.encode() + b"\r\n" + body)
            if read:
                connection.recv(100)
        self.statuses["broken off by the client"] += 1

    def forget(self) -> None:
        """Starts a new generation of keys, since the values of the old ones are uncertain for a while."""
        self.generation += 1

    def count(self, answer: httpx.Response) -> bool:
        """Counts an answer. Returns whether its status is 200."""
        self.statuses[f"{self.store}: {answer.status_code}"] += 1
        if answer.status_code >= 500 and answer.json()["type"] not in (
            "/problems/store-failed",
            "/problems/store-busy",
        ):
            raise Wrong(answer.text[:500])
        return answer.status_code == 200


def main() -> int:
    """Runs the load. Returns 1 if an answer was wrong or the memory during the pauses grew."""
    numbers, options = sys.argv[1:3], sys.argv[3:]
    seconds, seed = (*map(int, numbers), *(600, random.randrange(10_000))[len(numbers) :])
    print(f"{CLIENTS} clients for {seconds} s on {machine()} and Redis; seed {seed}", *options, flush=True)
    with tempfile.TemporaryDirectory() as name:
        place, port = Path(name), free_port()
        redis = Redis(port, place)
        redis.start()
        config = place / "runtime-config.toml"
        config.write_text(f'[key_value_store.cache]\ntype = "redis"\nurl = "redis://127.0.0.1:{port}"\n')
        manifest = place / "spin.toml"
        manifest.write_text(
            (ROOT / "spin.toml")
            .read_text()
            .replace('key_value_stores = ["default"]', 'key_value_stores = ["default", "cache"]')
            .replace("build/kv-batch.wasm", str(ROOT / "build/kv-batch.wasm"))
        )
        try:
            options += ["--runtime-config-file", str(config)]
            with serving("spin", place / "data", *options, manifest=str(manifest)) as server:
                return soak(server, redis, seconds, seed)
        finally:
            redis.stop(signal.SIGTERM)


def soak(server: Server, redis: Redis, seconds: int, seed: int) -> int:
    """Runs the clients while Redis is restarted, and prints the results."""
    start = time.monotonic()
    going = threading.Event()
    going.set()
    clients = [
        Client(
            number,
            ("default", "cache")[number % 2],
            server,
            random.Random(seed * CLIENTS + number),
            going,
        )
        for number in range(CLIENTS)
    ]
    threads = [threading.Thread(target=client.run, args=(start + seconds,)) for client in clients]
    for thread in threads:
        thread.start()
    restarts, most, down_at, pause_at = 0, 0, start + BETWEEN / 2, start + MINUTE / 2
    at_rest: list[int] = []
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        now = time.monotonic()
        most = max(most, resident(server))
        if now > down_at and now < start + seconds - BETWEEN / 2:
            redis.stop(signal.SIGKILL if restarts % 2 else signal.SIGTERM)
            time.sleep(DOWN)
            redis.start()
            restarts += 1
            down_at = now + BETWEEN
        if now > pause_at and now < start + seconds:
            held = rest(server, clients, going)
            pause_at = now + (AGAIN if held is None else MINUTE)
            if held is None:
                continue
            at_rest.append(held)
            answers = sum(client.statuses.total() for client in clients)
            print(
                f"{now - start:4.0f} s: {held >> 20} MiB at rest, {most >> 20} at most since the last time; "
                f"{answers:,} requests",
                flush=True,
            )
            most = 0
    time.sleep(REST)
    at_rest.append(resident(server))
    total = sum((client.statuses for client in clients), Counter[str]())
    for status, count in sorted(total.items()):
        print(f"{count:8,}  {status}")
    wrong = [client.wrong for client in clients if client.wrong]
    print(f"{total.total():,} requests, {restarts} restarts of Redis, {len(wrong)} wrong answers")
    print(f"memory at rest: {at_rest[0] >> 20} MiB at first, {at_rest[-1] >> 20} MiB at the end")
    print("\n".join(wrong))
    trapped = [line for line in server.logged().splitlines() if "trap" in line or '"internal-error"' in line]
    print(f"{len(trapped)} lines of the log tell of a trap or of an internal error", *trapped[:3], sep="\n")
    return int(bool(wrong or trapped) or at_rest[-1] - at_rest[0] > MAX_GROWTH_BYTES)


def rest(server: Server, clients: list[Client], going: threading.Event) -> int | None:
    """Pauses all clients. Returns the memory of the idle host in bytes.

    Returns None if a client still waits for an answer, because Redis was down.
    """
    going.clear()
    time.sleep(1)  # a client that did not see the pause has made its last request by now, in most cases
    held = None
    if not any(client.busy for client in clients):
        time.sleep(REST)
        held = resident(server)
    going.set()
    return held


@dataclass
class Redis:
    """A Redis that keeps acknowledged writes over restarts, always on the same port."""

    port: int
    place: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        options = ["--appendonly", "yes", "--appendfsync", "always", "--save", "", "--loglevel", "warning"]
        self.process = subprocess.Popen(
            [
                "redis-server",
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--dir",
                str(self.place),
                *options,
            ],
            stdout=subprocess.DEVNULL,
        )
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)

    def stop(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait()


if __name__ == "__main__":
    sys.exit(main())
