"""Events read as columns are what the protobuf library reads, whatever the bytes; what writers send is never odd."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from google.protobuf.message import DecodeError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.ingest import wire
from services.ingest.batch import Batch
from services.ingest.events import EventColumns, event_columns
from services.ingest.wire import read_events
from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.contracts import topics

TEXT = st.text(st.characters(codec="utf-8"), max_size=5) | st.just("x" * 200)
TEXTS = ("event_id", "tenant", "user_id", "session_id", "item_id", "type", "surface", "request_id")
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(TEXTS, TEXT),
        "value": st.floats(allow_nan=False),
        "price": st.floats(allow_nan=False),
        "position": st.integers(-(2**31), 2**31 - 1),
        "event_time_ms": st.integers(-(2**63), 2**63 - 1),
        "categories": st.lists(TEXT, max_size=3),
        "context": st.dictionaries(TEXT, TEXT, max_size=3),
    },
)


def packed(fields: dict[str, Any]) -> bytes:
    return pb.Event(**fields).SerializeToString()


WHOLE = FIELDS.map(packed)
STRANGE = st.sampled_from(
    [
        *(b"", b"\x00", b"\xfa\x07\x03new", b"\x0a\x02\xff\xff", b"\x6a\x01\xc3", b"\x0b", b"\x39"),
        *(b"\x40" + b"\xff" * 9 + b"\x01", b"\x40" + b"\x80" * 11, b"\x0a\x81\x00a", b"\x0a" + b"\xff" * 9 + b"\x01"),
        *(b"\x62\x00", b"\x62\x03\x0a\x01k", b"\x62\x06\x0a\x01k\x12\x01v", b"\x62\x06\x12\x01v\x0a\x01k"),
        b"\x62\x0a\x0a" + b"\xff" * 9,
    ]
)
VALUES = WHOLE | st.lists(WHOLE | STRANGE, max_size=3).map(b"".join) | st.binary(max_size=40)


@st.composite
def cut_or_changed(draw: st.DrawFn) -> bytes:
    octets = bytearray(draw(WHOLE))
    if octets and draw(st.booleans()):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    return bytes(octets[: draw(st.integers(0, len(octets)))])


def table(columns: EventColumns, rows: int) -> pa.Table:
    zeros = np.zeros(rows, np.int64)
    batch = Batch(topics.EVENTS, zeros.astype(np.int32), zeros, zeros, [None] * rows, [None] * rows, [], {}, {})
    # Times outside of Arrow's range are refused by the rules; here they are compared as they are.
    plain = EventColumns(columns.texts, columns.numbers, zeros, columns.context, columns.categories)
    return plain.table(batch, "one")


def parsed(value: bytes) -> pb.Event | None:
    try:
        return pb.Event.FromString(value)
    except DecodeError:
        return None


@settings(max_examples=400, deadline=None)
@given(st.lists(VALUES | cut_or_changed(), min_size=1, max_size=8))
@example([b"\x62\x0c\x0a\x01k\x12\x01v\x0a\x01k\x12\x01w"])
@example([b"\x62\x06\x0a\x01k\x12\x01v" * 2])
@example([b"\x0a\x02\xff\xff\x0a\x01k"])
@example([b"\x0a\x01k\x0a\x01l", b"\x0a\x00\x0a\x01l"])
def test_what_is_not_odd_is_read_as_protobuf_reads_it(values: list[bytes]) -> None:
    columns, odd = read_events(values)
    rows = np.flatnonzero(~odd)
    expected = [parsed(values[i]) for i in rows.tolist()]
    assert None not in expected
    found = table(columns, len(values)).take(rows)
    found.validate(full=True)
    reference = event_columns([event for event in expected if event is not None])
    assert found.to_pylist() == table(reference, len(rows)).to_pylist()
    assert columns.times_ms[rows].tolist() == reference.times_ms.tolist()


@settings(max_examples=100, deadline=None)
@given(st.lists(FIELDS, min_size=1, max_size=8))
def test_what_the_house_writes_is_never_odd(drawn: list[dict[str, Any]]) -> None:
    for fields in drawn:
        fields["event_time_ms"] = fields.get("event_time_ms", 0) % 2**56  # the year 2 million
        fields["position"] = abs(fields.get("position", 0) // 2)
    assert not read_events([packed(fields) for fields in drawn])[1].any()


def test_no_events_are_no_columns() -> None:
    columns, odd = read_events([])
    assert len(odd) == len(columns.times_ms) == 0


def test_records_with_too_many_pieces_or_bytes_are_odd(monkeypatch: pytest.MonkeyPatch) -> None:
    many = pb.Event(categories=["c"] * (wire.MAX_PIECES + 1)).SerializeToString()
    one = pb.Event(categories=["c"] * wire.MAX_PIECES).SerializeToString()
    assert read_events([one, many, one])[1].tolist() == [False, True, False]
    monkeypatch.setattr(wire, "MAX_BYTES", 20)
    assert read_events([one, many])[1].all()
