"""Compiled views: what is refused, what changes the hash, and what the bytes look like."""

import struct
from dataclasses import replace
from pathlib import Path

import pytest

from snowmelt.contracts.clock import DAY_MS, HOUR_MS, MINUTE_MS
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import EVENTS, IMPRESSIONS
from snowmelt.features.compile import Declared, ViewSpec, compile_views
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledViews
from tests.features.events import NOON_MS, random_rows
from tests.features.test_meaning import happened, view_of
from tests.fixtures.views import EVENT_TYPES

GOOD = Declared("clicks_1d", "click", "sum", DAY_MS)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (replace(GOOD, function="summ"), "did you mean 'sum'"),
        (replace(GOOD, function="latest distinct"), "did you mean 'latest_distinct'"),
        (replace(GOOD, function=""), "must be one of"),
        (replace(GOOD, column="clik"), "did you mean 'click'"),
        (replace(GOOD, column="rating.valu"), "did you mean 'rating.value'"),
        (replace(GOOD, column="category"), "column of sum"),
        (replace(GOOD, function="sum(3)"), "takes no"),
        (replace(GOOD, function="sum.times"), "part of sum"),
        (Declared("r", "item_id", "latest_distinct"), "takes a number"),
        (Declared("r", "item_id", "latest_distinct(999999)"), "1 to 10000"),
        (Declared("r", "item_id", "latest_distinct(5).tiems"), "did you mean 'times'"),
        (Declared("r", "item_id", "latest_distinct(5)", DAY_MS), "time_window is none"),
        (Declared("r", "click", "decayed_sum"), "time_window is required"),
        (replace(GOOD, window_ms=-1), "time_window"),
        (replace(GOOD, window_ms=MINUTE_MS), "does not fit"),
        (replace(GOOD, slide_ms=2 * DAY_MS), "does not fit"),
        (replace(GOOD, name="clicks 1d"), "name"),
    ],
)
def test_what_cannot_be_computed_is_refused_with_the_nearest_name(line: Declared, says: str) -> None:
    with pytest.raises(SnowmeltError, match=says) as refused:
        view_of(line)
    assert refused.value.reason is Reason.INVALID_FIELD


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        (ViewSpec("v", "itme", (EVENTS,), HOUR_MS, (GOOD,)), "did you mean 'item'"),
        (ViewSpec("v", "item", ("snowmelt.event",), HOUR_MS, (GOOD,)), "did you mean 'snowmelt.events'"),
        (ViewSpec("v", "item", (), HOUR_MS, (GOOD,)), "at least one topic"),
        (ViewSpec("v", "item", (EVENTS,), HOUR_MS, ()), "one aggregation"),
        (ViewSpec("v", "item", (EVENTS,), HOUR_MS, (GOOD, GOOD)), "declared twice"),
    ],
)
def test_a_view_that_cannot_be_is_refused(spec: ViewSpec, says: str) -> None:
    with pytest.raises(SnowmeltError, match=says):
        compile_views(EVENT_TYPES, (spec,))


def test_windows_of_one_column_share_a_section() -> None:
    view = view_of(GOOD, replace(GOOD, name="clicks_7d", window_ms=7 * DAY_MS), Declared("n", "click", "count", DAY_MS))
    assert len(view.sections) == 1
    assert view.sections[0].keep_tiles == 7 * 24 + 1


def test_the_hash_follows_the_state_and_nothing_else() -> None:
    base = view_of(GOOD, replace(GOOD, name="clicks_7d", window_ms=7 * DAY_MS))
    other_window = view_of(replace(GOOD, window_ms=3 * DAY_MS), replace(GOOD, name="long", window_ms=7 * DAY_MS))
    reordered = view_of(Declared("b", "view", "sum", DAY_MS), GOOD)
    assert base.hash == other_window.hash
    assert reordered.hash == view_of(GOOD, Declared("b", "view", "sum", DAY_MS)).hash
    assert base.hash != view_of(GOOD).hash
    assert default_views().hash != CompiledViews((*EVENT_TYPES, "share"), default_views().views).hash


def test_feast_takes_the_window_for_an_absent_slide_and_so_it_means_the_views_hop() -> None:
    assert view_of(replace(GOOD, slide_ms=DAY_MS)).sections == view_of(GOOD).sections


