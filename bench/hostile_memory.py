"""The memory and the time that a caller can make a host use: `python -m bench.hostile_memory [HOST [WORDS]]`.

HOST is `spin` (with SQLite), `redis` (Spin with Redis) or `embedded`. Each request is the worst of its kind
that the limits accept or refuse. It is sent to a host that has just started: first once, then 6 times
concurrently, then 16 times. The program prints by how much the peak of the host's memory exceeded the memory
before, and the time until the last answer. With WORDS, it sends only the requests whose names have these
words. SECURITY.md has the table.
"""

from __future__ import annotations

import base64
import gzip
import json
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

import httpx

from bench.files import forget_peak, peak, resident
from gateway.settings import Limits
from gateway.wire.media import JSON, NDJSON
from tests.backends.engines import Engine, redis
from tests.backends.engines import why_not as why_no_engine
from tests.component.test_hostile import BROKEN
from tests.servers import Server, serving, why_not

AT_ONCE = (1, 6, 16)
"""Numbers of concurrent requests. One instance of Spin accepts 16."""

MIB = 1024 * 1024
LIMITS = Limits()
EXPORT = "/v1/default/export"


@dataclass(frozen=True)
class Attack:
    """A hostile request.

    Attributes:
        who: The owner of its token: "nobody", "reader", "writer".
        what: Its name.
        status: The expected status.
        send: Sends it, and returns the status.
        stored: Further lines that must be in the store.
    """

    who: str
    what: str
    status: int
    send: Callable[[Server], int]
    stored: bytes = b""


def packed(path: str, content: bytes, kind: str) -> Callable[[Server], int]:
    """A request with the write token, packed with gzip."""
    return post(path, gzip.compress(content, 9), kind, content_encoding="gzip")


def post(path: str, content: bytes, kind: str, **headers: str) -> Callable[[Server], int]:
    """A request with the write token."""

    def send(server: Server) -> int:
        pieces = (content[start : start + MIB] for start in range(0, len(content), MIB))
        return ask("POST", server.url + path, {**headers, "content_type": kind}, "writer", pieces)

    return send


def get(path: str, token: str = "reader", **headers: str) -> Callable[[Server], int]:
    """A GET request, with the read token by default."""
    return lambda server: ask("GET", server.url + path, headers, token)


def ask(
    method: str, url: str, headers: dict[str, str], token: str, content: Iterator[bytes] | None = None
) -> int:
    """Makes a request. Reads and discards the whole answer, and returns its status."""
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    fields["authorization"] = f"Bearer {token}"
    with httpx.stream(method, url, content=content, headers=fields, timeout=300) as answer:
        for _ in answer.iter_raw():
            pass
        return answer.status_code


def endless(kind: str, token: str, mib: int) -> Callable[[Server], int]:
    """A request that announces a body of 10 GB and sends at most `mib` MiB of it."""
    head = f"POST /v1/default/set-many HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n"
    head += f"content-type: {kind}\r\ncontent-length: 10000000000\r\n\r\n"

    def send(server: Server) -> int:
        with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
            connection.sendall(head.encode())
            with suppress(OSError):  # the server refuses the rest
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
    """All requests. Those with the read token read the data of `fill`."""
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
    yield Attack("reader", "an export: 100,000 keys, 60 MB", 200, get(EXPORT))
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
    zeros = base64.b64encode(bytes(LIMITS.value_bytes)).decode()
    yield Attack(
        "writer",
        "20 lines of 10 MB",
        200,
        post(
            set_many,
            lines({"key": f"k{each}", "value": zeros, "encoding": "base64"} for each in range(20)),
            NDJSON,
        ),
    )
    yield Attack("writer", "a line of 10 GB", 413, endless(NDJSON, "writer", 128))
    yield from requests_of_readers()
    yield from many_large_values()
    yield from packed_lines()
    yield from packed_bodies()


