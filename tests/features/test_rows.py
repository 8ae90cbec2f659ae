"""Rows: the same out of protos and out of the lake's tables."""

import dataclasses

import numpy as np
import pyarrow as pa
import pytest

from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import item_keys, session_entity
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import NO_TYPE, WITHDRAWAL, Rows

VIEWS = default_views()
INSTANT = pa.timestamp("us", "UTC")


def events() -> list[events_pb2.Event]:
    return [
        events_pb2.Event(
            tenant="default",
            user_id="u",
            item_id="a",
            type="rating",
            value=4.5,
            event_time_ms=5_000,
            categories=["x", "y"],
        ),
        events_pb2.Event(
            tenant="other", session_id="s", item_id="a", type="view", price=2.0, event_time_ms=6_001, categories=["y"]
        ),
        events_pb2.Event(tenant="default", user_id="u", session_id="s", item_id="é", type="view", event_time_ms=7_000),
    ]


def events_table() -> pa.Table:
    return pa.table(
        {
            "tenant": ["default", "other", "default"],
            "user_id": ["u", "", "u"],
            "session_id": [None, "s", "s"],
            "item_id": ["a", "a", "é"],
            "type": ["rating", "view", "view"],
            "value": [4.5, None, None],
            "event_time": pa.array([5_000_000, 6_001_000, 7_000_000], INSTANT),
            "categories": [["x", "y"], ["y"], None],
            "price": [None, 2.0, None],
            "offset": pa.array([7, 8, 9], pa.int64()),
        }
    )


def same(one: Rows, other: Rows) -> None:
    assert (one.tenants, one.users, one.items) == (other.tenants, other.users, other.items)
    assert one.categories == other.categories
    assert one.topic == other.topic
    for name in ("types", "times_ms", "values", "prices", "offsets", "item_keys"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), name, strict=True)
    assert (one.payloads is None) == (other.payloads is None)
    assert one.payloads is None or list(one.payloads) == list(other.payloads)  # type: ignore[arg-type]


def test_events_read_alike_from_kafka_and_from_the_lake() -> None:
    ours = Rows.from_events(events(), VIEWS, [7, 8, 9])
    same(ours, Rows.from_arrow_events(events_table(), VIEWS))
    chunked = pa.concat_tables([events_table().slice(0, 1), events_table().slice(1)])
    same(ours, Rows.from_arrow_events(chunked, VIEWS))
    assert ours.users == ["u", session_entity("s"), "u"]
    assert ours.categories == [("x", "y"), ("y",), ()]
    assert ours.item_keys.tolist() == [
        *item_keys("default", ["a"]),
        *item_keys("other", ["a"]),
        *item_keys("default", ["é"]),
    ]
    assert np.isnan(ours.values[1:]).all()


def test_impressions_read_alike_and_count_for_no_user() -> None:
    slates = [
        events_pb2.Impression(
            tenant="default",
            user_id="u",
            as_of_ms=5_000,
            items=[events_pb2.ImpressionItem(item_id="a"), events_pb2.ImpressionItem(item_id="b")],
        ),
        events_pb2.Impression(tenant="default", user_id="u", as_of_ms=6_000),
        events_pb2.Impression(
            tenant="default", user_id="w", as_of_ms=7_000, items=[events_pb2.ImpressionItem(item_id="a")]
        ),
    ]
    table = pa.table(
        {
            "tenant": ["default"] * 3,
            "as_of": pa.array([5_000_000, 6_000_000, 7_000_000], INSTANT),
            "items": [[{"item_id": "a"}, {"item_id": "b"}], [], [{"item_id": "a"}]],
            "offset": pa.array([1, 2, 3], pa.int64()),
        }
    )
    ours = Rows.from_impressions(slates, VIEWS, [1, 2, 3])
    same(ours, Rows.from_arrow_impressions(table, VIEWS))
    assert ours.items == ["a", "b", "a"]
    assert ours.offsets.tolist() == [1, 1, 3]
    assert len(VIEWS.views["user_profile"].fold(ours)) == 0
    stats = VIEWS.views["item_stats"]
    folded = stats.fold(ours)
    values = stats.finish(folded.states, 7_000)
    assert folded.entities == ["a", "b"]
    assert values["impressions_1h"].tolist() == [2, 1]
    assert values["interactions_1h"].tolist() == values["distinct_users_28d"].tolist() == [0, 0]


def test_catalog_reads_alike() -> None:
    changes = [
        events_pb2.CatalogChange(
            upsert=events_pb2.ItemUpsert(
                tenant="default", item_id="a", price=3.0, categories=["x"], event_time_ms=5_000
            )
        ),
        events_pb2.CatalogChange(
            withdrawal=events_pb2.ItemWithdrawal(tenant="default", item_id="b", event_time_ms=6_000)
        ),
    ]
    payloads = [c.SerializeToString() for c in changes]
    table = pa.table(
        {
            "tenant": ["default", "default"],
            "item_id": ["a", "b"],
            "change": ["upsert", "withdrawal"],
            "categories": [["x"], []],
            "price": [3.0, None],
            "event_time": pa.array([5_000_000, 6_000_000], INSTANT),
            "offset": pa.array([1, 2], pa.int64()),
            "payload": payloads,
        }
    )
    ours = Rows.from_catalog(changes, payloads, [1, 2])
    same(ours, Rows.from_arrow_catalog(table))
    assert ours.types.tolist() == [NO_TYPE, WITHDRAWAL]
    content = VIEWS.views["item_content"]
    values = content.finish(content.fold(ours).states, 6_000)
    assert values["content"] == payloads
    np.testing.assert_array_equal(values["first_upsert"], [5_000, np.nan])


def test_empty_batches_are_batches() -> None:
    for empty in (Rows.from_events([], VIEWS), Rows.from_impressions([], VIEWS), Rows.from_catalog([], [])):
        assert len(empty) == 0
        assert all(len(view.fold(empty)) == 0 for view in VIEWS.views.values())
    same(Rows.from_events([], VIEWS), Rows.from_arrow_events(events_table().slice(0, 0), VIEWS))


def test_take_and_concat_undo_each_other() -> None:
    whole = Rows.from_events(events(), VIEWS, [7, 8, 9])
    same(whole, Rows.concat([whole.take(np.array([0])), whole.take(np.array([False, True, True]))]))


def test_rows_of_several_topics_are_no_batch_unless_one_is_named() -> None:
    shown = Rows.from_impressions(
        [events_pb2.Impression(tenant="default", items=[events_pb2.ImpressionItem(item_id="a")])], VIEWS
    )
    with pytest.raises(ValueError, match=r"snowmelt\.events"):
        Rows.concat([Rows.from_events(events(), VIEWS), shown])
    assert len(Rows.concat([Rows.from_events(events(), VIEWS), shown], "both")) == 4


@pytest.mark.parametrize("read", [Rows.from_events, Rows.from_arrow_events])
def test_an_undeclared_type_is_refused(read: object) -> None:
    strange = [events_pb2.Event(tenant="default", user_id="u", item_id="a", type="wink")]
    table = events_table().set_column(4, "type", pa.array(["rating", "wink", "view"]))
    with pytest.raises(SnowmeltError, match="wink") as refused:
        Rows.from_events(strange, VIEWS) if read == Rows.from_events else Rows.from_arrow_events(table, VIEWS)
    assert refused.value.reason is Reason.UNKNOWN_EVENT_TYPE


def test_rows_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Rows.from_events(events(), VIEWS).topic = "other"  # type: ignore[misc]
