"""What each kind of feature means, on events that can be counted by hand."""

import numpy as np
import pytest

from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.contracts.clock import DAY_MS, HOUR_MS, MINUTE_MS
from snowmelt.contracts.ids import item_key, word_keys
from snowmelt.contracts.topics import EVENTS
from snowmelt.features import ragged, state
from snowmelt.features.asof import AsOf
from snowmelt.features.compile import Declared, ViewSpec, compile_views
from snowmelt.features.kinds import register
from snowmelt.features.views import CompiledView
from tests.features.events import numbers, random_rows, rows
from tests.fixtures.views import EVENT_TYPES

MIDNIGHT_MS = 1_700_006_400_000


def view_of(*lines: Declared, entity: str = "item") -> CompiledView:
    return compile_views(EVENT_TYPES, (ViewSpec("view", entity, (EVENTS,), HOUR_MS, lines),)).views["view"]


def happened(at_ms: int, kind: str = "click", item: str = "a", user: str = "u", **fields: object) -> Event:
    return Event(tenant="default", user_id=user, item_id=item, type=kind, event_time_ms=at_ms, **fields)  # type: ignore[arg-type]


def one(view: CompiledView, chosen: list[Event], as_of_ms: int) -> dict[str, object]:
    """The features of the only entity."""
    (state,) = view.fold(rows(chosen, view)).states
    return {name: column[0] for name, column in view.finish([state], as_of_ms).items()}


def test_a_window_holds_the_tiles_that_began_after_its_start() -> None:
    view = view_of(Declared("clicks", "click", "sum", HOUR_MS, 5 * MINUTE_MS))
    chosen = [happened(MIDNIGHT_MS + m * MINUTE_MS) for m in (0, 4, 5, 30)]
    counted = {m: one(view, chosen, MIDNIGHT_MS + m * MINUTE_MS)["clicks"] for m in (30, 59, 60, 64, 65, 89, 90)}
    assert counted == {30: 4, 59: 4, 60: 2, 64: 2, 65: 1, 89: 1, 90: 0}


