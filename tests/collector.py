"""A collector of traces on this machine, speaking OTLP over HTTP: keeps every span it is sent."""

from __future__ import annotations

import gzip
import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest, ExportTraceServiceResponse


@dataclass(frozen=True)
class Collected:
    """A span: which service made it, its name, its trace, itself and the span above it, and what else it says."""

    service: str
    name: str
    trace: str
    id: str
    above: str
    attributes: dict[str, str]


class Collector:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.spans: list[Collected] = []

    def trace(self, trace: str) -> list[Collected]:
        return [span for span in self.spans if span.trace == trace]

    def take(self, body: bytes) -> None:
        asked = ExportTraceServiceRequest.FromString(body)
        for resource in asked.resource_spans:
            service = next(each.value.string_value for each in resource.resource.attributes if each.key == "service.name")
            for span in (span for scope in resource.scope_spans for span in scope.spans):
                attributes = {each.key: str(each.value.string_value or each.value.int_value) for each in span.attributes}
                made = Collected(service, span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), attributes)
                self.spans.append(made)


@contextmanager
def collecting() -> Iterator[Collector]:
    """Listens on a free port for as long as the block lasts."""

    class Door(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(gzip.decompress(body) if self.headers["content-encoding"] == "gzip" else body)
            answer = ExportTraceServiceResponse().SerializeToString()
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *values: object) -> None:
            """Quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Door) as server:
        collector = Collector(server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield collector
        server.shutdown()
        thread.join()
