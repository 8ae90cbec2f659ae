"""A user finished, a session on top of a state, items out of catalogue bytes, feature lists."""

import math
from dataclasses import replace

import numpy as np
import pytest

from snowmelt.api.events.v1.events_pb2 import CatalogChange, ItemUpsert, ItemWithdrawal
from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import item_key, item_keys, session_entity, word_key
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.features.content import columns
from snowmelt.features.defaults import default_views
from snowmelt.features.feature_list import FeatureList
from snowmelt.features.user import finish_user, with_events
from tests.features.events import NOON_MS
from tests.features.test_meaning import happened
from tests.fixtures.views import EVENT_TYPES

VIEWS = default_views()


def test_a_new_user_is_empty() -> None:
    user = finish_user(VIEWS, PackedUserState("u"), NOON_MS)
    assert len(user.recent_keys) == len(user.seen_keys) == len(user.category_keys) == 0
    assert user.type_counts == {}
    assert math.isnan(user.price_level)


def test_a_user_is_finished_at_an_instant() -> None:
    steps = [
        happened(NOON_MS, "view", "a", price=1.0, categories=["red"]),
        happened(NOON_MS + DAY_MS, "purchase", "b", price=3.0, categories=["red", "blue"]),
    ]
    packed = with_events(VIEWS, PackedUserState("u"), steps)
    assert packed.known
    assert packed.views_hash == VIEWS.hash
    user = finish_user(VIEWS, packed, NOON_MS + DAY_MS)
    assert user.recent_keys.tolist() == user.seen_keys.tolist() == item_keys("default", ["b", "a"]).tolist()
    assert user.recent_times_ms.tolist() == [NOON_MS + DAY_MS, NOON_MS]
    assert [EVENT_TYPES[code] for code in user.recent_types] == ["purchase", "view"]
    assert user.type_counts == pytest.approx({"view": 2 ** (-1 / 7), "purchase": 1.0})
    weight = dict(zip(user.category_keys.tolist(), user.category_weights, strict=True))
    assert weight == pytest.approx({word_key("red"): 1 + 2 ** (-1 / 30), word_key("blue"): 1.0})
    assert 2.0 < user.price_level < 2.1


def test_session_steps_are_as_if_they_had_been_applied() -> None:
    steps = [happened(NOON_MS + i, "click", f"i{i % 3}", user="") for i in range(7)]
    for step in steps:
        step.session_id = "s"
    entity = session_entity("s")
    at_once = with_events(VIEWS, PackedUserState(entity), steps)
    in_parts = with_events(VIEWS, with_events(VIEWS, PackedUserState(entity), steps[4:]), steps[:4])
    assert at_once.seen == in_parts.seen
    one, other = (finish_user(VIEWS, p, NOON_MS + DAY_MS) for p in (at_once, in_parts))
    assert one.type_counts == pytest.approx(other.type_counts)
    assert with_events(VIEWS, at_once, []) is at_once


def test_state_of_other_views_is_refused() -> None:
    with pytest.raises(SnowmeltError) as refused:
        finish_user(VIEWS, PackedUserState("u", views_hash="other"), NOON_MS)
    assert refused.value.reason is Reason.FEATURES_MISMATCH


def test_a_state_that_names_a_type_that_is_not_declared_is_refused() -> None:
    """One damaged byte of it is as long as it was."""
    packed = with_events(VIEWS, PackedUserState("u"), [happened(NOON_MS, "click", "a")])
    head = (NOON_MS << 8 | EVENT_TYPES.index("click")).to_bytes(8, "big")
    counted = EVENT_TYPES.index("click").to_bytes(8, "big") + NOON_MS.to_bytes(8, "big")
    for sound, damaged in ((head, head[:-1] + b"\xff"), (counted, b"\x7f" + counted[1:])):
        assert packed.profile.count(sound) == 1
        with pytest.raises(SnowmeltError) as refused:
            finish_user(VIEWS, replace(packed, profile=packed.profile.replace(sound, damaged)), NOON_MS)
        assert refused.value.reason is Reason.FEATURES_MISMATCH


def test_items_out_of_their_bytes() -> None:
    changes = [
        CatalogChange(
            upsert=ItemUpsert(
                tenant="default",
                item_id="a",
                title="A",
                text="of",
                categories=["x", "y"],
                price=2.5,
                event_time_ms=50,
            )
        ),
        CatalogChange(upsert=ItemUpsert(tenant="other", item_id="a", available_from_ms=7, event_time_ms=60)),
        CatalogChange(withdrawal=ItemWithdrawal(tenant="default", item_id="b", event_time_ms=70)),
    ]
    items = columns([c.SerializeToString() for c in changes], np.array([40.0, 41.0, np.nan]))
    assert items.keys.tolist() == [item_key("default", "a"), item_key("other", "a"), item_key("default", "b")]
    assert list(items.ids) == ["a", "a", "b"]
    assert list(items.titles) == ["A", "", ""]
    assert list(items.categories) == [("x", "y"), (), ()]
    np.testing.assert_array_equal(items.prices, [2.5, np.nan, np.nan])
    assert items.available_from_ms.tolist() == [40, 7, 70]
    assert items.withdrawn.tolist() == [False, False, True]
    assert len(columns([])) == 0


def test_a_feature_list_knows_its_order() -> None:
    ours = FeatureList(["a", "b"])
    assert ours.hash == FeatureList(("a", "b")).hash != FeatureList(["b", "a"]).hash
    assert FeatureList(["ab"]).hash != FeatureList(["a", "b"]).hash
    ours.require(ours.hash)
    for wrong in (lambda: ours.require("0" * 64), lambda: FeatureList(["a", "a"]), lambda: FeatureList([""])):
        with pytest.raises(SnowmeltError) as refused:
            wrong()
        assert refused.value.reason is Reason.FEATURES_MISMATCH
