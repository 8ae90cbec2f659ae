"""Online, historical and what services read are one value: during ingestion, and as time passes without an event."""

import threading
from collections import defaultdict
from dataclasses import fields

import numpy as np
import pandas as pd
import pytest

from services.trainer.adapters.lake import LakeHistory
from snowmelt.contracts.clock import MINUTE_MS, Clock
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket, item_keys
from snowmelt.contracts.topics import EVENTS, IMPRESSIONS
from snowmelt.contracts.user_state import PackedUserState, UserState
from snowmelt.features.user import PROFILE, SEEN, finish_user
from snowmelt.featurestore.feast_columns import python_values
from snowmelt.featurestore.feast_pins import pinned
from snowmelt.featurestore.store import StateStore
from tests.feast.lanes import START_MS, make_cycles
from tests.feast.matrix import ranker_column
from tests.ingest.fakes import INCARNATIONS

USERS, ITEMS = 60, 80
PAIRS = 1000
STEP_MS = 20 * MINUTE_MS
FIRST_HOUR = [f"item_stats:{name}_1h" for name in ("views", "clicks", "impressions", "interactions")]


def instant(time_ms: int) -> pd.Timestamp:
    return pd.Timestamp(time_ms, unit="ms", tz="UTC")


def same(one: object, other: object) -> bool:
    """Equal; decayed weights, which no one rounds to float32, to the last places of a float64."""
    if isinstance(one, list) and isinstance(other, list) and one and isinstance(one[0], float):
        return len(one) == len(other) and np.allclose(one, other, rtol=1e-12, atol=0)
    if isinstance(one, float) and isinstance(other, float) and one != int(one):
        return abs(one - other) <= np.spacing(np.float32(max(abs(one), abs(other))))
    return one == other


def test_a_thousand_pairs_agree_during_ingestion(lanes, open_store, redis_url, views):
    cycles = make_cycles(40, 150, USERS, ITEMS, STEP_MS)
    events_each, slates_each = len(cycles[0].records), len(cycles[0].slates)
    store, service = open_store(), StateStore(redis_url, views)
    lanes.write_catalog(ITEMS)
    lanes.write(cycles[0])
    ended = threading.Event()
    failures: list[BaseException] = []

    def ingest() -> None:
        try:
            for cycle in cycles[1:]:
                lanes.write(cycle)
        except BaseException as error:  # noqa: BLE001 - the test fails with it
            failures.append(error)
        finally:
            ended.set()

    rng = np.random.default_rng(11)
    writer = threading.Thread(target=ingest)
    writer.start()
    found, states, during = [], [], 0
    while len(found) < PAIRS:
        entity, view = _draw(rng)
        bucket = entity_bucket(DEFAULT_TENANT, entity)
        before = _fences(service, bucket)
        as_of_ms = START_MS + before[0] // events_each * STEP_MS + int(rng.integers(0, 3 * 60 * MINUTE_MS))
        key = "user_id" if view.startswith("user") else "item_id"
        references = [f"{view}:{f.name}" for f in views.views[view].features]
        with pinned(as_of_ms=as_of_ms):
            online = store.get_online_features(references, [{key: entity}]).to_dict()
        served = views.views[view].finish(service.read(view, [entity]), as_of_ms)
        user = _user(service, entity, as_of_ms)
        if _fences(service, bucket) != before or before[0] // events_each != before[1] // slates_each:
            continue  # a write came between the reads
        during += not ended.is_set()
        assert {n: python_values(v) for n, v in served.items()} == {n: v for n, v in online.items() if n != key}
        found.append((before[0], view, key, entity, as_of_ms, online))
        states.append((before[0], entity, as_of_ms, served if key == "item_id" else user))
    writer.join()
    assert not failures
    assert during > PAIRS // 10, "ingestion was over before the reads began"
    assert len({offset for offset, *_ in found}) > 3
    counted = service.fence_table.counters()[EVENTS]
    assert (counted.applied, counted.duplicates, counted.dead) == (40 * 150, 40 * 10, 40)
    _compare_with_history(store, lanes, found, views)
    _compare_with_training(lanes, states, views)


def _user(service: StateStore, entity: str, as_of_ms: int) -> UserState:
    (profile,), (seen,) = (service.read(view, [entity]) for view in (PROFILE, SEEN))
    packed = PackedUserState(entity, profile or b"", seen or b"", service.views.hash)
    return finish_user(service.views, packed, as_of_ms)


def _draw(rng: np.random.Generator) -> tuple[str, str]:
    view = ("user_profile", "user_seen", "item_stats", "item_stats")[int(rng.integers(0, 4))]
    user = view.startswith("user")
    return f"{'user' if user else 'item'}-{int(rng.integers(0, USERS if user else ITEMS))}", view


def _fences(service: StateStore, bucket: int) -> tuple[int, int]:
    return tuple(service.fences(INCARNATIONS[topic], topic, 0)[bucket] or 0 for topic in (EVENTS, IMPRESSIONS))


