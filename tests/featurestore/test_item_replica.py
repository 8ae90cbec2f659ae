"""The replica ends at Redis's values, whatever happens to Redis or to it meanwhile."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import redis

from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket, item_keys
from snowmelt.featurestore.change_feed import ChangeFeed
from snowmelt.featurestore.generations import generation_name
from snowmelt.featurestore.item_replica import CONTENT_VIEW, STATISTICS_VIEW, ItemReplica
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.featurestore.store import StateStore
from tests.featurestore.shop import AS_OF_MS, ITEMS, VIEWS, Follow, Shop, until
from tests.fixtures.redis import RedisServer
from tests.fixtures.views import ADDED, with_a_feature


def until_agrees(replica: ItemReplica, store: StateStore, title: str) -> None:
    until(lambda: agrees(replica, store, title), f"the replica never came to {title!r}")


def agrees(replica: ItemReplica, store: StateStore, title: str) -> bool:
    """Whether each item's title and every statistic are those of Redis."""
    keys = item_keys(DEFAULT_TENANT, ITEMS)
    rows = replica.rows(keys)
    if (rows < 0).any() or {replica.columns().titles[row] for row in rows.tolist()} != {title}:
        return False
    expected = store.views.views[STATISTICS_VIEW].finish(store.read(STATISTICS_VIEW, ITEMS), AS_OF_MS)
    got = replica.statistics(keys, AS_OF_MS)
    assert expected["clicks_28d"].sum() > 0
    return got.keys() == expected.keys() and all(
        np.array_equal(got[name], expected[name], equal_nan=True) for name in got
    )


def test_changes_arrive_and_a_callback_names_them(redis_url: str, follow: Follow) -> None:
    shop, seen = Shop(redis_url), set[int]()
    replica = follow(redis_url)
    replica.on_content(lambda keys: seen.update(keys.tolist()))
    shop.upsert(ITEMS, "one")
    shop.click(ITEMS[:10])
    until_agrees(replica, shop.store, "one")
    before = replica.columns()
    shop.upsert(ITEMS, "two")
    shop.click(ITEMS)
    until_agrees(replica, shop.store, "two")
    assert set(before.titles) == {"one"}
    assert seen == set(item_keys(DEFAULT_TENANT, ITEMS).tolist())


def test_a_flush_and_other_writes_up_to_the_same_sequence_are_seen(redis_url: str, follow: Follow) -> None:
    shop = Shop(redis_url)
    shop.upsert(ITEMS, "one")
    shop.click(ITEMS)
    replica = follow(redis_url)
    until_agrees(replica, shop.store, "one")
    shop.store.client.flushall()
    again = Shop(redis_url)
    again.store.generations.ensure(VIEWS.hash)
    again.upsert(ITEMS, "other")
    again.click(ITEMS[:5])
    until_agrees(replica, again.store, "other")


def test_the_switch_to_another_generation_is_followed(redis_url: str, follow: Follow) -> None:
    shop = Shop(redis_url)
    shop.upsert(ITEMS, "one")
    shop.click(ITEMS)
    replica = follow(redis_url)
    until_agrees(replica, shop.store, "one")
    rebuilt = Shop(redis_url, generation_name(2, VIEWS.hash))
    rebuilt.upsert(ITEMS, "rebuilt")
    rebuilt.click(ITEMS[:3])
    assert set(replica.columns().titles) == {"one"}
    rebuilt.store.generations.switch(rebuilt.store.generation)
    until_agrees(replica, rebuilt.store, "rebuilt")


def test_a_rebuild_with_other_views_is_gone_over_to_when_these_are_on_disk(
    redis_url: str, follow: Follow, tmp_path: Path
) -> None:
    VIEWS.dump(tmp_path / "views.json")
    other, gone_over = with_a_feature(), threading.Event()
    shop = Shop(redis_url)
    shop.upsert(ITEMS, "one")
    shop.click(ITEMS)
    replica = follow(redis_url, LiveViews.load(str(tmp_path / "views.json")))
    until_agrees(replica, shop.store, "one")
    replica.on_views(gone_over.set)
    rebuilt = Shop(redis_url, generation_name(2, other.hash), other)
    rebuilt.upsert(ITEMS, "rebuilt")
    rebuilt.click(ITEMS[:3])
    rebuilt.click(ITEMS[3:6], "rating", 4.0)
    rebuilt.store.generations.switch(rebuilt.store.generation)
    until(lambda: replica.missing(0.0) and "snowmelt rebuild online" in replica.missing(0.0)[0])
    # It looks whether the views have come, and reads no state until then.
    looks, reads = calls(shop, "get"), calls(shop, "mget")
    until(lambda: calls(shop, "get") > looks + 100)
    assert calls(shop, "mget") == reads
    assert (set(replica.columns().titles), replica.views().hash) == ({"one"}, VIEWS.hash)
    other.dump(tmp_path / "views.json")
    until_agrees(replica, rebuilt.store, "rebuilt")
    assert replica.views().hash == other.hash
    best = replica.statistics(item_keys(DEFAULT_TENANT, ITEMS), AS_OF_MS)[ADDED]
    np.testing.assert_array_equal(best, [4.0 if 3 <= n < 6 else np.nan for n in range(len(ITEMS))])
    assert gone_over.wait(5.0)


