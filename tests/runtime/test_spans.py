"""Spans below another: whose they are, what they say of an error, and that what is not sampled leaves none."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from snowmelt.contracts.candidates import StageTime
from snowmelt.runtime import spans, telemetry
from snowmelt.runtime.config import Settings

TRACE = "0af7651916cd43dd8448eb211c80319c"
SAMPLED, NOT_SAMPLED = f"00-{TRACE}-b7ad6b7169203331-01", f"00-{TRACE}-b7ad6b7169203331-00"


@pytest.fixture
def found() -> Iterator[InMemorySpanExporter]:
    telemetry.setup("test", Settings())
    exporter, provider = InMemorySpanExporter(), trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    yield exporter
    exporter.shutdown()


def _parents(found: InMemorySpanExporter) -> dict[str, int | None]:
    return {span.name: span.parent.span_id if span.parent else None for span in found.get_finished_spans()}


def _named(found: InMemorySpanExporter, name: str) -> ReadableSpan:
    return next(span for span in found.get_finished_spans() if span.name == name)


def test_a_call_of_ours_continues_the_senders_trace(found: InMemorySpanExporter) -> None:
    headers = {"traceparent": SAMPLED, "tracestate": "vendor=1"}
    with telemetry.server_span("Rank", headers, trusted=True):
        assert telemetry.trace_id() == TRACE
        with telemetry.span("work", candidates=3):
            sent = telemetry.inject()
            spans.note([StageTime("one", 2.0), StageTime("two", 3.0)])
    ids = {span.name: span.context.span_id for span in found.get_finished_spans() if span.context}
    assert _parents(found) == {
        "Rank": int("b7ad6b7169203331", 16), "work": ids["Rank"], "one": ids["work"], "two": ids["work"],
    }  # fmt: skip
    assert sent == {"traceparent": f"00-{TRACE}-{ids['work']:016x}-01", "tracestate": "vendor=1"}
    assert _named(found, "Rank").kind is SpanKind.SERVER
    assert dict(_named(found, "work").attributes or {}) == {"candidates": 3}
    one, two = _named(found, "one"), _named(found, "two")
    assert one.end_time == two.start_time
    assert (two.end_time or 0) - (one.start_time or 0) == 5_000_000
    assert telemetry.inject() == {}, "the span is over"


def test_an_error_is_said(found: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError, match="odd"), telemetry.span("root"), telemetry.span("work"):
        raise ValueError("odd")
    for name in ("root", "work"):
        assert _named(found, name).status.status_code is StatusCode.ERROR
        assert [event.name for event in _named(found, name).events] == ["exception"]


def test_what_the_sender_does_not_sample_leaves_no_span_and_is_passed_on(found: InMemorySpanExporter) -> None:
    with telemetry.server_span("Rank", {"traceparent": NOT_SAMPLED}, trusted=True), telemetry.span("work"):
        assert telemetry.trace_id() == TRACE
        assert telemetry.inject()["traceparent"].endswith("-00")
        spans.note([StageTime("one", 1.0)])
    assert found.get_finished_spans() == ()
