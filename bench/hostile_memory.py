"""The memory that a caller can make a host use: `python -m bench.hostile_memory [HOST]`.

Each request is the worst of its kind that the limits let through, or that they refuse. It is sent to a host
that has just started, once by itself and then 16 times at once: printed is by how much the host's memory grew
at its peak, over what it held before. SECURITY.md has the table.
"""

from __future__ import annotations

import base64
import gzip
import json
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import httpx

from bench.files import forget_peak, peak, resident
from kv_batch.media import JSON, NDJSON
from kv_batch.settings import Limits
from tests.servers import Server, serving, why_not

AT_ONCE = 16
"""Requests that one instance of Spin takes at once."""

MIB = 1024 * 1024
LIMITS = Limits()


@dataclass(frozen=True)
class Attack:
    """A request.

    Attributes:
        who: Whose token it has: "nobody", "reader", "writer".
        what: What it is, in words.
        status: What is answered.
        send: Sends it; returns the status.
    """

    who: str
    what: str
    status: int
    send: Callable[[Server], int]


def post(path: str, content: bytes, kind: str, **headers: str) -> Callable[[Server], int]:
    """A request of a writer."""

    def send(server: Server) -> int:
        pieces = (content[start : start + MIB] for start in range(0, len(content), MIB))
        return ask("POST", server.url + path, {**headers, "content_type": kind}, "writer", pieces)

    return send


def get(path: str, token: str = "reader", **headers: str) -> Callable[[Server], int]:
    """A request of a reader, unless the token is another."""
    return lambda server: ask("GET", server.url + path, headers, token)


def ask(
    method: str, url: str, headers: dict[str, str], token: str, content: Iterator[bytes] | None = None
) -> int:
    """The status of an answer, once all of it has come; it is not kept."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    fields["authorization"] = f"Bearer {token}"
    with httpx.stream(method, url, content=content, headers=fields, timeout=300) as answer:
        for _ in answer.iter_raw():
            pass
        return answer.status_code


def endless(kind: str, token: str, mib: int) -> Callable[[Server], int]:
    """A body that says it has 10 GB; no more of it is offered than so many MiB."""
    head = f"POST /v1/default/set-many HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
    head += f"content-type: {kind}\r\ncontent-length: 10000000000\r\n\r\n"

    def send(server: Server) -> int:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(head.encode())
            with suppress(OSError):  # it will not have it
                for piece in repeat(b"x" * MIB, mib):
                    connection.sendall(piece)
            with suppress(OSError):
                connection.shutdown(socket.SHUT_WR)
            try:
                return int(connection.recv(65_536).split(b" ", 2)[1])
            except (OSError, IndexError):
                return 0  # the answer was lost with the connection

    return send


def attacks() -> Iterator[Attack]:
    """The requests; those that read find what `fill` has left."""
    set_many, get_many = "/v1/default/set-many", "/v1/default/get-many"
    body = LIMITS.body_bytes
    yield Attack(
        "nobody", "a head of 60 KB", 401, get("/v1/default?key=a", token="wrong", x_long="y" * 60_000)
    )
    yield Attack("nobody", "a body of 10 GB", 401, endless(JSON, "wrong", 64))
    yield Attack("reader", "a JSON get-many of 60 MB", 200, get("/v1/default?key=" + "&key=".join(LARGE)))
    yield Attack("reader", "the same, refused", 413, get("/v1/default?key=" + "&key=".join(LARGE * 2)))
    yield Attack(
        "reader",
        "60 MB as lines",
        200,
        post(get_many, lines({"key": key} for key in LARGE), NDJSON),
    )
    yield Attack("reader", "an export: 100,000 keys, 60 MB", 200, get("/v1/default/export"))
    size = body // LIMITS.keys - 40
    pairs = [{"key": f"{number:05}", "value": "v" * size} for number in range(LIMITS.keys)]
    yield Attack("writer", "16 MB of JSON", 200, post(set_many, json.dumps({"pairs": pairs}).encode(), JSON))
    escaped = {"pairs": [{"key": "k", "value": "\0" * ((body - 50) // 6)}]}
    yield Attack("writer", "16 MB of escapes", 200, post(set_many, json.dumps(escaped).encode(), JSON))
    nested = b'{"pairs": [' + b"[]," * ((body - 20) // 3) + b"[]]}"
    yield Attack("writer", "16 MB of empty arrays", 413, post(set_many, nested, JSON))
    yield Attack("writer", "a JSON body of 10 GB", 413, endless(JSON, "writer", 64))
    yield Attack(
        "writer", "16 MB as a form", 200, post(set_many, form(body), "multipart/form-data; boundary=b")
    )
    large = "v" * LIMITS.value_bytes
    yield Attack(
        "writer", "a line of 10 MB", 200, post(set_many, lines([{"key": "k", "value": large}]), NDJSON)
    )
    worst = "\0" * (LIMITS.value_bytes - 10)
    yield Attack(
        "writer",
        "the same, escaped: 60 MB",
        200,
        post(set_many, lines([{"key": "k", "value": worst}]), NDJSON),
    )
    packed = base64.b64encode(bytes(LIMITS.value_bytes)).decode()
    yield Attack(
        "writer",
        "20 lines of 10 MB",
        200,
        post(
            set_many,
            lines({"key": f"k{each}", "value": packed, "encoding": "base64"} for each in range(20)),
            NDJSON,
        ),
    )
    yield Attack("writer", "a line of 10 GB", 413, endless(NDJSON, "writer", 128))
    bomb = gzip.compress(b"x" * 1024 * MIB, 9)
    yield Attack(
        "writer",
        "a line of 1 GB, as 1 MB of gzip",
        413,
        post(set_many, bomb, NDJSON, content_encoding="gzip"),
    )


LARGE = [f"large{number}" for number in range(6)]


def lines(objects: Iterator[dict[str, str]] | list[dict[str, str]]) -> bytes:
    """A body of NDJSON."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in objects)


