"""Batches of which nothing is folded: a slate that shows nothing, a view without numbers, records that all are in."""

import pytest

from services.ingest.aggregate import StateSink
from services.ingest.crash import CrashPoints
from services.ingest.lane import Lane
from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.contracts.clock import HOUR_MS
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket, record_key
from snowmelt.contracts.topics import EVENTS, IMPRESSIONS
from snowmelt.features.compile import Declared, ViewSpec, compile_views
from snowmelt.features.defaults import default_views
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore import names
from snowmelt.featurestore.store import StateStore
from snowmelt.runtime.kafka.consumer import Records
from tests.fixtures.views import EVENT_TYPES
from tests.ingest.fakes import INCARNATIONS, NOW, A, NoHistory, run_of

pytestmark = pytest.mark.redis


def begun(url: str, views: CompiledViews, place: tuple[str, int]) -> tuple[Lane, StateStore]:
    store = StateStore(url, views)
    lane = Lane("features", StateSink(lambda: store, INCARNATIONS, CrashPoints()), NoHistory(), INCARNATIONS)
    lane.begin([place])
    return lane, store


def test_slates_that_show_nothing_are_counted(redis_url: str) -> None:
    place = (IMPRESSIONS, 0)
    lane, store = begun(redis_url, default_views(), place)
    slates = [pb.Impression(request_id=f"r{n}", tenant="default", user_id="ann", as_of_ms=NOW) for n in range(2)]
    values: list[bytes | None] = [slate.SerializeToString() for slate in slates]
    lane.take([Records(*place, [0, 1], [NOW] * 2, [record_key("default", "ann")] * 2, values, [None] * 2)])
    lane.settle()
    assert lane.positions() == {place: 2}
    assert store.fence_table.counters()[IMPRESSIONS].applied == 2


def test_a_view_to_which_no_record_has_a_number_is_left_alone(redis_url: str) -> None:
    priced = ViewSpec("priced", "item", (EVENTS,), HOUR_MS, (Declared("price", "price", "mean"),))
    lane, store = begun(redis_url, compile_views(EVENT_TYPES, [priced]), A)
    lane.take([run_of(A, 0, 3)])
    lane.settle()
    assert store.read("priced", ["i0", "i1"]) == [None, None]
    assert store.fence_table.counters()[EVENTS].applied == 3


def test_records_that_are_all_in_are_passed_over(redis_url: str) -> None:
    lane, store = begun(redis_url, default_views(), A)
    lane.take([run_of(A, 0, 1)])
    lane.beat()
    touched = {entity_bucket(DEFAULT_TENANT, entity) for entity in ("ann", "i0")} | {A[1]}
    other = next(bucket for bucket in names.all_buckets() if bucket not in touched)
    before = store.read("user_profile", ["ann"])
    store.client.hset(names.fence(DEFAULT_TENANT, other, store.generation), names.fence_field("one", *A), 0)
    again, store = begun(redis_url, default_views(), A)
    assert again.positions() == {A: 0}
    again.take([run_of(A, 0, 1)])
    again.beat()
    assert again.positions() == {A: 1}
    assert store.read("user_profile", ["ann"]) == before
    assert store.fence_table.counters()[EVENTS].applied == 1