def requests_of_readers() -> Iterator[Attack]:
    """Long heads, repeated keys, and values whose bytes each take six bytes in JSON."""
    one, get_many = "/v1/default?key=a", "/v1/default/get-many"
    yield Attack("reader", "a query of 60 KB of &", 200, get(one + "&" * 60_000))
    yield Attack("reader", "a query of 15,000 keys", 413, get("/v1/default?" + "key&" * 15_000))
    yield Attack("reader", "an Accept of 60 KB of commas", 200, get(one, accept="," * 60_000))
    yield Attack("reader", "a path of 60 KB of slashes", 404, get("/v1/default" + "/" * 60_000))
    repeats = json.dumps({"keys": LARGE[:1] * 10_000}).encode()
    yield Attack("reader", "10,000 times one key of 10 MB", 413, packed(get_many, repeats, JSON))
    zero = base64.b64encode(bytes(LIMITS.value_bytes)).decode()
    zeros = lines({"key": f"zeros{number}", "value": zero, "encoding": "base64"} for number in range(6))
    keys = "&key=".join(f"zeros{number}" for number in range(6))
    yield Attack("reader", "10 MB that are 60 in JSON", 200, get("/v1/default?key=zeros0"), zeros)
    yield Attack("reader", "60 MB that are 360 in JSON", 413, get("/v1/default?key=" + keys), zeros)
    as_lines = get("/v1/default?key=" + keys, accept=NDJSON)
    yield Attack("reader", "60 MB that are 360 as lines", 200, as_lines, zeros)


def many_large_values() -> Iterator[Attack]:
    """800 MiB of values, which are read from Redis by concurrent calls; and one value again and again."""
    get_many = "/v1/default/get-many"
    keys = [f"picture{number:02}" for number in range(100)]
    value = "v" * (8 * MIB)
    pictures = lines({"key": key, "value": value} for key in keys)
    as_lines = lines({"key": key} for key in keys)
    yield Attack("reader", "an export of 100 values of 8 MiB", 200, get(EXPORT + "?prefix=p"), pictures)
    yield Attack("reader", "100 values of 8 MiB as lines", 200, post(get_many, as_lines, NDJSON), pictures)
    as_json = post(get_many, json.dumps({"keys": keys}).encode(), JSON)
    yield Attack("reader", "100 values of 8 MiB as JSON", 413, as_json, pictures)
    repeats = lines([{"key": LARGE[0]}] * 10_000)
    yield Attack("reader", "10,000 lines of one key of 10 MB", 413, packed(get_many, repeats, NDJSON))


