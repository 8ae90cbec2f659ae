"""The fenced write on a real Redis."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from types import SimpleNamespace

import pytest
import redis

from snowmelt.contracts.clock import HOUR_MS
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket
from snowmelt.features.sections import Section
from snowmelt.featurestore import names
from snowmelt.featurestore.fences import Partition
from snowmelt.featurestore.store import BucketWrite, Counters, PartitionRange, StateStore
from tests.fixtures.redis import RedisServer
from tests.fixtures.writes import fences_after, one_range

HOP_MS = HOUR_MS
VIEWS = SimpleNamespace(
    hash="0123456789abcdef" * 4,
    views={
        "user_seen": SimpleNamespace(sections=(Section("newest", "item_id", limit=3),)),
        "item_stats": SimpleNamespace(
            sections=(
                Section("tiles", "click", combine="add", hop_ms=HOP_MS, keep_tiles=4),
                Section("tiles", "purchase", combine="add", hop_ms=HOP_MS, keep_tiles=4),
            )
        ),
    },
)


def tiles(*records: tuple[int, float]) -> bytes:
    return b"".join(struct.pack(">Qd", *record) for record in records)


def state(*sections: bytes) -> bytes:
    return b"".join(struct.pack(">I", len(section)) + section for section in sections)


def write(entity: str, start: int, stop: int, delta: bytes | None, view: int = 1, **counts: int) -> BucketWrite:
    deltas = [] if delta is None else [(view, entity, delta)]
    bucket = entity_bucket(DEFAULT_TENANT, entity)
    return one_range(bucket, "inc", "snowmelt.events", 0, start, stop, deltas, Counters(**counts))


@pytest.fixture
def store(redis_url: str) -> StateStore:
    return StateStore(redis_url, VIEWS)


def test_a_range_that_begins_at_the_fence_is_applied(store: StateStore) -> None:
    assert fences_after(store, write("a", 0, 10, state(tiles((5, 1.0)), b""))) == [10]
    assert fences_after(store, write("a", 10, 12, state(tiles((5, 2.0), (6, 1.0)), tiles((6, 4.0))))) == [12]
    assert store.read("item_stats", ["a", "b"]) == [state(tiles((5, 3.0), (6, 1.0)), tiles((6, 4.0))), None]


@pytest.mark.parametrize(("start", "stop"), [(0, 10), (0, 12), (5, 12), (9, 12), (11, 12), (100, 200)])
def test_any_other_range_changes_nothing(store: StateStore, start: int, stop: int) -> None:
    store.apply([write("a", 0, 10, state(tiles((5, 1.0)), b""), applied=10)])
    before = dump(store)
    assert fences_after(store, write("a", start, stop, state(tiles((5, 1.0)), b""), applied=1, dead=1)) == [10]
    assert dump(store) == before


def test_a_store_that_lost_everything_refuses_what_is_not_the_beginning(store: StateStore) -> None:
    store.apply([write("a", 0, 10, state(tiles((5, 1.0)), b""))])
    store.client.flushall()
    assert fences_after(store, write("a", 10, 12, state(tiles((5, 1.0)), b""))) == [0]
    assert store.client.dbsize() == 0


def test_one_refused_write_does_not_hold_the_others_up(store: StateStore) -> None:
    one = state(tiles((5, 1.0)), b"")
    a, b = write("a", 0, 10, one), write("c", 7, 10, one)
    assert a.bucket != b.bucket
    assert fences_after(store, a, b) == [10, 0]


def together(ranges: Sequence[tuple[int, int, int]], *clicks: float) -> BucketWrite:
    """Ranges (partition, from, to) whose deltas are clicks of "a"; each range counts itself."""
    own = [PartitionRange(Partition("inc", "t", p), start, end, Counters(end - start)) for p, start, end in ranges]
    deltas = [(1, "a", state(tiles((5, each)), b"")) for each in clicks]
    return BucketWrite(entity_bucket(DEFAULT_TENANT, "a"), own, deltas)


def test_ranges_of_several_partitions_go_in_together_or_not_at_all(store: StateStore) -> None:
    assert store.apply([together([(0, 0, 3), (1, 0, 5)], 8.0)]) == [[3, 5]]
    before = dump(store)
    for ranges, stored in (
        ([(0, 3, 4), (1, 0, 6)], [3, 5]),
        ([(0, 4, 5), (1, 5, 6)], [3, 5]),
        ([(0, 3, 4), (1, 5, 6), (2, 1, 2)], [3, 5, 0]),
    ):
        assert store.apply([together(ranges, 1.0)]) == [stored]
        assert dump(store) == before
    assert store.apply([together([(1, 5, 6), (0, 3, 4), (2, 0, 2)], 1.0)]) == [[6, 4, 2]]
    assert store.read("item_stats", ["a"]) == [state(tiles((5, 9.0)), b"")]
    counters = store.fence_table.counters()["t"]
    assert counters.applied == 12


def test_a_heartbeat_moves_the_fence_alone(store: StateStore) -> None:
    assert fences_after(store, write("a", 0, 10, None, duplicates=4, dead=6)) == [10]
    fences = store.fences("inc", "snowmelt.events", 0)
    assert fences[entity_bucket(DEFAULT_TENANT, "a")] == 10
    assert fences.count(None) == 15
    assert store.client.exists(names.sequence(store.tenant, entity_bucket(store.tenant, "a"), store.generation)) == 0


def test_counters_are_sums_over_buckets_and_partitions(store: StateStore) -> None:
    store.apply([write("a", 0, 10, None, applied=7, duplicates=2, dead=1), write("c", 0, 4, None, applied=4)])
    topic = store.fence_table.counters()["snowmelt.events"]
    assert (topic.applied, topic.duplicates, topic.dead) == (11, 2, 1)
    assert topic.next_offsets == {Partition("inc", "snowmelt.events", 0): 0}


def test_the_change_log_holds_each_entity_once_at_its_newest_sequence(store: StateStore) -> None:
    bucket = entity_bucket(DEFAULT_TENANT, "a")
    other = next(f"i{n}" for n in range(1000) if entity_bucket(DEFAULT_TENANT, f"i{n}") == bucket)
    one = state(tiles((5, 1.0)), b"")
    store.apply([write("a", 0, 1, one), write(other, 1, 2, one), write("a", 2, 3, one)])
    log = store.client.zrange(
        names.changes(store.tenant, bucket, store.generation, "item_stats"), 0, -1, withscores=True
    )
    assert log == [(other.encode(), 2.0), (b"a", 3.0)]


def test_an_entity_twice_in_a_write_is_refused_before_it_is_sent(store: StateStore) -> None:
    one = state(tiles((5, 1.0)), b"")
    with pytest.raises(ValueError, match="twice"):
        store.apply([one_range(0, "inc", "t", 0, 0, 1, [(1, "a", one), (1, "a", one)])])


def test_more_deltas_than_one_command_of_redis_takes(store: StateStore) -> None:
    entities = [e for e in (f"i{n}" for n in range(60_000)) if entity_bucket(DEFAULT_TENANT, e) == 3][:2_500]
    one = state(tiles((5, 1.0)), b"")
    batch = [one_range(3, "inc", "t", 0, n, n + 1, [(1, e, one) for e in entities]) for n in range(2)]
    assert fences_after(store, *batch) == [1, 2]
    assert set(store.read("item_stats", entities)) == {state(tiles((5, 2.0)), b"")}


def test_a_state_that_cannot_be_merged_leaves_the_whole_write_out(store: StateStore) -> None:
    bucket = entity_bucket(DEFAULT_TENANT, "a")
    store.client.set(names.state_prefix(store.tenant, bucket, store.generation, "item_stats") + "a", b"\0\0\0\x40no")
    before = dump(store)
    with pytest.raises(SnowmeltError) as raised:
        store.apply([write("a", 0, 10, state(tiles((5, 1.0)), tiles((5, 1.0))), applied=10)])
    assert raised.value.reason is Reason.INTERNAL
    assert dump(store) == before


def test_a_script_that_redis_has_forgotten_is_loaded_again(store: StateStore) -> None:
    one = state(tiles((5, 1.0)), b"")
    store.apply([write("a", 0, 1, one)])
    store.client.script_flush()
    assert fences_after(store, write("a", 1, 2, one), write("c", 0, 2, one)) == [2, 2]


def test_fence_and_state_come_back_together_after_a_kill(redis_server: Callable[[], RedisServer]) -> None:
    server = redis_server()
    store = StateStore(server.url, VIEWS)
    one = state(tiles((5, 1.0)), b"")
    applied = 0
    for _ in range(3):
        for _ in range(20):
            assert fences_after(store, write("a", applied, applied + 1, one)) == [applied + 1]
            applied += 1
        server.kill()
        server.start()
        known = store.fences("inc", "snowmelt.events", 0)[entity_bucket(DEFAULT_TENANT, "a")]
        assert known is not None
        assert store.read("item_stats", ["a"]) == [state(tiles((5, float(known))), b"")]
        applied = known


def test_a_redis_that_is_down_is_said_within_bounds(redis_server: Callable[[], RedisServer]) -> None:
    server = redis_server()
    store = StateStore(server.url, VIEWS)
    store.generations.ensure(VIEWS.hash)
    server.kill()
    with pytest.raises(SnowmeltError) as raised:
        store.read("item_stats", ["a"])
    assert raised.value.reason is Reason.UNAVAILABLE


def dump(store: StateStore) -> dict[bytes, object]:
    client: redis.Redis = store.client
    return {key: client.dump(key) for key in sorted(client.scan_iter())}
