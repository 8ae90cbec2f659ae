"""Spans are encoded as the library encodes them, whatever they hold."""

import contextlib
from collections.abc import Sequence

import pytest
from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags, TraceState

from snowmelt.contracts.candidates import StageTime
from snowmelt.runtime import span_export, spans, telemetry
from tests.runtime.test_spans import NOT_SAMPLED, SAMPLED
from tests.runtime.test_spans import found as _found

found = _found


def _like_the_librarys(given: Sequence[ReadableSpan]) -> None:
    assert len(given) > 1
    for order in (list(given), list(reversed(given))):
        assert span_export.encoded(order) == encode_spans(order)


def test_all_kinds_of_spans_come_out_as_from_the_library(found: InMemorySpanExporter) -> None:
    headers = {"traceparent": SAMPLED, "tracestate": "vendor=1,other=2"}
    with contextlib.suppress(ValueError), telemetry.server_span("Rank", headers, trusted=True):
        with telemetry.span("work", count=3, share=0.5, whole=True, named="ü"):
            spans.note([StageTime("one", 2.0), StageTime("two", 3.0)])
        raise ValueError("odd")
    with telemetry.server_span("Recommend", {"traceparent": NOT_SAMPLED}, trusted=False):
        pass
    _like_the_librarys(found.get_finished_spans())


def test_a_remote_parent_is_said_to_be_remote() -> None:
    parent = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1), trace_state=TraceState([("a", "b")]))
    own = SpanContext(1, 3, is_remote=False, trace_flags=TraceFlags(1), trace_state=parent.trace_state)
    resource = Resource.create({"service.name": "x"})
    made = [
        ReadableSpan(f"s{n}", own, parent, resource, {}, kind=SpanKind(n), start_time=1, end_time=n) for n in (1, 2)
    ]
    _like_the_librarys(made)


@pytest.mark.parametrize("scope", ["another", "snowmelt"])
def test_spans_of_others_are_left_to_the_library(found: InMemorySpanExporter, scope: str) -> None:
    kept = InMemorySpanExporter()
    other = TracerProvider(resource=Resource.create({"service.name": "another"}))
    other.add_span_processor(SimpleSpanProcessor(kept))
    other.get_tracer(scope).start_span("theirs").end()
    with telemetry.span("ours"):
        pass
    _like_the_librarys([*found.get_finished_spans(), *kept.get_finished_spans()])