def packed_lines() -> Iterator[Attack]:
    """NDJSON that gzip packs to a thousandth."""
    path = "/v1/default/set-many"
    most = 13 * MIB  # about the limit of a line without escapes
    for what, status, body in (
        ("a line of 1 GB: 1 MB", 413, b"x" * 1024 * MIB),
        ("65 brackets, 60 MB of quotes: 60 KB", 413, b"[" * 65 + b'"' * 60 * MIB),
        ("101 commas, 60 MB of quotes: 60 KB", 413, b"[" + b"," * 101 + b'"' * 60 * MIB),
        ("65 brackets, 13 MB of quotes: 13 KB", 400, b"[" * 65 + b'"' * most),
        ("65 brackets, 20 MB of quotes, escapes", 400, b"[" * 65 + b'"\\\\' * (most // 2)),
        ("13 MB of empty arrays: 13 KB", 400, b"[" + b"[]," * (most // 3)),
        ("a number of 13 MB: 13 KB", 400, b'{"key": "k", "value": ' + b"1" * most + b"}"),
        ("a good line of 60 MB: 90 KB", 200, b'{"key": "k", "value": "' + b"\\u0000" * (10 * MIB) + b'"}'),
        ("60 MB of blank lines: 60 KB", 200, b"\n" * 60 * MIB),
        ("6 MB of lines of an odd shape: 15 KB", 200, b'{"value":"","key":""}\n' * (6 * MIB // 22)),
    ):
        yield Attack("writer", what, status, packed(path, body, NDJSON))
    members = gzip.compress(b"") * 50_000
    send = post(path, members, NDJSON, content_encoding="gzip")
    yield Attack("writer", "50,000 empty members of gzip: 1 MB", 200, send)


def packed_bodies() -> Iterator[Attack]:
    """JSON and forms that gzip packs to a thousandth."""
    path = "/v1/default/set-many"
    size = LIMITS.body_bytes - 100
    kind = "multipart/form-data; boundary=b"
    part = b'--b\r\ncontent-disposition: form-data; name=""\r\n'
    for what, status, body, type_ in (
        ("16 MB of quotes: 16 KB", 413, b'{"pairs": [' + b"{},[]," * 20 + b'"' * size, JSON),
        ("16 MB of numbers: 16 KB", 413, b'{"pairs": [' + b"1," * (size // 2), JSON),
        ("16 MB of open brackets: 16 KB", 400, b"[" * size, JSON),
        ("16 MB of members of one name: 16 KB", 413, b"{" + b'"a":1,' * (size // 6), JSON),
        ("a form of 300,000 parts: 16 KB", 413, (part + b"\r\n\r\n") * (size // 52), kind),
        ("a form of 4,000,000 folds: 16 KB", 400, part + b" a\r\n" * (size // 4), kind),
        ("a form of 16 MB of returns: 16 KB", 413, part + b"\r\n" + b"\r" * (size - 100), kind),
    ):
        yield Attack("writer", what, status, packed(path, body, type_))


LARGE = [f"large{number}" for number in range(6)]


def lines(objects: Iterator[dict[str, str]] | list[dict[str, str]]) -> bytes:
    """A body of NDJSON."""
    return b"".join(json.dumps(each).encode() + b"\n" for each in objects)


def form(size: int) -> bytes:
    """A form of this size, with two values."""
    head = b'--b\r\ncontent-disposition: form-data; name="k"\r\n\r\n'
    value = b"v" * (LIMITS.value_bytes - 100)
    rest = b"v" * (size - len(value) - 2 * len(head) - 20)
    return head + value + b"\r\n" + head + rest + b"\r\n--b--\r\n"


def engine_of(host: str, data: Path) -> AbstractContextManager[Engine]:
    """The engine of a host. An engine without a runtime configuration is the host's own."""
    return redis(data) if host == "redis" else nullcontext(Engine())


def guarded(host: str, data: Path, engine: Engine) -> AbstractContextManager[Server]:
    """A host that requires a token."""
    arguments: list[str] = []
    if engine.runtime_config:
        config = data / "runtime-config.toml"
        config.write_text(engine.runtime_config)
        arguments = ["--runtime-config-file", str(config)]
    host = "spin" if host == "redis" else host
    return serving(host, data, *arguments, anonymous="none", read_token="reader", write_token="writer")


def fill(server: Server, more: bytes) -> None:
    """Writes six large values, a hundred thousand small ones, and further lines."""
    small = b"".join(b'{"key": "small:%06d", "value": "v"}\n' % number for number in range(100_000))
    large = lines({"key": key, "value": "v" * LIMITS.value_bytes} for key in LARGE)
    assert post("/v1/default/set-many", small + large + more, NDJSON)(server) == 200


def at_once(attack: Attack, server: Server, count: int) -> tuple[int, float, set[int]]:
    """Sends concurrent requests. Returns the growth of the host in bytes, the seconds, and the statuses."""
    statuses: list[int] = []

    def send() -> None:
        try:
            statuses.append(attack.send(server))
        except httpx.TransportError as error:
            print(f"{attack.what}: {error}", file=sys.stderr)
            statuses.append(0)

    threads = [threading.Thread(target=send) for _ in range(count)]
    before = resident(server)
    forget_peak(server)
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return peak(server) - before, time.perf_counter() - start, set(statuses)


def main() -> int:
    """Measures and prints the results. Returns 1 if an answer was wrong or a host broke."""
    host = (*sys.argv[1:], "spin")[0]
    words = " ".join(sys.argv[2:])
    missing = why_not("spin") or why_no_engine("Redis") if host == "redis" else why_not(host)
    if missing:
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    wrong = 0
    print(f"{host}: MiB that the host grew by, at its peak, and seconds; so many at once:")
    print(f"{'who':8} {'what':38} answered " + "".join(f"{count:14}" for count in AT_ONCE))
    for attack in attacks():
        if words not in attack.what:
            continue
        told: set[int] = set()
        figures = ""
        for count in AT_ONCE:
            with tempfile.TemporaryDirectory() as name, engine_of(host, Path(name)) as engine:
                data = Path(name)
                if attack.who == "reader":
                    with guarded(host, data, engine) as server:
                        fill(server, attack.stored)
                with guarded(host, data, engine) as server:
                    get("/v1/default?key=a")(server)
                    grew, seconds, statuses = at_once(attack, server, count)
                    if broken := BROKEN.search(server.logged()) or server.process.poll() is not None:
                        print(f"{attack.what}: the host broke: {broken}", file=sys.stderr)
                        wrong += 1
            figures += f"{grew >> 20:7} {seconds:6.1f}"
            told |= statuses
        # An answer that arrives before the body was sent may be lost with the connection.
        wrong += not told <= {attack.status, 0}
        print(f"{attack.who:8} {attack.what:38} {'/'.join(map(str, sorted(told))):9}{figures}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
