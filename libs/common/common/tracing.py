"""Traces: who waited for whom, from a click to a mail. On where OTEL_EXPORTER_OTLP_ENDPOINT is set; else everything here does nothing.

Spans carry names of routes, services and event types, never an address, a body or an error's text. The provider is our own and not the
global one, under which FastAPI would make spans with full paths. Source of the names: OpenTelemetry's semantic conventions.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

from opentelemetry.trace import INVALID_SPAN, Span, SpanKind, StatusCode, Tracer, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

EXPORT_SECONDS = 3
SERVER, CLIENT, PRODUCER, CONSUMER = SpanKind.SERVER, SpanKind.CLIENT, SpanKind.PRODUCER, SpanKind.CONSUMER

_tracer: Tracer | None = None
_provider: Any = None
_w3c = TraceContextTextMapPropagator()


def configure(service: str, endpoint: str | None) -> None:
    """Sends this process's spans to a collector that speaks OTLP over HTTP; call once, first.

    Raises RuntimeError when the extra `telemetry` is not installed.
    """
    global _tracer, _provider
    if not endpoint:
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise RuntimeError("OTEL_EXPORTER_OTLP_ENDPOINT is set, but client-invoices-common[telemetry] is not installed") from error
    _provider = TracerProvider(resource=Resource.create({"service.namespace": "client-invoices", "service.name": service}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
    _provider.add_span_processor(BatchSpanProcessor(exporter))
    _tracer = _provider.get_tracer("client_invoices")


def close() -> None:
    """Sends what is left."""
    if _provider is not None:
        _provider.shutdown()


@contextmanager
def span(name: str, kind: SpanKind = SpanKind.INTERNAL, *, parent: str | None = None, **attributes: str | int) -> Iterator[Span]:
    """A span around the block: a child of `parent`, a W3C traceparent, else of the span at hand, else the first of a new trace.

    Attributes are written with `__` where OpenTelemetry has a dot.
    """
    if _tracer is None:
        yield INVALID_SPAN
        return
    above = _w3c.extract({"traceparent": parent}) if parent else None
    named = {key.replace("__", "."): value for key, value in attributes.items()}
    made = _tracer.start_as_current_span(name, above, kind, named, record_exception=False, set_status_on_exception=False)
    with made as begun:
        try:
            yield begun
        except Exception as error:
            failed(begun, type(error).__name__)
            raise


def answered(name: str, status: int, **attributes: str) -> None:
    """The request of the span at hand was answered with this status; by then its route is known, for the span's name."""
    begun = get_current_span()
    begun.update_name(name)
    begun.set_attribute("http.response.status_code", status)
    for key, value in attributes.items():
        begun.set_attribute(key.replace("__", "."), value)
    if status >= 500:
        failed(begun, str(status))


def failed(begun: Span, why: str) -> None:
    """Marks a span as failed; `why` is a word without values, such as the error's type."""
    begun.set_attribute("error.type", why)
    begun.set_status(StatusCode.ERROR)


def traceparent() -> str | None:
    """The span at hand, to be carried to where the work goes on; None outside of any."""
    carrier: dict[str, str] = {}
    _w3c.inject(carrier)
    return carrier.get("traceparent")


def add_trace_id(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: a line that belongs to a trace says to which."""
    context = get_current_span().get_span_context()
    if context.is_valid:
        line["trace_id"] = format(context.trace_id, "032x")
    return line
