"""One item's damaged state: said, and nothing to the others."""

import contextlib

import numpy as np
import pytest
from redis._parsers.base import BaseParser

from snowmelt.api.events.v1.events_pb2 import CatalogChange, ItemUpsert
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket, item_keys
from snowmelt.features.rows import Rows
from snowmelt.featurestore import names
from snowmelt.featurestore.damage import read_sound
from snowmelt.featurestore.item_content import ItemContent
from snowmelt.featurestore.item_replica import CONTENT_VIEW, STATISTICS_VIEW
from snowmelt.featurestore.store import StateStore
from snowmelt.runtime import metrics
from tests.featurestore.shop import AS_OF_MS, ITEMS, VIEWS, Follow, Shop, until
from tests.fixtures.writes import one_range


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
        assert f"damaged states of 1 items in {view} ('{item}'), they are not known" in caplog.text
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
    with pytest.raises(SnowmeltError, match=r"the state \{.*/item_stats/i5 is damaged.*rebuild online"):
        shop.click(["i5", *mates])
    assert mates
    assert shop.store.read(STATISTICS_VIEW, ["i5", *mates]) == [state, *map(before.__getitem__, mates)]


def test_a_flipped_bit_raises_nothing_that_is_not_told() -> None:
    change = CatalogChange(
        upsert=ItemUpsert(tenant=DEFAULT_TENANT, item_id="i", title="one", price=1.5, event_time_ms=9)
    )
    view = VIEWS.views[CONTENT_VIEW]
    (sound,) = view.fold(Rows.from_catalog([change], [change.SerializeToString()], [7])).states
    refused = list[bool]()
    for place in range(8 * len(sound)):
        state = bytearray(sound)
        state[place // 8] ^= 1 << place % 8
        damaged = ("i", bytes(state))
        with np.errstate(invalid="ignore"):  # of a first upsert that is no time
            _, named = read_sound([damaged], lambda states: ItemContent.empty().updated(view, [s for _, s in states]))
        refused.append(named == ["i"])
        with contextlib.suppress(SnowmeltError), np.errstate(invalid="ignore"):
            view.decode([bytes(state)])
    time = sound.index((9).to_bytes(8, "big") + (7).to_bytes(8, "big"))
    assert refused[8 * time + 7], "no time has its highest bit"
    assert not all(refused)


R7, R6 = (
    " script: f00, on @user_script:70.",
    "ERR Error running script (call to f_00): @user_script:9: @user_script: 9: -",
)
AWAY, REFUSED = Reason.UNAVAILABLE, Reason.INTERNAL
SAID = [
    ("READONLY You can't write against a read only replica." + R7, AWAY, "follows another"),
    ("OOM command not allowed when used memory > 'maxmemory'." + R7, AWAY, "no memory left"),
    ("MISCONF Errors writing to the AOF file: No space left on device" + R7, REFUSED, "No space left"),
    ("NOREPLICAS Not enough good replicas to write." + R7, REFUSED, "NOREPLICAS"),
    ("ERR ACL failure in" + R7, REFUSED, "ACL failure"),
    (R6 + "READONLY You can't write against a read only replica.", AWAY, "follows another"),
    (R6 + "OOM command not allowed when used memory > 'maxmemory'.", AWAY, "no memory left"),
    (R6 + "MISCONF Errors writing to the AOF file: No space left on device", REFUSED, "No space left"),
    ("DAMAGED {default/3}/1-abc/item_stats/an item", REFUSED, "item_stats/an item is damaged"),
]


@pytest.mark.parametrize(("said", "reason", "told"), SAID)
def test_what_redis_6_and_7_say_of_a_refused_write_is_not_taken_for_damage(
    redis_url: str, monkeypatch: pytest.MonkeyPatch, said: str, reason: Reason, told: str
) -> None:
    store = StateStore(redis_url, VIEWS)
    monkeypatch.setattr("snowmelt.featurestore.store.answers", lambda *_: [BaseParser.parse_error(said)])
    with pytest.raises(SnowmeltError) as refused:
        store.apply([one_range(0, "inc", "topic", 0, 0, 1)])
    assert refused.value.reason is reason
    assert told in refused.value.detail
    assert ("is damaged" in refused.value.detail) == said.startswith("DAMAGED")