def _compare_with_history(store, lanes, found, views) -> None:
    groups = defaultdict(list)
    for offset, view, key, entity, as_of_ms, online in found:
        groups[offset, view, key].append((entity, as_of_ms, online))
    compared = 0
    for (offset, view, key), asked in groups.items():
        frame = pd.DataFrame({key: [e for e, _, _ in asked], "event_timestamp": [instant(t) for _, t, _ in asked]})
        references = [f"{view}:{f.name}" for f in views.views[view].features]
        with pinned(lake_versions=lanes.landed[offset]):
            history = store.get_historical_features(frame, references).to_arrow().to_pydict()
        for row, (entity, as_of_ms, online) in enumerate(asked):
            for name in (r.split(":")[1] for r in references):
                assert same(online[name][0], history[name][row]), (name, entity, as_of_ms, offset)
            compared += 1
    assert compared == PAIRS


def _compare_with_training(lanes, states, views) -> None:
    """What the trainer joins of the lake as it was: the very states and statistics that services read then."""
    groups = defaultdict(list)
    for offset, *state in states:
        groups[offset].append(state)
    for offset, asked in groups.items():
        past = LakeHistory(lanes.lake, views).read(lanes.landed[offset])[0]
        for entity, as_of_ms, served in asked:
            if isinstance(served, UserState):
                (joined,) = past.states([entity], np.array([as_of_ms]))
                for field in fields(UserState):
                    one, other = getattr(joined, field.name), getattr(served, field.name)
                    if isinstance(one, dict):
                        assert one.keys() == other.keys()
                        one, other = list(one.values()), [other[name] for name in one]
                    np.testing.assert_allclose(
                        one, other, rtol=1e-12, err_msg=f"{field.name} of {entity} at {as_of_ms}"
                    )
            else:
                joined = past.items(as_of_ms).statistics(item_keys(DEFAULT_TENANT, [entity]), as_of_ms)
                for name in views.views["item_stats"].scalars:
                    np.testing.assert_allclose(joined[name], served[name], rtol=1e-6, err_msg=f"{name} of {entity}")


def test_an_hour_without_events_empties_the_first_hours_window(lanes, open_store, redis_url, views):
    lanes.write_catalog(5)
    for cycle in make_cycles(3, 100, USERS, ITEMS, STEP_MS):
        lanes.write(cycle)
    end_ms = START_MS + 3 * STEP_MS
    items = [f"item-{i}" for i in range(5)]
    for moved_ms, empty in ((0, False), (70 * MINUTE_MS, True)):
        store = open_store(clock_offset_ms=Clock.ending_at(end_ms + moved_ms).offset_ms)
        online = store.get_online_features(FIRST_HOUR, {"item_id": items}).to_df()
        frame = pd.DataFrame({"item_id": items, "event_timestamp": instant(end_ms + moved_ms)})
        history = store.get_historical_features(frame, FIRST_HOUR).to_df()
        names = [reference.split(":")[1] for reference in FIRST_HOUR]
        assert (online[names].to_numpy() == history[names].to_numpy()).all()
        assert bool((online[names].to_numpy() == 0).all()) is empty
        states = lanes.store.read("item_stats", items)
        served = views.views["item_stats"].finish(states, end_ms + moved_ms)
        assert all((served[name] == online[name]).all() for name in names)
        ranked = [ranker_column(name, redis_url, views, items, end_ms + moved_ms) for name in names]
        assert (np.stack(ranked, axis=1) == online[names].to_numpy()).all()


@pytest.mark.parametrize("full", [False, True])
def test_names_order_and_unknown_entities(lanes, open_store, full):
    cycle = make_cycles(1, 100, USERS, ITEMS, STEP_MS)[0]
    lanes.write(cycle)
    store = open_store()
    known = next(event.user_id for event in cycle.events if event.user_id)
    rows = [{"item_id": "nothing", "user_id": "nobody"}, {"item_id": "item-0", "user_id": known}]
    with pinned(as_of_ms=START_MS + STEP_MS):
        answer = store.get_online_features(
            ["item_stats:views_1d", "user_profile:price_level"], rows, full_feature_names=full
        )
    views_name, price_name = (
        ("item_stats__views_1d", "user_profile__price_level") if full else ("views_1d", "price_level")
    )
    values = answer.to_dict()
    assert list(values)[:2] == ["item_id", "user_id"]
    assert values["item_id"] == ["nothing", "item-0"]
    assert values[views_name][0] == 0.0
    assert values[views_name][1] > 0
    assert values[price_name][0] is None
    assert values[price_name][1] > 0
    message = answer.proto
    assert list(message.metadata.feature_names.val) == list(values)
    stamped = answer.to_dict(include_event_timestamps=True)
    assert stamped[f"{views_name}__ts"] == [(START_MS + STEP_MS) // 1000] * 2
