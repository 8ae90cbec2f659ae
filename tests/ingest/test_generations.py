"""The feature lane follows the live generation: after a rebuild it goes on where that has left off, exactly once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from services.ingest.aggregate import StateSink
from services.ingest.buffer import Buffer
from services.ingest.crash import CrashPoints
from services.ingest.intake import Intake
from services.ingest.land import LakeSink
from services.ingest.lane import Lane
from services.ingest.ports import Sink
from snowmelt.contracts.clock import DAY_MS, HOUR_MS
from snowmelt.features.compile import Declared, ViewSpec, compile_views
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.rebuild import rebuild_online
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import Lake
from tests.fixtures.views import EVENT_TYPES
from tests.ingest.fakes import INCARNATIONS, A, B, Log, NoHistory, event, until

pytestmark = pytest.mark.redis
NUMBERS = {A: 0, B: 1_000_000}


def other_views() -> CompiledViews:
    """The default ones, with another item_stats."""
    topics = default_views().views["item_stats"].topics
    lines = (Declared("clicks_7d", "click", "sum", 7 * DAY_MS), Declared("clicks_ever", "click", "sum"))
    spec = ViewSpec("item_stats", "item", topics, HOUR_MS, lines)
    other = compile_views(EVENT_TYPES, (spec,))
    return CompiledViews(EVENT_TYPES, {**default_views().views, **other.views})


@contextmanager
def running(log: Log, sink: Sink, name: str) -> Iterator[Lane]:
    lane = Lane(name, sink, NoHistory(), INCARNATIONS)
    intake = Intake(
        log, log.marks, lane, Buffer(1 << 20), accepted_gaps={}, poll_s=0.005,
        flush_rows=100,
    )  # fmt: skip
    intake.given([A, B])
    stop = threading.Event()
    thread = threading.Thread(target=intake.run, args=(stop,))
    thread.start()
    try:
        yield lane
    finally:
        stop.set()
        thread.join(20)
        assert not thread.is_alive()


def fill(log: Log, count: int) -> None:
    for place, number in NUMBERS.items():
        start = number + len(log.values[place])
        log.values[place] += [event(n) for n in range(start, start + count)]


def land(log: Log, lake: Lake) -> None:
    """The log's records of now, in the lake."""
    copy = Log(A, B)
    copy.values = {place: list(values) for place, values in log.values.items()}
    ends = {place: len(values) for place, values in copy.values.items()}
    with running(copy, LakeSink(lake, INCARNATIONS, lambda: EVENT_TYPES, CrashPoints()), "lake") as lane:
        until(lambda: lane.positions() == ends)


def expected(views: CompiledViews, lake: Lake, view: str) -> dict[str, bytes]:
    folded = views.views[view].fold(Rows.from_arrow_events(lake.read("events"), views))
    return dict(zip(folded.entities, folded.states, strict=True))


@pytest.mark.parametrize("other", [False, True], ids=["same views", "other views"])
def test_the_lane_goes_on_in_the_new_generation_from_what_the_rebuild_folded(
    redis_url: str, tmp_path: Path, other: bool
) -> None:
    views, path = default_views(), tmp_path / "views.json"
    views.dump(path)
    lake, log = Lake(str(tmp_path / "lake")), Log(A, B)
    lake.create()
    sink = StateSink(lambda: StateStore(redis_url, CompiledViews.load(path)), INCARNATIONS, CrashPoints())
    first = sink.store.generation
    fill(log, 150)
    with running(log, sink, "features") as lane:
        until(lambda: sum(lane.positions().values()) == 300)
        land(log, lake)
        fill(log, 130)
        until(lambda: sum(lane.positions().values()) == 560)
        views = other_views() if other else views
        views.dump(path)
        second = rebuild_online(lake.url, redis_url, views, lambda *_: None)
        assert second != first
        until(lambda: sink.store.generation == second)
        fill(log, 70)
        until(lambda: sum(lane.positions().values()) == 700)
    land(log, lake)
    reader = StateStore(redis_url, views)
    assert reader.generation == second
    states = expected(views, lake, "user_seen")
    assert dict(zip(states, reader.read("user_seen", list(states)), strict=True)) == states
    stats = expected(views, lake, "item_stats")
    found = reader.read("item_stats", list(stats))
    view, now_ms = views.views["item_stats"], 1_714_521_601_000
    ours, theirs = (view.finish(each, now_ms) for each in (found, list(stats.values())))
    assert ours["clicks_7d"].tolist() == theirs["clicks_7d"].tolist()
    assert ours["clicks_7d"].sum() == 700
    assert ("clicks_ever" in ours) is other
    counters = reader.fence_table.counters()["snowmelt.events"]
    assert (counters.applied, counters.duplicates, counters.dead) == (700, 0, 0)
    reader.close()
