"""What is late is a function of the log, whatever the batches, restarts and writes that are tried again."""

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.ingest.batch import Batch, batch_of
from services.ingest.crash import CrashPoints
from services.ingest.decode import decode
from services.ingest.land import LakeSink
from services.ingest.lane import Lane
from services.ingest.lateness import Lateness
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.lake import Lake
from snowmelt.runtime.kafka.consumer import Place, Records
from tests.fixtures.views import EVENT_TYPES
from tests.ingest.fakes import INCARNATIONS, NOW, A, B, NoHistory, event, records

ALLOWED_MS = 10


def defined(times: list[int]) -> list[bool]:
    """An event is late where one before it in its partition is more than the allowed lateness newer."""
    return [time < max(times[:i], default=time) - ALLOWED_MS for i, time in enumerate(times)]


def log(place: Place, times: list[int], start: int = 0) -> Records:
    return records(place, start, [event(start + i, event_time_ms=NOW + time) for i, time in enumerate(times)])


def a_batch(times: dict[Place, list[int]], start: int, stop: int) -> Batch:
    parts = [log(place, own[start:stop], start) for place, own in times.items() if own[start:stop]]
    return batch_of(parts, dict.fromkeys(times, start))


times = st.lists(st.integers(0, 40), min_size=1, max_size=30)


@settings(max_examples=100, deadline=None, database=None)
@given(a=times, b=times, cuts=st.lists(st.integers(1, 30), max_size=4), again=st.booleans())
def test_batches_and_writes_tried_again_do_not_matter(a: list[int], b: list[int], cuts: list[int], again: bool) -> None:
    lateness, found = Lateness(ALLOWED_MS), {0: [], 1: []}
    for start, stop in pairwise(sorted({0, *cuts, 30})):
        if not (a[start:stop] or b[start:stop]):
            continue
        batch = a_batch({A: a, B: b}, start, stop)
        rows = decode(batch, "one", EVENT_TYPES).rows
        for _ in range(1 + again):
            flagged, ends = lateness.flag(batch, rows)
        for partition, late in zip(*(flagged[name].to_pylist() for name in ("partition", "late")), strict=True):
            found[partition].append(late)
        for place, own in ((A, a), (B, b)):
            if own[start:stop]:
                assert ends[place] == NOW + max(own[:stop])
    assert found == {0: defined(a), 1: defined(b)}


def flags(lake: Lake) -> list[bool]:
    found: list[bool] = lake.read("events", ["late"])["late"].to_pylist()
    return found


def a_lane(lake: Lake) -> Lane:
    sink = LakeSink(lake, INCARNATIONS, lambda: EVENT_TYPES, CrashPoints(), lateness=Lateness(ALLOWED_MS))
    lane = Lane("lake", sink, NoHistory(), INCARNATIONS)
    lane.begin([A])
    return lane


@pytest.mark.parametrize("cut", [0, 3, 4, 5])
def test_flags_survive_a_restart_and_are_counted(tmp_path: Path, cut: int) -> None:
    def counted() -> float:
        return REGISTRY.get_sample_value("snowmelt_late_events_total") or 0.0

    own, before = [5, 30, 19, 20, 31, 20, 21, 50, 39], counted()
    lake = Lake(str(tmp_path / "lake"))
    lake.create()
    for start, stop in pairwise(sorted({0, cut, len(own)})):
        lane = a_lane(lake)
        lane.take([log(A, own[start:stop], start)])
        lane.settle()
    assert flags(lake) == defined(own) == [False, False, True, False, False, True, False, False, True]
    assert counted() - before == 3
    key = ("one", *A)
    assert lake.progress("events", [key])[key].watermark_ms == NOW + 50


def test_duplicates_and_dead_letters_move_no_watermark(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    lake.create()
    lane = a_lane(lake)
    first = event(0, event_time_ms=NOW)
    newer = (event(0, event_time_ms=NOW + 100), event(1, event_time_ms=NOW + 1000, type="teleport"))
    lane.take([records(A, 0, [first, *newer, event(2, event_time_ms=NOW)])])
    lane.settle()
    assert flags(lake) == [False, False]


def test_a_write_that_failed_is_flagged_as_before(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path / "lake"))
    lake.create()
    sink = LakeSink(lake, INCARNATIONS, lambda: EVENT_TYPES, CrashPoints(), lateness=Lateness(ALLOWED_MS))
    lane = Lane("lake", sink, NoHistory(), INCARNATIONS)
    lane.begin([A])
    own, fails = [5, 30, 19, 50, 39], [SnowmeltError(Reason.UNAVAILABLE, "down")] * 2
    commit = sink.commit

    def failing(*args: object) -> None:
        if fails:
            raise fails.pop()
        commit(*args)  # type: ignore[arg-type]

    sink.commit = failing  # type: ignore[method-assign]
    lane.take([log(A, own[:3])])
    for _ in range(2):
        with pytest.raises(SnowmeltError):
            lane.take([log(A, own[3:], 3)])
    lane.take([log(A, own[3:], 3)])
    lane.settle()
    assert flags(lake) == defined(own)
