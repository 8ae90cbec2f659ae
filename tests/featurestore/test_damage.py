"""One item's damaged state: said, and nothing to the others."""

import numpy as np
import pytest

from snowmelt.contracts.errors import SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket, item_keys
from snowmelt.featurestore import names
from snowmelt.featurestore.item_replica import CONTENT_VIEW, STATISTICS_VIEW
from snowmelt.featurestore.store import StateStore
from snowmelt.runtime import metrics
from tests.featurestore.shop import AS_OF_MS, ITEMS, Follow, Shop, until


def damage(store: StateStore, view: str, item: str, state: bytes) -> bytes:
    """Overwrites a state, past the fence; what was there."""
    bucket = entity_bucket(DEFAULT_TENANT, item)
    key = names.state_prefix(DEFAULT_TENANT, bucket, store.generation, view) + item
    before = store.client.getset(key, state)
    assert isinstance(before, bytes)
    return before


def test_a_damaged_item_does_not_hold_up_the_others(
    redis_url: str, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(redis_url)
    shop.upsert(ITEMS, "one")
    shop.click(ITEMS)
    content = damage(shop.store, CONTENT_VIEW, "i3", b"\x00\x00\x00\x09")
    statistics = damage(shop.store, STATISTICS_VIEW, "i5", b"no state")
    replica = follow(redis_url)
    others = item_keys(DEFAULT_TENANT, [item for item in ITEMS if item != "i3"])
    until(lambda: not replica.missing(10_000))
    assert replica.rows(others).min() >= 0
    i3, i5, i7 = item_keys(DEFAULT_TENANT, ["i3", "i5", "i7"])
    assert replica.rows(np.array([i3])).tolist() == [-1]
    assert replica.statistics(np.array([i5, i7]), AS_OF_MS)["clicks_28d"].tolist() == [0, 1]
    for view, item in ((CONTENT_VIEW, "i3"), (STATISTICS_VIEW, "i5")):
        assert f"the state of item '{item}' in {view} is damaged" in caplog.text
        assert metrics.DAMAGED_ITEMS.labels(view)._value.get() == 1

    damage(shop.store, CONTENT_VIEW, "i3", content)
    damage(shop.store, STATISTICS_VIEW, "i5", statistics)
    shop.upsert(ITEMS, "two")
    shop.click(ITEMS)
    until(lambda: replica.rows(np.array([i3]))[0] >= 0)
    until(lambda: replica.statistics(np.array([i5, i7]), AS_OF_MS)["clicks_28d"].tolist() == [2, 2])
    assert metrics.DAMAGED_ITEMS.labels(CONTENT_VIEW)._value.get() == 0


def test_states_that_are_all_of_something_else_are_not_taken_for_damaged(
    redis_url: str, follow: Follow, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop(redis_url)
    shop.upsert(ITEMS[:3], "one")
    for item in ITEMS[:3]:
        damage(shop.store, CONTENT_VIEW, item, b"\x00")
    replica = follow(redis_url)
    until(lambda: "no state of item_content can be read" in caplog.text)
    assert replica.age_ms() is None


@pytest.mark.parametrize("state", [b"", b"no state", b"\x00\x00\x00\x09", b"\xff" * 300])
def test_nothing_is_merged_into_a_damaged_state(redis_url: str, state: bytes) -> None:
    shop = Shop(redis_url)
    shop.click(ITEMS)
    before = dict(zip(ITEMS, shop.store.read(STATISTICS_VIEW, ITEMS), strict=True))
    damage(shop.store, STATISTICS_VIEW, "i5", state)
    mates = [i for i in ITEMS if entity_bucket(DEFAULT_TENANT, i) == entity_bucket(DEFAULT_TENANT, "i5") and i != "i5"]
    with pytest.raises(SnowmeltError, match=r"a state in bucket \d+ is damaged.*snowmelt rebuild online"):
        shop.click(["i5", *mates])
    assert mates
    assert shop.store.read(STATISTICS_VIEW, ["i5", *mates]) == [state, *map(before.__getitem__, mates)]
