"""A receiver of OpenTelemetry data on the loopback: OTLP over HTTP, with binary protobuf messages.

OTLP specification, section "OTLP/HTTP": a client sends each kind of data as a POST to its own path.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric
from opentelemetry.proto.trace.v1.trace_pb2 import Span

EXPORT_MILLISECONDS = "100"
"""The interval at which Spin sends. By default it sends spans every 5 s and metrics every 60 s."""


@dataclass
class Received:
    """Everything that a receiver has got.

    Attributes:
        endpoint: The URL of the receiver, for `OTEL_EXPORTER_OTLP_ENDPOINT`.
        spans, logs, metrics: In the order of their arrival. Metrics are cumulative: the last one counts.
        services: The values of `service.name`.
    """

    endpoint: str
    spans: list[Span] = field(default_factory=list)
    logs: list[LogRecord] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    services: set[str] = field(default_factory=set)

    @property
    def environment(self) -> dict[str, str]:
        """The environment that makes Spin send to this receiver, and soon."""
        return {
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": EXPORT_MILLISECONDS,
            "OTEL_BLRP_SCHEDULE_DELAY": EXPORT_MILLISECONDS,
            "OTEL_METRIC_EXPORT_INTERVAL": EXPORT_MILLISECONDS,
        }

    def take(self, path: str, body: bytes) -> bool:
        """Stores the content of one POST. Returns False if the path is none of OTLP's."""
        match path:
            case "/v1/traces":
                for traces in ExportTraceServiceRequest.FromString(body).resource_spans:
                    self._name(traces.resource.attributes)
                    for spans in traces.scope_spans:
                        self.spans += spans.spans
            case "/v1/logs":
                for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                    self._name(logs.resource.attributes)
                    for records in logs.scope_logs:
                        self.logs += records.log_records
            case "/v1/metrics":
                for metrics in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                    self._name(metrics.resource.attributes)
                    for values in metrics.scope_metrics:
                        self.metrics += values.metrics
            case _:
                return False
        return True

    def _name(self, attributes: list[KeyValue]) -> None:
        self.services |= {each.value.string_value for each in attributes if each.key == "service.name"}


@contextmanager
def receiver() -> Iterator[Received]:
    """Runs a receiver on a free port of the loopback."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            self.send_response(200 if received.take(self.path, body) else 404)
            self.send_header("content-type", "application/x-protobuf")
            self.send_header("content-length", "0")  # an empty message: everything was accepted
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
            """Logs nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        received = Received(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield received
        finally:
            server.shutdown()
            thread.join()
