"""Judgement: columns agree with protovalidate on every event, and each kind of bad record has its verdict."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.batch import Batch
from services.ingest.decode import Decoded, decode
from services.ingest.events import event_columns
from services.ingest.verdicts import MAX_BYTES, Why, dead_rows
from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.contracts import topics
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.lake import TABLES
from snowmelt.runtime.kafka.consumer import UNREADABLE
from snowmelt.runtime.validation import check
from tests.fixtures.views import EVENT_TYPES

NOW = 1_714_521_600_000
GOOD = {"event_id": "e1", "tenant": "default", "user_id": "ann", "item_id": "i1", "type": "click", "event_time_ms": NOW}


def batch(topic: str, values: list[bytes | None], keys: list[bytes | None], headers: Any = None) -> Batch:
    n = len(values)
    return Batch(
        topic, np.zeros(n, np.int32), np.arange(n), np.full(n, NOW), keys, values, headers or [None] * n, {}, {}
    )


def events(*values: bytes | None, key: bytes = b"default/ann") -> Decoded:
    return decode(batch(topics.EVENTS, list(values), [key] * len(values)), "one", EVENT_TYPES)


def event(**fields: Any) -> bytes:
    return pb.Event(**{**GOOD, **fields}).SerializeToString()


BAD = [
    (None, Why.TOMBSTONE),
    (b"", Why.UNDECODABLE),
    (b"\x00" + event(), Why.UNDECODABLE),
    (b"\xff\xff", Why.UNDECODABLE),
    (event()[:-3], Why.UNDECODABLE),
    (b"x" * (MAX_BYTES + 1), Why.OVERSIZED),
    (event(tenant="acme"), Why.UNKNOWN_TENANT),
    (event(type="teleport"), Why.UNKNOWN_EVENT_TYPE),
    (event(type="impression"), Why.UNKNOWN_EVENT_TYPE),
    (event(user_id="bob"), Why.KEY_MISMATCH),
    (event(event_time_ms=NOW + 5 * 60_000 + 1), Why.FUTURE_EVENT_TIME),
    (event(event_time_ms=0), Why.INVALID_FIELD),
    (event(event_time_ms=32_503_680_000_000), Why.INVALID_FIELD),
    (event(event_id=""), Why.INVALID_FIELD),
    (event(item_id="a\x00b"), Why.INVALID_FIELD),
    (event(item_id="x" * 129), Why.INVALID_FIELD),
    (event(item_id="  "), Why.INVALID_FIELD),
    (event(event_id="a\x85"), Why.INVALID_FIELD),
    (event(user_id="\u202eann"), Why.INVALID_FIELD),
    (event(price=1e308), Why.INVALID_FIELD),
    (event(price=-1), Why.INVALID_FIELD),
    (event(value=float("nan")), Why.INVALID_FIELD),
    (event(value=float("inf")), Why.INVALID_FIELD),
    (event(position=-1), Why.INVALID_FIELD),
    (event(categories=["a"] * 33), Why.INVALID_FIELD),
    (event(context={"a\n": "b"}), Why.INVALID_FIELD),
    (event(context={"a": "b" * 257}), Why.INVALID_FIELD),
    (event(user_id="", session_id=""), Why.INVALID_FIELD),
    (pb.Impression(request_id="r", tenant="default", as_of_ms=NOW).SerializeToString(), Why.SCHEMA_MISMATCH),
]


@pytest.mark.parametrize(("value", "why"), BAD, ids=lambda each: str(each)[:40])
def test_a_bad_event_between_two_good_ones_is_the_only_dead_letter(value: bytes | None, why: Why) -> None:
    found = events(event(), value, event(event_id="e3"))
    assert {i: verdict.why for i, verdict in found.verdicts.items()} == {1: why}
    assert found.rows["event_id"].to_pylist() == ["e1", "e3"]
    assert found.places.tolist() == [0, 2]


def test_too_many_headers_are_refused_and_none_are_needed() -> None:
    many = [[("h", b"")] * 1000, None, [("h", b"")]]
    found = decode(batch(topics.EVENTS, [event()] * 3, [b"default/ann"] * 3, many), "one", EVENT_TYPES)
    assert {i: verdict.why for i, verdict in found.verdicts.items()} == {0: Why.TOO_MANY_HEADERS}


def test_headers_that_cannot_be_read_are_refused() -> None:
    found = decode(batch(topics.EVENTS, [event()] * 2, [b"default/ann"] * 2, [UNREADABLE, []]), "one", EVENT_TYPES)
    assert {i: verdict.why for i, verdict in found.verdicts.items()} == {0: Why.UNREADABLE_HEADERS}


@pytest.mark.parametrize("time_ms", [-1, 4_102_444_800_001, 2**62, -(2**62)])
def test_a_record_with_an_impossible_time_of_its_own_is_refused_and_kept(time_ms: int) -> None:
    given_ = replace(batch(topics.EVENTS, [event()] * 2, [b"default/ann"] * 2), times_ms=np.array([time_ms, NOW]))
    found = decode(given_, "one", EVENT_TYPES)
    assert {i: verdict.why for i, verdict in found.verdicts.items()} == {0: Why.INVALID_RECORD_TIME}
    assert len(dead_rows(given_, found.verdicts, "one")) == 1


def test_a_session_is_an_entity_of_its_own() -> None:
    anonymous = event(user_id="", session_id="s1")
    assert events(anonymous, key=b"default/\x1fs1").verdicts == {}
    assert events(anonymous, key=b"default/s1").verdicts[0].why is Why.KEY_MISMATCH


def test_an_event_keeps_every_field() -> None:
    whole = event(value=0.0, surface="home", request_id="r", position=0, context={"b": "2", "a": "1"}, categories=["x"])
    row = events(whole).rows.to_pylist()[0]
    assert (row["value"], row["position"], row["price"]) == (0.0, 0, None)
    assert (row["context"], row["categories"]) == ([("a", "1"), ("b", "2")], ["x"])
    assert events(whole).rows.schema.equals(TABLES["events"])


def test_an_unknown_field_of_a_newer_writer_is_tolerated() -> None:
    assert events(event() + b"\xfa\x07\x03new").verdicts == {}


def test_a_large_value_is_kept_as_hash_and_size() -> None:
    large = b"x" * (MAX_BYTES + 1)
    given = batch(topics.EVENTS, [large, b"\xff"], [b"default/ann"] * 2)
    rows = dead_rows(given, decode(given, "one", EVENT_TYPES).verdicts, "one").to_pylist()
    assert (rows[0]["payload"], rows[0]["payload_bytes"]) == (None, MAX_BYTES + 1)
    assert rows[1]["payload"] == b"\xff"


def test_a_letter_tells_no_key_from_an_empty_one() -> None:
    given = batch(topics.EVENTS, [event()] * 2, [None, b""])
    found = decode(given, "one", EVENT_TYPES)
    assert {verdict.why for verdict in found.verdicts.values()} == {Why.KEY_MISMATCH}
    assert [row["key"] for row in dead_rows(given, found.verdicts, "one").to_pylist()] == [None, b""]


@pytest.mark.parametrize(
    ("topic", "message", "key"),
    [
        (
            topics.CATALOG,
            pb.CatalogChange(upsert=pb.ItemUpsert(tenant="default", item_id="i", event_time_ms=NOW)),
            b"i",
        ),
        (
            topics.CATALOG,
            pb.CatalogChange(withdrawal=pb.ItemWithdrawal(tenant="default", item_id="i", event_time_ms=NOW)),
            b"i",
        ),
        (topics.USERS, pb.UserUpsert(tenant="default", user_id="u", attributes={"a": "b"}, event_time_ms=NOW), b"u"),
        (
            topics.IMPRESSIONS,
            pb.Impression(
                request_id="r",
                tenant="default",
                user_id="u",
                as_of_ms=NOW,
                items=[
                    pb.ImpressionItem(item_id="i", propensity=1, sources=[pb.SourceHit(source="s", rank=1, score=2)])
                ],
            ),
            b"u",
        ),
    ],
)
def test_the_other_topics_are_judged_and_kept(topic: str, message: Any, key: bytes) -> None:
    values: list[bytes | None] = [message.SerializeToString(), None, message.SerializeToString()]
    found = decode(batch(topic, values, [b"default/" + key, b"default/" + key, b"default/else"]), "one", EVENT_TYPES)
    assert {i: verdict.why for i, verdict in found.verdicts.items()} == {1: Why.TOMBSTONE, 2: Why.KEY_MISMATCH}
    assert len(found.rows) == 1


NO_IDS = ("  ", "\u3000", "a\x85", "\u202ea")
TEXT = st.text(st.characters(codec="utf-8"), max_size=5) | st.sampled_from(
    ["", "x" * 65, "y" * 129, "a\x7f", "ä" * 64, "a b", *NO_IDS]
)
TEXTS = ("event_id", "tenant", "user_id", "session_id", "item_id", "type", "surface", "request_id")
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(
            ("event_id", "tenant", "user_id", "session_id", "item_id", "type", "surface", "request_id"), TEXT
        ),
        "value": st.floats() | st.just(0.0),
        "price": st.floats(),
        "position": st.integers(-2, 10_002),
        "event_time_ms": st.integers(-5, 5_000_000_000_000),
        "categories": st.lists(TEXT, max_size=3) | st.just(["a"] * 33),
        "context": st.dictionaries(TEXT, TEXT, max_size=3),
    },
)


@settings(max_examples=150, deadline=None)
@given(st.lists(FIELDS, min_size=1, max_size=6))
def test_columns_break_exactly_the_rules_of_the_proto(drawn: list[dict[str, Any]]) -> None:
    made = [pb.Event(**{**GOOD, **fields}) for fields in drawn]
    assert event_columns(made).broken().tolist() == [breaks(each) for each in made]


def breaks(message: pb.Event) -> bool:
    try:
        check(message)
    except SnowmeltError:
        return True
    return False