def form(size: int) -> bytes:
    """A form of so many bytes, in two values."""
    head = b'--b\r\ncontent-disposition: form-data; name="k"\r\n\r\n'
    value = b"v" * (LIMITS.value_bytes - 100)
    rest = b"v" * (size - len(value) - 2 * len(head) - 20)
    return head + value + b"\r\n" + head + rest + b"\r\n--b--\r\n"


def guarded(host: str, data: Path) -> AbstractContextManager[Server]:
    """A host that wants a token."""
    return serving(host, data, anonymous="none", read_token="reader", write_token="writer")


def fill(server: Server) -> None:
    """Six large values and a hundred thousand small ones."""
    small = b"".join(b'{"key": "small:%06d", "value": "v"}\n' % number for number in range(100_000))
    large = lines({"key": key, "value": "v" * LIMITS.value_bytes} for key in LARGE)
    assert post("/v1/default/set-many", small + large, NDJSON)(server) == 200


def at_once(attack: Attack, server: Server, count: int) -> tuple[int, set[int]]:
    """By how many bytes so many at once made the host grow, and what they were answered."""
    statuses: list[int] = []
    threads = [threading.Thread(target=lambda: statuses.append(attack.send(server))) for _ in range(count)]
    before = resident(server)
    forget_peak(server)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return peak(server) - before, set(statuses)


def main() -> int:
    """Measures and prints; 1 where an answer was another than it should be."""
    host = (*sys.argv[1:], "spin")[0]
    if missing := why_not(host):
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    wrong = 0
    print(f"{host}: MiB that the host grew by, at its peak")
    print(f"{'who':8} {'what':34} answered  {'one':>6} {AT_ONCE:>3} at once")
    for attack in attacks():
        grew = []
        for count in 1, AT_ONCE:
            with tempfile.TemporaryDirectory() as name:
                data = Path(name)
                if attack.who == "reader":
                    with guarded(host, data) as server:
                        fill(server)
                with guarded(host, data) as server:
                    get("/v1/default?key=a")(server)
                    bytes_, statuses = at_once(attack, server, count)
            grew.append(bytes_)
            # An answer that comes before the body was sent may be lost with the connection.
            wrong += not statuses <= {attack.status, 0}
        told = "/".join(map(str, sorted(statuses)))
        print(f"{attack.who:8} {attack.what:34} {told:8} {grew[0] >> 20:7} {grew[1] >> 20:10}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
