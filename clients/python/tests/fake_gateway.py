"""A gateway without a network: a dict behind the routes that the client uses, with planned faults."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

import httpx

from kv_batch_client.lines import decode, end_line, pair_line

Kind = Literal["ok", "cut-before", "cut-after", "busy", "resume", "refuse", "proxy"]


@dataclass(frozen=True)
class Fault:
    """What the gateway does with one request; `after` is a number of lines."""

    kind: Kind
    after: int = 0


class Cut(httpx.SyncByteStream):
    """A body whose connection breaks behind some lines, or in the middle of one."""

    def __init__(self, lines: list[bytes], whole: bool) -> None:
        self._lines, self._whole = lines, whole

    def __iter__(self) -> Iterator[bytes]:
        for line in self._lines:
            yield line + b"\n"
        if not self._whole:
            yield b'{"key": "ha'
            raise httpx.RemoteProtocolError("peer closed the connection")


@dataclass
class Gateway(httpx.BaseTransport):
    """The gateway. Each request takes the next fault; without one it succeeds."""

    pairs: dict[str, bytes] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    refused: set[str] = field(default_factory=set)
    requests: int = 0

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests += 1
        fault = self.faults.pop(0) if self.faults else Fault("ok")
        if fault.kind == "proxy":
            return httpx.Response(502, content=b"<html>bad gateway</html>")
        if fault.kind == "cut-before" and request.method == "POST":
            raise httpx.ConnectError("refused")
        match request.url.path.rsplit("/", 1)[-1]:
            case "set-many":
                return self._set_many(request, fault)
            case "get-many":
                keys = [decode(line)[0] for line in request.read().split(b"\n")[:-2]]
                lines = [
                    pair_line(key, self.pairs[key])
                    if key in self.pairs
                    else json.dumps({"key": key, "value": None}).encode()
                    for key in keys
                ]
                return self._lines(lines, fault)
            case "keys":
                after = request.url.params.get("after", "")
                rest = sorted(key for key in self.pairs if key > after)
                page = list(islice(rest, 3))
                return httpx.Response(200, json={"keys": page, "next": page[-1] if len(rest) > 3 else None})
        lines = [pair_line(key, self.pairs[key]) for key in sorted(self.pairs)]
        return self._lines([*lines, end_line(len(lines)).strip()], fault)

    def _lines(self, lines: list[bytes], fault: Fault) -> httpx.Response:
        if fault.kind == "busy":
            return _problem(503, "store-busy", {}, {"retry-after": "1"})
        if fault.kind == "ok":
            return httpx.Response(200, stream=Cut(lines, whole=True))
        # A body that ends well on a line is what an HTTP/1.0 proxy makes of a cut one.
        return httpx.Response(200, stream=Cut(lines[: fault.after], whole=fault.kind == "refuse"))

    def _set_many(self, request: httpx.Request, fault: Fault) -> httpx.Response:
        *lines, end = request.read().strip(b"\n").split(b"\n")
        assert json.loads(end)["end"]["pairs"] == sum(1 for line in lines if line)
        if fault.kind == "busy":
            return _problem(503, "store-busy", {}, {"retry-after": "1"})
        count = len(lines) if fault.kind in {"ok", "refuse"} else min(fault.after, len(lines))
        applied, failed = 0, dict[str, str]()
        for line in lines[:count]:
            if not line:
                continue
            key, value = decode(line)
            assert value is not None
            if key in self.refused:
                failed[key] = "refused"
            else:
                self.pairs[key] = value
                applied += 1
        if fault.kind in {"cut-before", "cut-after"}:
            raise httpx.ReadError("reset")
        members: dict[str, object] = {
            "applied": applied,
            "failed": [{"key": key, "reason": reason} for key, reason in failed.items()],
        }
        if count < len(lines):
            return _problem(502, "store-failed", members | {"resume_line": count + 1}, {})
        return _problem(502, "store-failed", members, {}) if failed else httpx.Response(200, json={})


def _problem(status: int, code: str, members: dict[str, object], headers: dict[str, str]) -> httpx.Response:
    document = {"type": f"/problems/{code}", "title": code, "status": status, "detail": "", **members}
    return httpx.Response(status, json=document, headers=headers)
