"""Whatever bytes a topic holds: each record is a row or a letter, and the lane goes on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.batch import Batch
from services.ingest.decode import decode
from services.ingest.verdicts import dead_rows
from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.contracts import topics
from snowmelt.runtime.kafka.consumer import UNREADABLE
from tests.fixtures.views import EVENT_TYPES
from tests.ingest.fakes import NOW, event

ITEM = pb.ItemUpsert(tenant="default", item_id="i", title="t", categories=["c"], price=2, event_time_ms=NOW,
                     attributes={"a": "b"}, available_from_ms=NOW)  # fmt: skip
SHOWN = pb.ImpressionItem(item_id="i", propensity=1, sources=[pb.SourceHit(source="s", rank=1, score=2)], features=[1])
GOOD = [
    event(1, context={"k": "v"}, categories=["c"], price=2.5, position=3),
    pb.CatalogChange(upsert=ITEM).SerializeToString(),
    pb.CatalogChange(
        withdrawal=pb.ItemWithdrawal(tenant="default", item_id="i", event_time_ms=NOW)
    ).SerializeToString(),
    pb.UserUpsert(tenant="default", user_id="ann", attributes={"a": "b"}, event_time_ms=NOW).SerializeToString(),
    pb.Impression(request_id="r", tenant="default", user_id="ann", as_of_ms=NOW, items=[SHOWN]).SerializeToString(),
]
KEYS = [None, b"", b"default/ann", b"default/i", b"\xff/\x00", b"default/" + b"x" * 300]
HEADERS = [None, [], [("traceparent", b"\xff")], [("h", None)], [("h", b"v")] * 101, UNREADABLE]
TIMES = [NOW, 0, -1, NOW + 10**6, 2**62, -(2**62)]


@st.composite
def spoiled(draw: st.DrawFn) -> bytes | None:
    """A message of any topic as it is, or with bytes changed, cut out, or put in."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.none() | st.binary(max_size=40))
    value = bytearray(draw(st.sampled_from(GOOD)))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(value)))
        value[at : at + draw(st.integers(0, 4))] = draw(st.binary(max_size=4))
    return bytes(value)


records = st.tuples(spoiled(), st.sampled_from(KEYS), st.sampled_from(HEADERS), st.sampled_from(TIMES))


@pytest.mark.parametrize("topic", topics.LAKE_TOPICS)
@settings(max_examples=300, deadline=None, database=None)
@given(drawn=st.lists(records, min_size=1, max_size=8))
def test_every_record_is_a_row_or_a_letter(topic: str, drawn: list[tuple]) -> None:
    values, keys, headers, times = (list(column) for column in zip(*drawn, strict=True))
    n = len(values)
    batch = Batch(topic, np.zeros(n, np.int32), np.arange(n), np.array(times), keys, values, headers, {}, {})
    found = decode(batch, "one", EVENT_TYPES)
    assert sorted([*found.places.tolist(), *found.verdicts]) == list(range(n))
    assert found.rows["offset"].to_pylist() == found.places.tolist()
    letters = dead_rows(batch, found.verdicts, "one").to_pylist()
    assert [(row["offset"], row["payload"], row["key"]) for row in letters] == [
        (i, values[i], keys[i]) for i in sorted(found.verdicts)
    ]
