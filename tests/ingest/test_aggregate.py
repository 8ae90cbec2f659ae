"""What the feature lane folds out of many partitions at once, also where a crash left some buckets ahead of others."""

from collections.abc import Callable, Sequence

import pytest

from services.ingest import aggregate
from services.ingest.aggregate import StateSink
from services.ingest.batch import batch_of
from services.ingest.crash import CrashPoints
from services.ingest.decode import decode
from services.ingest.lane import Lane
from services.ingest.ports import MovedError
from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.contracts import topics
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import record_key
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import Rows
from snowmelt.featurestore import names
from snowmelt.featurestore.store import BucketWrite, StateStore
from snowmelt.runtime.kafka.consumer import Place, Records
from tests.fixtures.views import EVENT_TYPES
from tests.ingest.fakes import INCARNATIONS, NOW, NoHistory

pytestmark = pytest.mark.redis
VIEWS = default_views()
PARTITIONS, EACH = 3, 40
Values = list[tuple[bytes, bytes]]


def an_event(n: int) -> tuple[bytes, bytes]:
    user, item = f"u{n % 9}", f"i{n * n % 11}"
    made = pb.Event(event_id=f"e{n}", tenant="default", user_id=user, item_id=item, type="click", price=n,
                    event_time_ms=NOW + n % 50 * 400_000 - 20_000_000, categories=[f"c{n % 4}"])  # fmt: skip
    return record_key("default", user), made.SerializeToString()


def a_slate(n: int) -> tuple[bytes, bytes]:
    items = [pb.ImpressionItem(item_id=f"i{(n * n + k) % 11}", position=k, propensity=1) for k in range(n % 4)]
    made = pb.Impression(request_id=f"r{n}", tenant="default", user_id="u", as_of_ms=NOW - n * 300_000, items=items)
    return record_key("default", "u"), made.SerializeToString()


def log(topic: str, make: Callable[[int], tuple[bytes, bytes]]) -> list[Records]:
    found = []
    for partition in range(PARTITIONS):
        keys, values = zip(*(make(partition * EACH + i) for i in range(EACH)), strict=True)
        found.append(
            Records(topic, partition, list(range(EACH)), [NOW] * EACH, list(keys), list(values), [None] * EACH)
        )
    return found


def lane_of(store: StateStore) -> Lane:
    return Lane("features", StateSink(lambda: store, INCARNATIONS, CrashPoints()), NoHistory(), INCARNATIONS)


class HalfWay(StateSink):
    """Its first write ends with some buckets in and the others not, as where the process is killed."""

    def apply(self, writes: Sequence[BucketWrite]) -> None:
        super().apply(writes[::2])
        raise SnowmeltError(Reason.UNAVAILABLE, "killed")


def expected(view: str, topic: str, records: list[Records]) -> dict[str, bytes]:
    """Each partition folded alone, then merged."""
    found: dict[str, bytes] = {}
    for each in records:
        table = decode(batch_of([each], {(topic, each.partition): 0}), "one", EVENT_TYPES).rows
        rows = (
            Rows.from_arrow_events(table, VIEWS)
            if topic == topics.EVENTS
            else Rows.from_arrow_impressions(table, VIEWS)
        )
        folded = VIEWS.views[view].fold(rows)
        for entity, state in zip(folded.entities, folded.states, strict=True):
            found[entity] = VIEWS.views[view].merge(found.get(entity), state)
    return found


@pytest.mark.parametrize("call_rows", [1, 2 * EACH, 100 * EACH])
@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize(("topic", "make"), [(topics.EVENTS, an_event), (topics.IMPRESSIONS, a_slate)])
def test_partitions_are_kept_apart_and_each_record_counts_once(
    redis_url: str,
    monkeypatch: pytest.MonkeyPatch,
    topic: str,
    make: Callable[[int], tuple[bytes, bytes]],
    killed: bool,
    call_rows: int,
) -> None:
    monkeypatch.setattr(aggregate, "CALL_ROWS", call_rows)
    records = log(topic, make)
    places = [(topic, partition) for partition in range(PARTITIONS)]
    if killed:
        lane = Lane("features", HalfWay(lambda: StateStore(redis_url, VIEWS), INCARNATIONS, CrashPoints()),
                    NoHistory(), INCARNATIONS)  # fmt: skip
        lane.begin(places)
        lane.take(records)
        with pytest.raises(SnowmeltError):
            lane.settle()
    store = StateStore(redis_url, VIEWS)
    lane = lane_of(store)
    assert set(lane.begin(places).values()) == {0}
    lane.take(records)
    lane.beat()
    check(store, topic, records)


def check(store: StateStore, topic: str, records: list[Records]) -> None:
    """The store holds each record once."""
    for view in ("user_profile", "user_seen", "item_stats"):
        if topic not in VIEWS.views[view].topics:
            continue
        states = expected(view, topic, records)
        found = store.read(view, list(states))
        ours, theirs = (VIEWS.views[view].finish(each, NOW) for each in (found, list(states.values())))
        for name, values in theirs.items():
            for one, other in zip(ours[name], values, strict=True):
                assert one == pytest.approx(other, rel=1e-6), name
    for partition in range(PARTITIONS):
        assert store.fences("one", topic, partition) == [EACH] * 16
    counters = store.fence_table.counters()[topic]
    assert (counters.applied, counters.duplicates, counters.dead) == (PARTITIONS * EACH, 0, 0)


