"""Statistics that are kept are those that would be finished anew, at any instant, whatever changed in between."""

import threading

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.contracts.clock import DAY_MS, HOUR_MS, MINUTE_MS
from snowmelt.contracts.ids import DEFAULT_TENANT, item_keys
from snowmelt.contracts.topics import EVENTS
from snowmelt.features.compile import Declared, ViewSpec, compile_views
from snowmelt.featurestore.item_statistics import ItemStatistics
from tests.features.events import ITEMS, NOON_MS, events, rows
from tests.fixtures.views import EVENT_TYPES

LINES = (
    Declared("clicks_1h", "click", "sum", HOUR_MS, 5 * MINUTE_MS),
    Declared("clicks_7d", "click", "sum", 7 * DAY_MS),
    Declared("clicks", "click", "count"),
    Declared("price_1d", "price", "mean", DAY_MS),
    Declared("least_1d", "value", "min", DAY_MS),
    Declared("most_7d", "value", "max", 7 * DAY_MS),
    Declared("faded", "interaction", "decayed_sum", DAY_MS),
    Declared("level", "price", "decayed_mean", 7 * DAY_MS),
    Declared("users_1d", "user_id", "distinct", DAY_MS),
    Declared("price", "price", "last"),
    Declared("recent", "user_id", "latest_distinct(5)"),
)
VIEW = compile_views(EVENT_TYPES, (ViewSpec("view", "item", (EVENTS,), HOUR_MS, LINES),)).views["view"]
NUMBERS = [line.name for line in LINES if line.name != "recent"]
ASKED = [*ITEMS, "nobody"]
KEYS = item_keys(DEFAULT_TENANT, ASKED)

INSTANTS = st.one_of(st.integers(NOON_MS - HOUR_MS, NOON_MS + 2 * HOUR_MS), st.integers(NOON_MS, NOON_MS + 60 * DAY_MS))


@settings(max_examples=60, deadline=None, database=None)
@given(steps=st.lists(st.one_of(events(max_size=6), st.lists(INSTANTS, min_size=1, max_size=4)), max_size=8))
def test_reads_between_updates_give_what_finishing_gives(steps: list[list[Event] | list[int]]) -> None:
    statistics, held = ItemStatistics(VIEW, DEFAULT_TENANT), dict[str, bytes]()
    for step in steps:
        if isinstance(step[0], Event):
            folded = VIEW.fold(rows(step, VIEW))  # type: ignore[arg-type]
            merged = VIEW.merge_many([held.get(e) for e in folded.entities], folded.states)
            changed = list(zip(folded.entities, merged, strict=True))
            held.update(changed)
            statistics.update(changed)
            continue
        for instant in step:
            found = statistics.read(KEYS, instant)  # type: ignore[arg-type]
            assert list(found) == NUMBERS
            expected = VIEW.finish([held.get(item) for item in ASKED], instant)  # type: ignore[arg-type]
            for name, column in found.items():
                np.testing.assert_array_equal(column, expected[name], name, strict=True)


def test_the_same_item_twice_and_no_item() -> None:
    statistics = ItemStatistics(VIEW, DEFAULT_TENANT)
    statistics.update([("i0", clicked(3))])
    assert statistics.read(KEYS[[0, 6, 0]], NOON_MS)["clicks"].tolist() == [3, 0, 3]
    assert statistics.read(KEYS[:0], NOON_MS)["clicks"].shape == (0,)


def test_readers_meet_whole_states_while_the_writer_changes_them() -> None:
    statistics, done, torn = ItemStatistics(VIEW, DEFAULT_TENANT), threading.Event(), list[str]()

    def read() -> None:
        seen, instant = np.zeros(len(KEYS)), NOON_MS
        while not done.is_set():
            found, instant = statistics.read(KEYS, instant), instant + 1
            if not np.array_equal(found["clicks"], found["clicks_7d"]) or (found["clicks"] < seen).any():
                torn.append(f"{found['clicks']} {found['clicks_7d']} after {seen}")
            seen = found["clicks"]

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for count in range(1, 61):
        statistics.update([(item, clicked(count)) for item in ITEMS[: 1 + count % len(ITEMS)]])
    done.set()
    for reader in readers:
        reader.join()
    assert torn == []
    assert statistics.read(KEYS[:1], NOON_MS)["clicks"].tolist() == [60]


def clicked(times: int) -> bytes:
    """The state of an item with so many clicks."""
    chosen = [Event(tenant="default", item_id="i0", type="click", event_time_ms=NOON_MS) for _ in range(times)]
    return VIEW.fold(rows(chosen, VIEW)).states[0]
