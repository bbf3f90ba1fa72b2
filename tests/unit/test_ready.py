"""`GET /readyz`, the base path, and delete by prefix, over a small host."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from gateway import ready
from gateway.gateway import Gateway
from gateway.http import Request, Response, base_of, header_map
from kv_batch.bucket import MOST_KEYS
from kv_batch.errors import StoreBusy, StoreFailed, StoreNotGranted, StoreUnreachable
from tests.buckets import Refusing, Sqlite
from tests.unit.test_gateway import SmallBody, SmallHost, ask
from tools.api.openapi import DOCUMENT


def told(answer: Response) -> dict[str, object]:
    """The document in a buffered answer."""
    assert isinstance(answer.body, bytes)
    document: dict[str, object] = json.loads(answer.body)
    return document


class Counting(Sqlite):
    """A store that fails while it is told to."""

    failing: Exception | None = None

    def note(self, name: str, keys: Sequence[object]) -> None:
        super().note(name, keys)
        if self.failing is not None:
            raise self.failing


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (StoreFailed("disk I/O error"), "store-failed"),
        (StoreUnreachable("no answer"), "store-failed"),
        (StoreBusy("database is locked"), "store-busy"),
    ],
)
def test_readiness_follows_the_store(failure: Exception, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "PROBE_INTERVAL", 0.0)
    bucket = Counting()
    gateway = Gateway(SmallHost(bucket, anonymous="none"))
    answer = ask(gateway, "GET", "/readyz")
    assert (answer.status, told(answer)) == (200, {"stores": {"default": "ok"}})
    bucket.failing = failure
    answer = ask(gateway, "GET", "/readyz")
    assert (answer.status, told(answer)) == (503, {"stores": {"default": state}})
    bucket.failing = None
    assert ask(gateway, "GET", "/readyz").status == 200


def test_a_store_is_probed_once_a_second_at_most() -> None:
    bucket = Counting()
    gateway = Gateway(SmallHost(bucket))
    for _ in range(20):
        assert ask(gateway, "GET", "/readyz").status == 200
    assert len(bucket.calls) == 1


def test_requests_during_a_probe_get_the_result_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "PROBE_INTERVAL", 0.0)

    async def run() -> None:
        answer = asyncio.Event()
        answers: list[str] = []

        async def probe(label: str) -> None:
            await answer.wait()
            raise StoreFailed(label)

        async def ok(label: str) -> None:
            pass

        async def ask() -> None:
            answers.append(await readiness.state("default", probe))

        readiness = ready.Readiness()
        assert await readiness.state("default", ok) == "ok"
        first = asyncio.create_task(ask())
        await asyncio.sleep(0)
        for _ in range(10):
            await ask()
        assert answers == ["ok"] * 10
        answer.set()
        await first
        assert answers[-1] == "store-failed"

    asyncio.run(run())


def test_a_probe_that_never_ends_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ready, "PROBE_INTERVAL", 0.0)
    monkeypatch.setattr(ready, "LONGEST_PROBE", 0.0)

    async def run() -> None:
        async def never(label: str) -> None:
            await asyncio.Event().wait()

        async def failing(label: str) -> None:
            raise StoreFailed(label)

        readiness = ready.Readiness()
        forgotten = asyncio.create_task(readiness.state("default", never))
        await asyncio.sleep(0)
        assert await readiness.state("default", failing) == "store-failed"
        forgotten.cancel()

    asyncio.run(run())


def test_every_store_that_is_listed_must_answer() -> None:
    answer = ask(SmallHost(ready_stores="default, other"), "GET", "/readyz")
    assert (answer.status, told(answer)) == (
        503,
        {"stores": {"default": "ok", "other": "store-not-granted"}},
    )


def test_readiness_has_no_other_method() -> None:
    answer = ask(SmallHost(), "POST", "/readyz")
    assert (answer.status, dict(answer.headers)["allow"]) == (405, "GET, HEAD")


ROUTES = [
    ("/...", "/v1/default", ""),
    ("/internal/kv/...", "/internal/kv/v1/default?key=a", "/internal/kv"),
    ("/internal/kv/...", "/internal/kv", "/internal/kv"),
    ("/:tenant/kv/...", "/acme/kv/v1/default", "/acme/kv"),
    ("/kv", "/kv", "/kv"),
    ("/", "/", ""),
]


@pytest.mark.parametrize(("route", "target", "base"), ROUTES)
def test_the_base_is_the_start_of_the_route(route: str, target: str, base: str) -> None:
    fields = [("spin-matched-route", route.encode())]
    assert base_of(header_map(fields), target) == base
    for name, value in ("Spin-Matched-Route", b"/x/y/z/..."), ("spin-matched-route", b"/..."):
        forged = [(name, value), *fields]
        assert base_of(header_map(forged), target) == base


def under(base: str, method: str, path: str) -> Response:
    """The answer of a gateway that is mounted at a base."""
    request = Request(method, base + path, header_map([]), SmallBody([]), base)
    return asyncio.run(Gateway(SmallHost(Sqlite({"a": b"1"}))).handle(request))


def test_the_gateway_works_under_any_base() -> None:
    base = "/internal/kv"
    assert told(under(base, "GET", "/v1/default?key=a")) == {"pairs": [{"key": "a", "value": "1"}]}
    assert told(under(base, "GET", "/openapi.json")) == {**DOCUMENT, "servers": [{"url": base}]}
    problem = told(under(base, "GET", "/v2"))
    assert problem["type"] == f"{base}/problems/not-found"
    assert f"{base}/v1/default/get-many" in str(problem["detail"])
    problem = told(under(base, "GET", "/v1/default"))
    assert f"GET {base}/v1/default?key=a" in str(problem["detail"])
    assert under(base, "GET", "").status == 404


def many(count: int) -> dict[str, bytes]:
    """Keys with the prefix `p`, and one without."""
    return {"other": b"", **{f"p{number:06}": b"" for number in range(count)}}


def test_a_delete_by_prefix_deletes_in_parts_and_says_how_many() -> None:
    bucket = Sqlite(many(MOST_KEYS + 10))
    host = SmallHost(bucket)
    assert told(ask(host, "DELETE", "/v1/default/keys?prefix=p&dry-run=true")) == {"keys": MOST_KEYS + 10}
    assert len(bucket.data) == MOST_KEYS + 11
    bucket.calls.clear()
    assert told(ask(host, "DELETE", "/v1/default/keys?prefix=p")) == {"keys": MOST_KEYS + 10}
    assert bucket.calls == [("delete_many", MOST_KEYS), ("delete_many", 10)]
    assert bucket.data == {"other": b""}
    assert told(ask(host, "DELETE", "/v1/default/keys?prefix=p")) == {"keys": 0}


@pytest.mark.parametrize("query", ["", "?prefix=", "?dry-run=true", "?all=false", "?dry-run=1&prefix=p"])
def test_everything_is_deleted_only_if_that_is_asked_for(query: str) -> None:
    bucket = Sqlite(many(3))
    answer = ask(SmallHost(bucket), "DELETE", f"/v1/default/keys{query}")
    assert (answer.status, told(answer)["type"]) == (400, "/problems/malformed-query")
    assert len(bucket.data) == 4
    assert told(ask(SmallHost(bucket), "DELETE", "/v1/default/keys?all=true")) == {"keys": 4}
    assert bucket.data == {}


def test_a_delete_by_prefix_has_no_body() -> None:
    bucket = Sqlite(many(3))
    answer = ask(SmallHost(bucket), "DELETE", "/v1/default/keys?prefix=p", {"keys": ["other"]})
    assert (answer.status, told(answer)["type"]) == (400, "/problems/malformed-body")
    assert len(bucket.data) == 4


class Revoked(Sqlite):
    """A store that the gateway may no longer use after its first delete."""

    async def delete_many(self, keys: Sequence[str]) -> None:
        if self.calls:
            raise StoreNotGranted("revoked")
        await super().delete_many(keys)


def test_a_delete_by_prefix_tells_what_it_deleted_before_the_store_was_revoked() -> None:
    bucket = Revoked(many(MOST_KEYS + 10))
    bucket.calls.clear()
    answer = ask(SmallHost(bucket), "DELETE", "/v1/default/keys?prefix=p")
    problem = told(answer)
    assert (answer.status, problem["type"], problem["applied"]) == (502, "/problems/store-failed", MOST_KEYS)
    assert "10 were not attempted" in str(problem["detail"])
    answer = ask(SmallHost(bucket), "DELETE", "/v1/default/keys?prefix=p")
    assert told(answer)["type"] == "/problems/store-not-granted"
    assert len(bucket.data) == 11


def test_a_delete_by_prefix_goes_on_after_keys_that_are_refused() -> None:
    bucket = Refusing(many(MOST_KEYS + 10))
    bucket.refused = frozenset(["p000003", "p000005"])
    answer = ask(SmallHost(bucket), "DELETE", "/v1/default/keys?prefix=p")
    problem = told(answer)
    assert (answer.status, problem["applied"]) == (502, MOST_KEYS + 8)
    assert [each["key"] for each in problem["failed"]] == ["p000003", "p000005"]  # type: ignore[attr-defined]
    assert set(bucket.data) == {"other", "p000003", "p000005"}


def test_a_delete_by_prefix_ends_when_the_store_fails() -> None:
    class Failing(Sqlite):
        def note(self, name: str, keys: Sequence[object]) -> None:
            super().note(name, keys)
            if name == "delete_many" and len(self.calls) > 1:
                raise StoreUnreachable("gone")

    bucket = Failing(many(3 * MOST_KEYS))
    answer = ask(SmallHost(bucket), "DELETE", "/v1/default/keys?prefix=p")
    problem = told(answer)
    assert (answer.status, problem["applied"], problem["failed"]) == (502, MOST_KEYS, [])
    assert f"{2 * MOST_KEYS} were not attempted. Send the same request again" in str(problem["detail"])
    assert len(bucket.data) == 2 * MOST_KEYS + 1
    assert len(bucket.calls) == 2