def test_a_partition_that_moved_takes_those_of_its_write_with_it_and_each_record_counts_once(redis_url: str) -> None:
    records = log(topics.EVENTS, an_event)
    places: list[Place] = [(topics.EVENTS, partition) for partition in range(PARTITIONS)]
    store = StateStore(redis_url, VIEWS)
    lane, other = lane_of(store), lane_of(StateStore(redis_url, VIEWS))
    lane.begin(places)
    other.begin([places[1]])
    other.take([records[1].cut(EACH // 2)[0]])
    other.settle()
    lane.take(records)
    with pytest.raises(MovedError) as moved:
        lane.settle()
    assert set(moved.value.places) == set(places)
    lane.begin(places)
    lane.take(records)
    lane.beat()
    check(store, topics.EVENTS, records)


def test_few_records_are_one_write_a_bucket_and_many_one_a_bucket_and_partition(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    places: list[Place] = [(topics.EVENTS, partition) for partition in range(PARTITIONS)]
    for call_rows in (PARTITIONS * EACH, EACH):
        monkeypatch.setattr(aggregate, "CALL_ROWS", call_rows)
        store = StateStore(redis_url, VIEWS)
        store.client.flushall()
        lane = lane_of(store)
        lane.begin(places)
        monkeypatch.setattr(store, "apply", lambda writes, apply=store.apply: seen.append(len(writes)) or apply(writes))
        lane.take(log(topics.EVENTS, an_event))
        lane.settle()
    assert seen[0] <= 16
    assert 2 * seen[0] < seen[1] <= PARTITIONS * 16


def all_taken(redis_url: str) -> tuple[list[Place], StateStore, Lane]:
    """The places of a log, a store that holds all of it, and the lane that wrote it."""
    places: list[Place] = [(topics.EVENTS, partition) for partition in range(PARTITIONS)]
    store = StateStore(redis_url, VIEWS)
    lane = lane_of(store)
    lane.begin(places)
    lane.take(log(topics.EVENTS, an_event))
    lane.beat()
    return places, store, lane


def one_more() -> list[Records]:
    """One record more a partition, each of its own."""
    found = []
    for partition in range(PARTITIONS):
        key, value = an_event(PARTITIONS * EACH + partition)
        found.append(Records(topics.EVENTS, partition, [EACH], [NOW], [key], [value], [None]))
    return found


def test_one_bucket_that_lost_its_newest_write_is_noticed_without_a_record(redis_url: str) -> None:
    places, store, lane = all_taken(redis_url)
    lane.follow()
    fence = names.fence(store.tenant, 3, store.generation)
    store.client.hset(fence, names.fence_field("one", topics.EVENTS, 1), EACH - 5)
    with pytest.raises(MovedError) as raised:
        lane.follow()
    assert raised.value.places == (places[1],)
    assert lane.begin([places[1]]) == {places[1]: EACH - 5}


def test_a_heartbeat_that_is_refused_has_the_idle_places_of_its_writes_begin_again(redis_url: str) -> None:
    places, store, lane = all_taken(redis_url)
    more = one_more()
    lane.take(more)
    lane.settle()
    for bucket in range(16):  # as an heir of this place would leave it
        field = names.fence_field("one", topics.EVENTS, 1)
        store.client.hset(names.fence(store.tenant, bucket, store.generation), field, EACH + 1)
    with pytest.raises(MovedError) as moved:
        lane.beat()
    assert set(moved.value.places) == {places[0], places[2]}
    assert set(lane.begin([places[0], places[2]]).values()) == {EACH}
    lane.take([more[0], more[2]])
    lane.beat()
    for place in places:
        assert store.fences("one", *place) == [EACH + 1] * 16
    counters = store.fence_table.counters()[topics.EVENTS]
    assert (counters.applied, counters.duplicates, counters.dead) == (PARTITIONS * (EACH + 1), 0, 0)
    records = log(topics.EVENTS, an_event)
    states = expected("user_seen", topics.EVENTS, [*records, *more])
    assert dict(zip(states, store.read("user_seen", list(states)), strict=True)) == states


def test_an_emptied_store_is_filled_again_from_the_beginning(redis_url: str) -> None:
    places, store, lane = all_taken(redis_url)
    entities = [f"u{n}" for n in range(9)]
    before = store.read("user_seen", entities)
    store.client.flushall()
    with pytest.raises(SnowmeltError) as refused:  # the fences of a generation that is gone say nothing
        lane.begin(places)
    assert refused.value.reason is Reason.UNAVAILABLE
    with pytest.raises(MovedError) as moved:
        lane.follow()
    assert set(moved.value.places) == set(places)
    assert set(lane.begin(places).values()) == {0}
    lane.take(log(topics.EVENTS, an_event))
    lane.beat()
    assert store.read("user_seen", entities) == before
    counters = store.fence_table.counters()[topics.EVENTS]
    assert (counters.applied, counters.duplicates, counters.dead) == (PARTITIONS * EACH, 0, 0)


def test_a_beat_before_the_places_begin_again_moves_no_fence_of_an_emptied_store(redis_url: str) -> None:
    places, store, lane = all_taken(redis_url)
    store.client.flushall()
    lane.take(one_more())
    with pytest.raises(MovedError):
        lane.settle()
    lane.beat()
    for place in places:
        assert not any(store.fences("one", *place))
    with pytest.raises(MovedError):
        lane.follow()
    lane.beat()
    assert set(lane.begin(places).values()) == {0}
    lane.take(log(topics.EVENTS, an_event))
    lane.beat()
    for place in places:
        assert store.fences("one", *place) == [EACH] * 16
    states = expected("user_seen", topics.EVENTS, log(topics.EVENTS, an_event))
    assert dict(zip(states, store.read("user_seen", list(states)), strict=True)) == states