def test_a_number_stands_until_a_tile_or_a_user_comes_in_or_falls_out() -> None:
    chosen = [happened(MIDNIGHT_MS + m * MINUTE_MS) for m in (0, 4, 5, 30)]
    tiles = view_of(Declared("clicks", "click", "sum", HOUR_MS, 5 * MINUTE_MS))
    users = view_of(Declared("users", "user_id", "distinct", 2 * HOUR_MS))
    cases = (
        (tiles, 29, (5, 30)),
        (tiles, 30, (30, 60)),
        (tiles, 62, (60, 65)),
        (users, 29, (None, 30)),
        (users, 40, (30, 150)),
    )
    for view, minute, expected in cases:
        (state,) = view.fold(rows(chosen, view)).states
        span = numbers(view, [state], MIDNIGHT_MS + minute * MINUTE_MS).spans[0].tolist()
        found = tuple((edge - MIDNIGHT_MS) // MINUTE_MS if edge > 0 else None for edge in span)
        assert found == expected, (view.sections[0].kind, minute)


def test_seventy_minutes_without_an_event_empty_an_hour_everywhere() -> None:
    view = view_of(Declared("clicks_1h", "click", "sum", HOUR_MS, 5 * MINUTE_MS))
    chosen = [happened(MIDNIGHT_MS), happened(MIDNIGHT_MS + MINUTE_MS)]
    asof = AsOf(view, rows(chosen, view))
    for later, count in ((2 * MINUTE_MS, 2), (70 * MINUTE_MS, 0)):
        assert one(view, chosen, MIDNIGHT_MS + later)["clicks_1h"] == count
        assert asof.read(["a"], [MIDNIGHT_MS + later])["clicks_1h"].tolist() == [count]


def test_a_decayed_sum_halves_every_half_life() -> None:
    view = view_of(Declared("clicks", "click", "decayed_sum", DAY_MS))
    chosen = [happened(MIDNIGHT_MS), happened(MIDNIGHT_MS + DAY_MS)]
    assert one(view, chosen, MIDNIGHT_MS + DAY_MS)["clicks"] == 1.5
    assert one(view, chosen, MIDNIGHT_MS + 3 * DAY_MS)["clicks"] == 0.375


def test_a_thousand_half_lives_apart_neither_overflow_nor_lose_the_newest() -> None:
    view = view_of(Declared("spent", "price", "decayed_sum", HOUR_MS))
    chosen = [happened(MIDNIGHT_MS + k * 5000 * HOUR_MS, price=float(k + 1)) for k in range(5)]
    newest = MIDNIGHT_MS + 20_000 * HOUR_MS
    assert one(view, chosen, newest)["spent"] == 5.0
    assert AsOf(view, rows(chosen, view)).read(["a"], [newest])["spent"].tolist() == [5.0]


def test_affinities_have_a_weight_and_a_key_each() -> None:
    view = view_of(
        Declared("weights", "category", "decayed_counts", DAY_MS),
        Declared("keys", "category", "decayed_counts.keys", DAY_MS),
        entity="user",
    )
    chosen = [happened(MIDNIGHT_MS, categories=["red", "blue"]), happened(MIDNIGHT_MS + DAY_MS, categories=["red"])]
    found = one(view, chosen, MIDNIGHT_MS + DAY_MS)
    pairs = dict(zip(found["keys"], found["weights"], strict=True))  # type: ignore[call-overload]
    red, blue = word_keys(["red", "blue"])
    assert pairs == {red: 1.5, blue: 0.5}


def test_the_newest_keys_come_newest_first_and_once() -> None:
    view = view_of(
        Declared("recent", "item_id", "latest_distinct(2)"),
        Declared("times", "item_id", "latest_distinct(2).times"),
        Declared("types", "item_id", "latest_distinct(2).types"),
        entity="user",
    )
    steps = (("a", "view"), ("b", "view"), ("a", "purchase"), ("c", "like"))
    chosen = [happened(MIDNIGHT_MS + i, kind, item) for i, (item, kind) in enumerate(steps)]
    found = one(view, chosen, MIDNIGHT_MS + DAY_MS)
    assert list(found["recent"]) == [item_key("default", "c"), item_key("default", "a")]  # type: ignore[call-overload]
    assert list(found["times"]) == [MIDNIGHT_MS + 3, MIDNIGHT_MS + 2]  # type: ignore[call-overload]
    assert [EVENT_TYPES[code] for code in found["types"]] == ["like", "purchase"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", [1, 2, 10, 100, 1000, 20_000])
def test_distinct_is_near_the_truth(size: int) -> None:
    rng, view = np.random.default_rng(size), view_of(Declared("users", "user_id", "distinct"))
    errors = []
    for _ in range(20):
        place = register.places(rng.integers(0, 2**64, size, np.uint64))
        cells, columns = register.reduce((), np.zeros(size, np.int64), (place, np.zeros(size)))
        (count,) = view.finish(state.pack(view.groups, [ragged.of_cells(cells, 1, columns)], 1), 1)["users"]
        errors.append(count / size - 1)
    assert abs(np.mean(errors)) < 0.06
    assert np.sqrt(np.mean(np.square(errors))) < 0.13


def test_many_rows_as_of_agree_with_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ragged, "PAIRS", 300)
    lines = (
        Declared("clicks_7d", "click", "sum", 7 * DAY_MS),
        Declared("value_7d", "value", "sum", 7 * DAY_MS),
        Declared("best_28d", "value", "max", 28 * DAY_MS),
        Declared("users_28d", "user_id", "distinct", 28 * DAY_MS),
        Declared("decayed", "interaction", "decayed_sum", DAY_MS),
        Declared("shelves", "category", "decayed_counts", 7 * DAY_MS),
        Declared("buyers", "user_id", "latest_distinct(5)"),
    )
    view = view_of(*lines)
    every = random_rows(view, 3000, 40)
    asof = AsOf(view, every)
    names = sorted(set(every.items))
    for instant in np.quantile(every.times_ms, (0.1, 0.5, 1.0)).astype(int).tolist():
        before = np.flatnonzero(every.times_ms <= instant)
        folded = view.fold(every.take(before))
        known = dict(zip(folded.entities, folded.states, strict=True))
        online = view.finish([known.get(e) for e in names], instant)
        offline = asof.read(names, np.full(len(names), instant))
        for name in ("clicks_7d", "best_28d", "users_28d"):
            np.testing.assert_array_equal(online[name], offline[name], name)
        np.testing.assert_allclose(online["value_7d"], offline["value_7d"], rtol=2e-7, atol=1e-6)
        np.testing.assert_allclose(online["decayed"], offline["decayed"], rtol=2e-7)
        for one_list, other in zip(online["shelves"], offline["shelves"], strict=True):
            np.testing.assert_allclose(one_list, other, rtol=1e-9)
        for one_list, other in zip(online["buyers"], offline["buyers"], strict=True):
            np.testing.assert_array_equal(one_list, other)