def calls(shop: Shop, command: str) -> int:
    return int(shop.store.client.info("commandstats")[f"cmdstat_{command}"]["calls"])


def test_redis_killed_and_replicas_restarted_while_it_changes(
    redis_server: Callable[[], RedisServer], follow: Follow
) -> None:
    server = redis_server()
    shop = Shop(server.url)
    lasting = follow(server.url)
    for round_ in range(3):
        shop.upsert(ITEMS, f"round {round_}")
        shop.click(ITEMS[: 5 + round_])
        server.until_written()
        server.kill()
        server.start()
        shop.click(ITEMS[round_:])
        fresh = follow(server.url)
        for replica in (lasting, fresh):
            until_agrees(replica, shop.store, f"round {round_}")


def test_a_flush_that_one_writer_has_overtaken_between_two_polls_is_seen(redis_url: str) -> None:
    shop = Shop(redis_url)
    shop.upsert(ITEMS, "one")
    feed = ChangeFeed(shop.store.client, (CONTENT_VIEW, STATISTICS_VIEW), DEFAULT_TENANT)
    assert len(feed.poll().states[CONTENT_VIEW]) == len(ITEMS)
    shop.store.client.flushall()
    shop.store.generations.ensure(VIEWS.hash)
    for title in ("two", "three", "four"):  # all buckets are beyond the sequences that the feed has read
        shop.upsert(ITEMS, title)
    changes = feed.poll()
    assert changes.reset
    assert len(changes.states[CONTENT_VIEW]) == len(ITEMS)


def test_a_server_that_came_back_as_another_ones_replica_is_seen(redis_server: Callable[[], RedisServer]) -> None:
    """Two failovers that the follower slept through: the same server, and the history of the other."""
    one, other = redis_server(), redis_server()
    shop = Shop(one.url)
    shop.upsert(ITEMS, "one")
    feed = ChangeFeed(shop.store.client, (CONTENT_VIEW, STATISTICS_VIEW), DEFAULT_TENANT)
    feed.poll()
    replicate(other, one)
    promoted = Shop(other.url)
    promoted.store.client.replicaof("NO", "ONE")
    first, second = next(
        (a, b)
        for a in ITEMS
        for b in ITEMS
        if a != b and entity_bucket(DEFAULT_TENANT, a) == entity_bucket(DEFAULT_TENANT, b)
    )
    shop.upsert([first], "lost")
    feed.poll()
    promoted.offset = 10
    promoted.upsert([second], "kept")
    replicate(one, other)
    shop.store.client.replicaof("NO", "ONE")
    changes = feed.poll()
    assert changes.reset
    assert dict(changes.states[CONTENT_VIEW]) == dict(zip(ITEMS, promoted.store.read(CONTENT_VIEW, ITEMS), strict=True))
    for server in (one, other):
        server.kill()  # what has just become a replica writes its file anew and does not stop in order meanwhile


def replicate(replica: RedisServer, primary: RedisServer) -> None:
    with redis.Redis.from_url(replica.url) as client:
        client.replicaof("127.0.0.1", primary.port)
        deadline = time.monotonic() + 20
        while client.info("replication").get("master_link_status") != "up":
            assert time.monotonic() < deadline, "the replica did not follow"
            time.sleep(0.02)


def test_a_view_that_is_asked_for_later_misses_nothing(redis_url: str) -> None:
    shop = Shop(redis_url)
    shop.upsert(ITEMS, "one")
    shop.click(ITEMS[:3])
    feed = ChangeFeed(shop.store.client, (CONTENT_VIEW, STATISTICS_VIEW), DEFAULT_TENANT)
    first = feed.poll((CONTENT_VIEW,))
    assert first.reset
    assert {item for item, _ in first.states[STATISTICS_VIEW]} == set(ITEMS[:3])
    shop.upsert(ITEMS[:2], "two")
    shop.click(ITEMS[4:6])
    content = feed.poll((CONTENT_VIEW,))
    assert {item for item, _ in content.states[CONTENT_VIEW]} == set(ITEMS[:2])
    assert not content.states[STATISTICS_VIEW]
    assert not feed.poll((CONTENT_VIEW,)).states[CONTENT_VIEW]
    assert {item for item, _ in feed.poll().states[STATISTICS_VIEW]} == set(ITEMS[4:6])
    assert not any(feed.poll().states.values())
