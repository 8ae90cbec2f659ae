"""The golden trace: which span is whose parent, held as a table; and what becomes of a stranger's context."""

from collections.abc import Iterator

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from snowmelt.api.events.v1.events_pb2 import Event
from tests.gateway.house import House, eventually

RECOMMEND = {
    ("", "Recommend"),
    ("Recommend", "gateway.recommend"),
    ("gateway.recommend", "gateway.features"),
    ("gateway.recommend", "gateway.retrieval"),
    ("gateway.retrieval", "Retrieve"),
    ("gateway.recommend", "gateway.ranker"),
    ("gateway.ranker", "Rank"),
    ("gateway.recommend", "gateway.blend"),
    ("gateway.recommend", "gateway.impression"),
}
STRANGER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def spans(house: House) -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = trace.get_tracer_provider()
    assert isinstance(provider, TracerProvider)
    processor = SimpleSpanProcessor(exporter)
    provider.add_span_processor(processor)
    yield exporter
    exporter.shutdown()


def _of(spans: InMemorySpanExporter, trace_id: str, count: int) -> list[ReadableSpan]:
    def found() -> list[ReadableSpan]:
        own = [s for s in spans.get_finished_spans() if s.context and f"{s.context.trace_id:032x}" == trace_id]
        return own if len(own) >= count else []

    done: list[ReadableSpan] = eventually(found)
    return done


def _edges(spans: list[ReadableSpan]) -> set[tuple[str, str]]:
    names = {span.context.span_id: span.name for span in spans if span.context}
    return {(names.get(span.parent.span_id, "?") if span.parent else "", span.name) for span in spans}


def test_a_recommendation_is_one_trace(house: House, spans: InMemorySpanExporter) -> None:
    with house.client() as client:
        answer = client.recommend("tia", k=2)
    assert _edges(_of(spans, answer.trace_id, len(RECOMMEND))) == RECOMMEND


def test_an_event_is_recorded_below_its_call(house: House, spans: InMemorySpanExporter) -> None:
    with house.client() as client:
        answer = client.record([Event(user_id="tia", item_id="i1", type="view")])
    assert _edges(_of(spans, answer.trace_id, 2)) == {("", "RecordEvents"), ("RecordEvents", "gateway.record_events")}


def test_no_span_tells_who_the_user_is(house: House, spans: InMemorySpanExporter) -> None:
    with house.client() as client:
        answer = client.recommend("a-very-private-name", k=1)
    for span in _of(spans, answer.trace_id, len(RECOMMEND)):
        assert "a-very-private-name" not in str(span.to_json())


def test_a_strangers_context_is_linked_to_and_not_continued(house: House, spans: InMemorySpanExporter) -> None:
    with house.rest() as client:
        answer = client.post("/v1/recommend", json={"user_id": "u", "k": 1}, headers={"traceparent": STRANGER}).json()
    assert answer["trace_id"] not in STRANGER
    root = next(s for s in _of(spans, answer["trace_id"], len(RECOMMEND)) if s.parent is None)
    assert [f"{link.context.trace_id:032x}" for link in root.links] == [STRANGER.split("-")[1]]
