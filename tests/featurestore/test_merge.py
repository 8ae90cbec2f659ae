"""The merge in Lua is the merge of ``CompiledView``, on a real Redis, for every kind of section."""

import uuid

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts.clock import HOUR_MS
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket
from snowmelt.contracts.topics import CATALOG, EVENTS
from snowmelt.features.compile import Declared, ViewSpec, compile_views
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledView
from snowmelt.featurestore.store import StateStore
from tests.fixtures.writes import fences_after, one_range

START_MS = 1_700_000_000_000
TYPES = ("view", "purchase", "impression")

EXACT = [
    Declared("purchases", "purchase", "sum", 4 * HOUR_MS),
    Declared("purchases_short", "purchase", "sum", HOUR_MS, HOUR_MS // 12),
    Declared("views_ever", "view", "count"),
    Declared("value_mean", "value", "mean", 3 * HOUR_MS),
    Declared("cheapest", "price", "min", 2 * HOUR_MS),
    Declared("dearest", "price", "max", 5 * HOUR_MS),
    Declared("first", "event_time", "min"),
    Declared("recent", "item_id", "latest_distinct(3)"),
    Declared("recent_users", "user_id", "latest_distinct(5)"),
    Declared("users", "user_id", "distinct", 3 * HOUR_MS),
    Declared("categories", "category", "distinct", 3 * HOUR_MS),
    Declared("last_price", "price", "last"),
]
DECAYED = [
    Declared("decayed", "purchase", "decayed_sum", HOUR_MS),
    Declared("decayed_slow", "view", "decayed_sum", 100 * HOUR_MS),
    Declared("affinity", "category", "decayed_counts", 2 * HOUR_MS),
    Declared("types", "type", "decayed_counts", 3 * HOUR_MS),
]
VIEWS = compile_views(
    TYPES,
    [
        ViewSpec("of_users", "user", [EVENTS], HOUR_MS, EXACT),
        ViewSpec("of_items", "item", [EVENTS], HOUR_MS, EXACT),
        ViewSpec("decayed_of_users", "user", [EVENTS], HOUR_MS, DECAYED),
        ViewSpec("content", "item", [CATALOG], HOUR_MS, [Declared("content", "content", "last")]),
    ],
)

numbers = st.none() | st.sampled_from([0.0, 1.0, 0.1, 3.3, 1e9])
events = st.builds(
    events_pb2.Event,
    event_id=st.just("e"),
    tenant=st.just(DEFAULT_TENANT),
    user_id=st.sampled_from(["ann", "bob"]),
    item_id=st.sampled_from([f"i{n}" for n in range(7)]),
    type=st.sampled_from(TYPES[:2]),
    event_time_ms=st.integers(0, 40).map(lambda n: START_MS + n * HOUR_MS // 4)
    | st.integers(0, 12 * HOUR_MS).map(lambda n: START_MS + n),
    value=numbers,
    price=numbers,
    categories=st.lists(st.sampled_from([f"c{n}" for n in range(30)]), max_size=4, unique=True),
)
batches = st.lists(st.lists(events, min_size=1, max_size=12), min_size=2, max_size=6)


@pytest.fixture(scope="module")
def store(shared_redis: object) -> StateStore:
    store = StateStore(shared_redis.url, VIEWS)  # type: ignore[attr-defined]
    store.client.flushall()
    return store


def write_all(store: StateStore, view: CompiledView, folds: list[dict[str, bytes]]) -> dict[str, bytes]:
    """Applies deltas one after the other, each entity in a partition of its own, and reads the states back."""
    index = list(VIEWS.views).index(view.name)
    mark = uuid.uuid4().hex
    fences: dict[str, int] = {}
    writes = []
    for offset, fold in enumerate(folds, 1):
        for entity, delta in fold.items():
            bucket = entity_bucket(DEFAULT_TENANT, mark + entity)
            start, fences[entity] = fences.get(entity, 0), offset
            writes.append(one_range(bucket, mark, entity, 0, start, offset, [(index, mark + entity, delta)]))
    assert fences_after(store, *writes) == [write.ranges[0].to_offset for write in writes]
    entities = sorted(fences)
    states = store.read(view.name, [mark + entity for entity in entities])
    return {e: s for e, s in zip(entities, states, strict=True) if s is not None}


def merged(view: CompiledView, folds: list[dict[str, bytes]]) -> dict[str, bytes]:
    states: dict[str, bytes] = {}
    for fold in folds:
        for entity, delta in fold.items():
            states[entity] = view.merge(states.get(entity), delta)
    return dict(sorted(states.items()))


def folded(view: CompiledView, rows: Rows) -> dict[str, bytes]:
    fold = view.fold(rows)
    return dict(zip(fold.entities, fold.states, strict=True))


def folds_of(view: CompiledView, parts: list[list[events_pb2.Event]]) -> list[dict[str, bytes]]:
    return [
        folded(view, Rows.from_events(part, VIEWS, list(range(n * 100, n * 100 + len(part)))))
        for n, part in enumerate(parts)
    ]


@pytest.mark.parametrize("name", ["of_users", "of_items"])
@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=batches)
def test_exact_sections_agree_to_the_bit(name: str, store: StateStore, parts: list[list[events_pb2.Event]]) -> None:
    view = VIEWS.views[name]
    folds = folds_of(view, parts)
    assert write_all(store, view, folds) == merged(view, folds)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=batches)
def test_decayed_sections_agree_in_keys_and_times_and_nearly_in_sums(
    store: StateStore, parts: list[list[events_pb2.Event]]
) -> None:
    view = VIEWS.views["decayed_of_users"]
    folds = folds_of(view, parts)
    ours, theirs = write_all(store, view, folds), merged(view, folds)
    assert ours.keys() == theirs.keys()
    for a, b in zip(view.decode(list(ours.values())).parts, view.decode(list(theirs.values())).parts, strict=True):
        np.testing.assert_array_equal(a.offsets, b.offsets)
        np.testing.assert_array_equal(a.columns[0], b.columns[0])
        np.testing.assert_array_equal(a.columns[1], b.columns[1])
        np.testing.assert_allclose(a.columns[2], b.columns[2], rtol=1e-14)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(heads=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.binary(max_size=3)), min_size=2, max_size=6))
def test_contents_agree_also_where_heads_are_equal(store: StateStore, heads: list[tuple[int, int, bytes]]) -> None:
    view = VIEWS.views["content"]
    folds = []
    for time, offset, title in heads:
        change = events_pb2.CatalogChange(
            upsert=events_pb2.ItemUpsert(
                tenant=DEFAULT_TENANT, item_id="i", title=title.hex(), event_time_ms=START_MS + time
            )
        )
        folds.append(folded(view, Rows.from_catalog([change], [change.SerializeToString()], [offset])))
    assert write_all(store, view, folds) == merged(view, folds)