def test_views_survive_the_file(tmp_path: Path) -> None:
    lines = (
        GOOD,
        Declared("spent", "purchase.price", "decayed_sum", DAY_MS),
        Declared("people", "user_id", "distinct"),
    )
    views = compile_views(EVENT_TYPES, (ViewSpec("item_stats", "item", (EVENTS, IMPRESSIONS), HOUR_MS, lines),))
    path = tmp_path / "deep" / "views.json"
    views.dump(path)
    loaded = CompiledViews.load(path)
    assert loaded == views
    assert loaded.hash == views.hash
    rows = random_rows(views.views["item_stats"], 50, 5)
    one, other = (each.views["item_stats"].fold(rows) for each in (loaded, views))
    assert (one.tenants, one.entities, one.states) == (other.tenants, other.entities, other.states)


@pytest.mark.parametrize("text", ["", "{}", "[]", "nonsense", None])
def test_a_damaged_file_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "views.json"
    whole = default_views().dumps()
    path.write_text(whole.replace('"half_life_ms": 604800000', '"half_life_ms": 604800001') if text is None else text)
    with pytest.raises(SnowmeltError) as refused:
        CompiledViews.load(path)
    assert refused.value.reason is Reason.FEATURES_MISMATCH
    with pytest.raises(SnowmeltError, match="feast apply"):
        CompiledViews.load(tmp_path / "absent.json")


def test_the_bytes_are_as_documented() -> None:
    view = view_of(
        GOOD,
        Declared("decayed", "click", "decayed_sum", DAY_MS),
        Declared("price", "price", "last"),
        Declared("n", "view", "sum"),
    )
    rows = Rows.from_events([happened(NOON_MS, price=2.5)], view, [7])
    (state,) = view.fold(rows).states
    assert [s.kind for s in view.sections] == ["tiles", "tiles", "decayed", "last"]
    lifetime = struct.pack(">I", 0)
    tiles = struct.pack(">IQd", 16, NOON_MS // HOUR_MS, 1.0)
    decayed = struct.pack(">IQQd", 24, 0, NOON_MS, 1.0)
    last = struct.pack(">IQQd", 24, NOON_MS, 7, 2.5)
    assert state == lifetime + tiles + decayed + last
    assert {n: v.tolist() for n, v in view.finish([state], NOON_MS).items()} == {
        "clicks_1d": [1.0],
        "decayed": [1.0],
        "price": [2.5],
        "n": [0.0],
    }


@pytest.mark.parametrize(
    "damage", [lambda s: s[:-1], lambda s: s + b"\0" * 4, lambda s: b"\xff" + s[1:], lambda s: s + s, lambda s: s[:2]]
)
@pytest.mark.parametrize("name", ["item_stats", "item_content", "user_seen"])
def test_bytes_of_other_views_are_refused(name: str, damage: object) -> None:
    view = default_views().views[name]
    state = view.merge(None, None)
    with pytest.raises(SnowmeltError) as refused:
        view.finish([state, damage(state)], NOON_MS)  # type: ignore[operator]
    assert refused.value.reason is Reason.FEATURES_MISMATCH


def test_what_was_never_seen_has_the_value_of_nothing() -> None:
    views = default_views()
    stats = views.views["item_stats"].finish([None, b""], NOON_MS)
    assert all((column == 0).all() for column in stats.values())
    assert {"impressions_1h", "clicks_7d", "likes_decayed", "distinct_users_28d"} <= set(stats)
    content = views.views["item_content"].finish([None], NOON_MS)
    assert content["content"] == [None]
    assert content["first_upsert"] != content["first_upsert"]


def test_tenants_and_topics_do_not_mix() -> None:
    view = default_views().views["item_stats"]
    mine = happened(NOON_MS)
    theirs = happened(NOON_MS)
    theirs.tenant = "other"
    folded = view.fold(Rows.from_events([mine, theirs, mine], view))
    assert sorted(zip(folded.tenants, folded.entities, strict=True)) == [("default", "a"), ("other", "a")]
    clicks = dict(zip(folded.tenants, view.finish(folded.states, NOON_MS)["clicks_1h"].tolist(), strict=True))
    assert clicks == {"default": 2, "other": 1}
    assert len(default_views().views["item_content"].fold(Rows.from_events([mine], view))) == 0
