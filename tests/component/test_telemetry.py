"""OpenTelemetry under Spin: spans, log lines and metrics of a request (docs/observability.md).

The receiver runs on the loopback. Only Spin sends telemetry, so these tests need `spin`.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.otlp import Received, receiver
from tests.servers import Server, serving, why_not

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACED = {"traceparent": f"00-{TRACE}-{PARENT}-01", "authorization": "Bearer the-token"}

MANIFESTS = ["spin.toml", "deploy/spin-4.0.toml", "deploy/spin-3.toml"]
"""The manifests of the three components."""

METRICS = {"spin.request_count", "spin.component_cpu_time", "spin.component_memory_used"}


@pytest.fixture(scope="module", params=MANIFESTS)
def watched(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Server, Received]]:
    """A Spin that sends its telemetry to a receiver."""
    if missing := why_not("spin"):
        pytest.skip(f"spin: {missing}")
    data = tmp_path_factory.mktemp("telemetry")
    with (
        receiver() as received,
        serving(
            "spin",
            data,
            manifest=request.param,
            extra_environment=received.environment,
            anonymous="none",
            write_token="the-token",
        ) as server,
    ):
        yield server, received


def soon(what: Callable[[], bool], received: Received) -> None:
    """Waits until it is so."""
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end, [span.name for span in received.spans]
        time.sleep(0.05)


def spans_of(received: Received) -> dict[str, Span]:
    """The spans of the trace by their names."""
    return {span.name: span for span in received.spans if span.trace_id.hex() == TRACE}


def test_a_trace_leads_from_the_client_to_the_log(watched: tuple[Server, Received]) -> None:
    server, received = watched
    pairs = {"pairs": [{"key": "the-key", "value": "the-value"}]}
    answer = httpx.post(f"{server.url}/v1/default/set-many", json=pairs, headers=TRACED)
    assert answer.status_code == 200
    inner, outer = "execute_wasm_component kv-batch", "POST /..."
    soon(lambda: {inner, outer} <= set(spans_of(received)), received)
    spans = spans_of(received)
    assert spans[outer].parent_span_id.hex() == PARENT
    assert spans[inner].parent_span_id == spans[outer].span_id
    assert "spin" in received.services

    wanted = answer.headers["x-request-id"]
    soon(lambda: any(wanted in record.body.string_value for record in received.logs), received)
    (sent,) = [record.body.string_value for record in received.logs if wanted in record.body.string_value]
    line = json.loads(sent)
    assert (line["trace_id"], line["status"], line["keys"]) == (TRACE, 200, 1)
    assert sent.strip() in server.logged()

    everything = f"{received.spans} {received.logs} {received.metrics}"
    for secret in ("the-key", "the-value", "the-token"):
        assert secret not in everything


def test_spin_counts_requests_and_memory(watched: tuple[Server, Received]) -> None:
    server, received = watched
    httpx.get(f"{server.url}/v1/default?key=a")
    soon(lambda: {metric.name for metric in received.metrics} >= METRICS, received)


def test_the_span_of_spin_has_the_query(watched: tuple[Server, Received]) -> None:
    """kv-batch logs no key, but Spin puts the query of a URL into `url.query`. The document warns of it."""
    server, received = watched
    httpx.get(f"{server.url}/v1/default?key=asked-in-a-query", headers=TRACED)
    soon(lambda: "GET /..." in spans_of(received), received)
    (query,) = [each for each in spans_of(received)["GET /..."].attributes if each.key == "url.query"]
    assert query.value.string_value == "key=asked-in-a-query"
    assert "asked-in-a-query" not in server.logged()
