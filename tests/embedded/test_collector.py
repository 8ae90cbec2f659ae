"""The collector takes real OTLP and the waterfall shows who called whom."""

from pathlib import Path

from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from snowmelt.cli.trace import waterfall
from snowmelt.embedded.collector import Collector, Span, SpanStore


def test_spans_sent_by_otlp_are_found_by_trace(tmp_path: Path) -> None:
    path = tmp_path / "traces.sqlite"
    collector = Collector(SpanStore(path))
    provider = TracerProvider(resource=Resource.create({"service.name": "gateway"}))
    provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=collector.endpoint, insecure=True)))
    tracer = provider.get_tracer("test")
    with tracer.start_as_current_span("outer", attributes={"k": 20}) as outer, tracer.start_as_current_span("inner"):
        trace_id = format(outer.get_span_context().trace_id, "032x")
    spans = SpanStore(path).trace(trace_id)
    provider.shutdown()
    collector.stop()
    assert [(s.service, s.name) for s in spans] == [("gateway", "outer"), ("gateway", "inner")]
    assert spans[1].parent_id == spans[0].span_id
    assert spans[0].attributes == {"k": "20"}
    assert path.stat().st_mode & 0o077 == 0


def test_only_the_newest_spans_are_kept(tmp_path: Path) -> None:
    store = SpanStore(tmp_path / "traces.sqlite", keep=100)
    for i in range(1000):
        store.add([_span(f"t{i}", f"s{i}", "", i, i + 1)])
    assert store.trace("t1") == []
    assert len(store.trace("t999")) == 1


def test_the_waterfall_fits_eighty_columns() -> None:
    spans = [_span("t", "a", "", 0, 10_000_000), _span("t", "b", "a", 2_000_000, 9_000_000, failed=True)]
    lines = [line.plain for line in waterfall(spans, 80)]
    assert lines[0] == "trace t  2 spans  10.00 ms"
    assert lines[1].startswith("gateway a ")
    assert lines[2].startswith("  gateway b ")
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].count("█") > lines[2].count("█") > 10


def _span(trace: str, span: str, parent: str, start: int, end: int, failed: bool = False) -> Span:
    return Span(trace, span, parent, "gateway", span, start, end, failed, {})
