"""The golden traces: which span stands under which, by a table."""

import pytest

from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.embedded.collector import SpanStore
from tests.e2e.conftest import System, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

Edge = tuple[str, str]

ANSWER: set[Edge] = {
    ("gateway.recommend", "gateway.features"),
    ("gateway.recommend", "gateway.retrieval"),
    ("gateway.recommend", "gateway.ranker"),
    ("gateway.recommend", "gateway.blend"),
    ("gateway.recommend", "gateway.impression"),
    ("gateway.retrieval", "Retrieve"),
    ("Retrieve", "retrieval.retrieve"),
    ("retrieval.retrieve", "retrieval.merge"),
    ("gateway.ranker", "Rank"),
    ("Rank", "ranker.rank"),
    ("ranker.rank", "ranker.assemble"),
    ("ranker.rank", "ranker.score"),
}
EVENT: set[Edge] = {
    ("gateway.record_events", "ingest.land"),
    ("ingest.land", "lake.commit"),
    ("gateway.record_events", "ingest.aggregate"),
    ("ingest.aggregate", "state.write"),
}


def edges(system: System, trace_id: str) -> set[Edge]:
    store = SpanStore(system.home.spans)
    spans = store.trace(trace_id)
    store.close()
    names = {span.span_id: span.name for span in spans}
    return {(names.get(span.parent_id, ""), span.name) for span in spans}


def expect(system: System, trace_id: str, wanted: set[Edge]) -> None:
    eventually(lambda: wanted <= edges(system, trace_id), 10.0, lambda: f"missing: {wanted - edges(system, trace_id)}")


def test_one_trace_shows_the_whole_answer(system: System) -> None:
    with system.client() as client:
        expect(system, client.recommend("traced", k=5).trace_id, ANSWER)


def test_one_trace_shows_an_event_from_the_gateway_to_both_sinks(system: System) -> None:
    with system.client() as client:
        shown = client.recommend("traced", k=1)
        event = Event(user_id="traced", item_id=shown.items[0].item_id, type="view", event_time_ms=shown.as_of_ms)
        expect(system, client.record([event]).trace_id, EVENT)


def test_the_waterfall_is_printed(system: System) -> None:
    with system.client() as client:
        trace_id = client.recommend("traced", k=5).trace_id
    expect(system, trace_id, ANSWER)
    spans = system.verb("trace", trace_id, "--json")
    assert isinstance(spans, list)
    head, *lines = system.printed("trace", trace_id).rstrip().split("\n")
    assert head.startswith(f"trace {trace_id}  {len(lines)} spans")
    assert len(lines) >= len(spans)  # the lanes' may come after
    assert all(len(line) <= 80 and " ms " in line and "█" in line for line in lines)
    assert {line.split()[0] for line in lines} >= {"gateway", "retrieval", "ranker"}
