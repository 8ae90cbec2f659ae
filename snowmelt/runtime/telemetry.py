"""Traces: one provider a process, W3C trace context over gRPC metadata and Kafka headers."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType

from opentelemetry import trace
from opentelemetry.context import Context, attach, detach
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, Span, SpanKind
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from snowmelt.runtime.config import ConfigError, Settings

QUEUE_SPANS = 4096
EXPORT_DELAY_MS = 500
EXPORT_TIMEOUT_S = 2

_TRACER = trace.get_tracer("snowmelt")
_PROPAGATOR = TraceContextTextMapPropagator()


def setup(service: str, settings: Settings) -> None:
    """Installs the provider; spans leave by OTLP if OTEL_EXPORTER_OTLP_ENDPOINT is set and never hold up an answer.

    Raises:
        ConfigError: OTEL_EXPORTER_OTLP_PROTOCOL asks for another protocol than grpc.
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
    if os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc") != "grpc":
        raise ConfigError("OTEL_EXPORTER_OTLP_PROTOCOL: only grpc is supported")
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter  # noqa: PLC0415 slow to import

    return BatchSpanProcessor(
        OTLPSpanExporter(timeout=None if "OTEL_EXPORTER_OTLP_TIMEOUT" in os.environ else EXPORT_TIMEOUT_S),
        max_queue_size=QUEUE_SPANS,
        schedule_delay_millis=None if "OTEL_BSP_SCHEDULE_DELAY" in os.environ else EXPORT_DELAY_MS,
    )


class _Current(AbstractContextManager[Span]):
    """Makes a started span the current one, and ends it; three nested generators do so in the library."""

    __slots__ = ("_span", "_token")

    def __init__(self, started: Span) -> None:
        self._span = started

    def __enter__(self) -> Span:
        self._token = attach(trace.set_span_in_context(self._span))
        return self._span

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        detach(self._token)
        # What ends a task or a generator is no error of the work.
        failed = isinstance(error, Exception)
        self._span.__exit__(kind if failed else None, error if failed else None, traceback)


def span(name: str, **attributes: str | int | float | bool) -> AbstractContextManager[Span]:
    """A span below the current one, for the time of the ``with`` block; attributes hold no raw user id."""
    return _Current(_TRACER.start_span(name, attributes=attributes))


def server_span(name: str, headers: Mapping[str, str], *, trusted: bool) -> AbstractContextManager[Span]:
    """The span of a call or record that arrived: a child of the sender's span where the sender is ours.

    A stranger's context starts a new root that links to it, with our own sampling decision.
    """
    outside = extract(headers)
    if trusted:
        return _Current(_TRACER.start_span(name, context=outside, kind=SpanKind.SERVER))
    linked = trace.get_current_span(outside).get_span_context()
    links = [Link(linked)] if linked.is_valid else []
    return _Current(_TRACER.start_span(name, context=Context(), kind=SpanKind.SERVER, links=links))


def inject() -> dict[str, str]:
    """The current span's context as headers (``traceparent``), to be sent along."""
    headers: dict[str, str] = {}
    _PROPAGATOR.inject(headers)
    return headers


def extract(headers: Mapping[str, str]) -> Context:
    """The sender's context; an empty one where the headers hold none or a malformed one. Baggage is dropped."""
    return _PROPAGATOR.extract(headers, context=Context())


def trace_id() -> str:
    """The current trace's id, 32 hexadecimal digits; empty outside of a span."""
    context = trace.get_current_span().get_span_context()
    return trace.format_trace_id(context.trace_id) if context.is_valid else ""
