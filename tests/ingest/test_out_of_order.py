"""Events in any order, in any batches, over partitions: the online state is that of the events in order.

Every declaration of the aggregations' suites goes through the real path: decoded, folded, merged in Redis. The values
are also those of the point-in-time read of the lake's rows, however late an event was.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.ingest.aggregate import StateSink
from services.ingest.batch import batch_of
from services.ingest.crash import CrashPoints
from services.ingest.decode import decode
from services.ingest.lane import Lane
from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.contracts.clock import DAY_MS, HOUR_MS
from snowmelt.contracts.ids import record_key
from snowmelt.contracts.topics import EVENTS
from snowmelt.features.aggregations import AGGREGATIONS
from snowmelt.features.asof import AsOf
from snowmelt.features.compile import ViewSpec, compile_views
from snowmelt.features.rows import Rows
from snowmelt.featurestore.store import StateStore
from snowmelt.runtime.kafka.consumer import Records
from tests.features import test_aggregations
from tests.features.events import ITEMS, NOON_MS, USERS, events
from tests.features.suite import AggregationSuite
from tests.fixtures.views import EVENT_TYPES
from tests.ingest.fakes import INCARNATIONS, NoHistory

pytestmark = pytest.mark.redis
SUITES: dict[str, type[AggregationSuite]] = {
    name: each
    for name, each in vars(test_aggregations).items()
    if isinstance(each, type) and issubclass(each, AggregationSuite) and each is not AggregationSuite
}
VIEWS = compile_views(
    EVENT_TYPES, [ViewSpec(name, own.entity, (EVENTS,), HOUR_MS, own.lines) for name, own in SUITES.items()]
)
PARTITIONS = 2
RECORDED_MS = NOON_MS + 41 * DAY_MS
LATER_MS = (0, 3 * HOUR_MS, 8 * DAY_MS)

Log = list[Records]


def names(view: str) -> Sequence[str]:
    return ITEMS if VIEWS.views[view].entity == "item" else USERS


def logs(chosen: Sequence[Event]) -> Log:
    """Each user's events in the user's partition, in the order in which they are given."""
    found = []
    for partition in range(PARTITIONS):
        mine = [e for e in chosen if USERS.index(e.user_id) % PARTITIONS == partition]
        n = len(mine)
        keys: list[bytes | None] = [record_key("default", e.user_id) for e in mine]
        values: list[bytes | None] = [e.SerializeToString() for e in mine]
        found.append(Records(EVENTS, partition, list(range(n)), [RECORDED_MS] * n, keys, values, [None] * n))
    return found


def part(records: Records, start: int, stop: int) -> Records:
    columns = (records.offsets, records.times_ms, records.keys, records.values, records.headers)
    return Records(EVENTS, records.partition, *(column[start:stop] for column in columns))


def applied(url: str, log: Log, cuts: Sequence[int]) -> dict[str, list[bytes | None]]:
    """The states of every view after the log went through the feature lane in batches."""
    with redis.Redis.from_url(url) as client:
        client.flushall()
    store = StateStore(url, VIEWS)
    store.check()
    lane = Lane("features", StateSink(lambda: store, INCARNATIONS, CrashPoints()), NoHistory(), INCARNATIONS)
    lane.begin([(EVENTS, partition) for partition in range(PARTITIONS)])
    longest = max(len(each.offsets) for each in log)
    edges = sorted({0, longest, *(cut for cut in cuts if cut < longest)})
    for start, stop in pairwise(edges):
        batch = [some for each in log if (some := part(each, start, stop)).offsets]
        lane.take(batch)
    lane.settle()
    states = {name: list(store.read(name, names(name))) for name in VIEWS.views}
    assert store.fence_table.counters()[EVENTS].applied == sum(len(each.offsets) for each in log)
    store.close()
    return states


def landed(log: Log) -> Rows:
    """The rows as the lake has them."""
    tables: list[pa.Table] = [
        decode(batch_of([each], {(EVENTS, each.partition): 0}), "one", EVENT_TYPES).rows for each in log if each.offsets
    ]
    return Rows.from_arrow_events(pa.concat_tables(tables), VIEWS)


def same(suite: type[AggregationSuite], ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    suite().same_values(ours, theirs)


def test_no_aggregation_is_left_out() -> None:
    assert {feature.function for view in VIEWS.views.values() for feature in view.features} == set(AGGREGATIONS)


@settings(max_examples=20, deadline=None, database=None, suppress_health_check=list(HealthCheck))
@given(chosen=events(min_size=3), data=st.data())
def test_any_order_in_any_batches_is_the_state_in_order(
    shared_redis: Any, chosen: list[Event], data: st.DataObject
) -> None:
    for place, each in enumerate(chosen):  # of two events at one instant the later offset is the newer
        each.event_time_ms = each.event_time_ms // 64 * 64 + place
    ordered = logs(sorted(chosen, key=lambda e: e.event_time_ms))
    shuffled = logs(data.draw(st.permutations(chosen)))
    expected = applied(shared_redis.url, ordered, [])
    found = applied(shared_redis.url, shuffled, data.draw(st.lists(st.integers(1, 20), max_size=5)))
    newest = max(e.event_time_ms for e in chosen)
    rows = landed(shuffled)
    for name, suite in SUITES.items():
        view = VIEWS.views[name]
        if suite.exact:
            assert _without_offsets(view, found[name]) == _without_offsets(view, expected[name]), name
        asof = AsOf(view, rows)
        for later in LATER_MS:
            now = newest + later
            values = view.finish(found[name], now)
            same(suite, values, view.finish(expected[name], now))
            same(suite, values, asof.read(names(name), np.full(len(names(name)), now)))


def test_an_event_later_than_every_window_counts_for_ever_and_in_no_window(redis_url: str) -> None:
    def click(place: int, days_ago: float) -> Event:
        time_ms = RECORDED_MS - int(days_ago * DAY_MS)
        return Event(event_id=f"e{place}", tenant="default", user_id="u0", item_id="i0", type="click", price=1,
                     event_time_ms=time_ms)  # fmt: skip

    log = logs([click(0, 0.1), click(1, 0.2), click(2, 27), click(3, 29.5), click(4, 400)])
    states, rows = applied(redis_url, log, [2, 3, 4]), landed(log)
    for name, expected in (("TestCount", {"clicks_28d": 3, "ever": 5}), ("TestSum", {"spent_7d": 2})):
        online = VIEWS.views[name].finish(states[name], RECORDED_MS)
        offline = AsOf(VIEWS.views[name], rows).read(names(name), np.full(len(names(name)), RECORDED_MS))
        for feature, value in expected.items():
            assert online[feature][0] == offline[feature][0] == value, feature


def _without_offsets(view: Any, states: Sequence[bytes | None]) -> list[list[Any]]:
    """What the states hold, but for the offsets: an event that comes later has another."""
    parts = view.decode(states).parts
    return [
        [part.offsets.tolist(), *(c.tolist() for i, c in enumerate(part.columns) if (group.kind, i) != ("last", 1))]
        for group, part in zip(view.groups, parts, strict=True)
    ]
