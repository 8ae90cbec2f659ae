"""Traces: one provider a process, W3C trace context over gRPC metadata and Kafka headers."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from snowmelt.runtime.config import ConfigError, Settings
from snowmelt.runtime.spans import NAME, Attribute, Child, Root, current

QUEUE_SPANS = 4096
EXPORT_DELAY_MS = 500
EXPORT_TIMEOUT_S = 2

_TRACER = trace.get_tracer(NAME)
_PROPAGATOR = TraceContextTextMapPropagator()


def setup(service: str, settings: Settings) -> None:
    """Installs the provider; spans leave by OTLP if OTEL_EXPORTER_OTLP_ENDPOINT is set and never hold up an answer.

    Raises:
        ConfigError: OTEL_EXPORTER_OTLP_PROTOCOL, or the one for traces alone, asks for another protocol than grpc.
    """
    if isinstance(trace.get_tracer_provider(), TracerProvider):
        return
    provider = TracerProvider(
        resource=Resource.create({SERVICE_NAME: service, "snowmelt.embedded": settings.embedded}),
        shutdown_on_exit=True,
    )
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if endpoint and os.environ.get("OTEL_TRACES_EXPORTER", "otlp") != "none":
        provider.add_span_processor(_exporting())
    trace.set_tracer_provider(provider)


def _exporting() -> BatchSpanProcessor:
    asked = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
    name = next((name for name in asked if os.environ.get(name)), "")
    if name and os.environ[name] != "grpc":
        raise ConfigError(f"{name}: only grpc is supported")
    from snowmelt.runtime.span_export import SpanExporter  # noqa: PLC0415 slow to import

    return BatchSpanProcessor(
        SpanExporter(timeout=None if "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ else EXPORT_TIMEOUT_S),
        max_queue_size=None if "OTEL_BSP_MAX_QUEUE_SIZE" in os.environ else QUEUE_SPANS,
        schedule_delay_millis=None if "OTEL_BSP_SCHEDULE_DELAY" in os.environ else EXPORT_DELAY_MS,
    )


def span(name: str, **attributes: Attribute) -> AbstractContextManager[None]:
    """A span below the current one, for the time of the ``with`` block; attributes hold no raw user id."""
    parent = current()
    if parent is None:
        return Root(_TRACER.start_span(name, context=Context(), attributes=attributes))
    return Child(name, parent, attributes)


def server_span(name: str, headers: Mapping[str, str], *, trusted: bool) -> AbstractContextManager[None]:
    """The span of a call or record that arrived: a child of the sender's span where the sender is ours.

    A stranger's context starts a new root that links to it, with our own sampling decision.
    """
    sender = trace.get_current_span(extract(headers)).get_span_context()
    if trusted and sender.is_valid:
        return Child(name, sender, {}, SpanKind.SERVER)
    links = [Link(sender)] if sender.is_valid and not trusted else []
    return Root(_TRACER.start_span(name, context=Context(), kind=SpanKind.SERVER, links=links))


def inject() -> dict[str, str]:
    """The current span's context as headers (``traceparent``), to be sent along."""
    context = current()
    if context is None or not context.is_valid:
        return {}
    parent = f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"
    state = context.trace_state.to_header() if context.trace_state else ""
    return {"traceparent": parent, "tracestate": state} if state else {"traceparent": parent}


def extract(headers: Mapping[str, str]) -> Context:
    """The sender's context; an empty one where the headers hold none or a malformed one. Baggage is dropped."""
    return _PROPAGATOR.extract(headers, context=Context())


def trace_id() -> str:
    """The current trace's id, 32 hexadecimal digits; empty outside of a span."""
    context = current()
    return trace.format_trace_id(context.trace_id) if context and context.is_valid else ""
