"""Duplicates are a function of the log alone: no restart, rollback or lag of the lake changes what is decided."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest.batch import I64
from services.ingest.lane import Lane
from services.ingest.past import read_back
from services.ingest.window import WINDOW_OFFSETS, Window
from snowmelt.contracts.ids import DEFAULT_TENANT, item_keys
from snowmelt.runtime.kafka.consumer import Place, Records
from tests.fixtures.views import EVENT_TYPES
from tests.ingest.fakes import INCARNATIONS, A, Memory, event, records
from tests.ingest.test_window import SIZE, defined


@dataclass
class Past:
    """A log of ids, and a lake that has landed what an uninterrupted run keeps of its first ``landed`` records."""

    ids: list[int]
    landed: int = 0

    def kept(self, column: str, place: Place, start: int, end: int) -> tuple[pa.Array | pa.ChunkedArray, I64, int]:
        kept = [i for i, fresh in enumerate(defined(self.ids)) if fresh and start <= i < min(end, self.landed)]
        return pa.array([f"e{self.ids[i]}" for i in kept], pa.string()), np.array(kept, np.int64), self.landed

    def replay(self, place: Place, start: int, end: int) -> Iterator[Records]:
        for at in range(start, end, 3):
            yield self.records(at, min(at + 3, end))

    def records(self, start: int, stop: int) -> Records:
        return records(A, start, [event(number) for number in self.ids[start:stop]])

    def expected(self, stop: int) -> list[str]:
        return [f"e{i}" for i, fresh in zip(self.ids[:stop], defined(self.ids)[:stop], strict=True) if fresh]


def begun(sink: Memory, past: Past) -> Lane:
    lane = Lane("features", sink, past, INCARNATIONS, window_offsets=SIZE)
    lane.begin([A])
    return lane


steps = st.lists(
    st.tuples(st.sampled_from(["take", "take", "take", "restart", "fall", "flushall", "land"]), st.integers(0, 15)),
    max_size=14,
)


@settings(max_examples=150, deadline=None, database=None)
@given(ids=st.lists(st.integers(0, 3), min_size=1, max_size=60), plan=steps)
def test_any_restart_at_any_offset_decides_as_an_uninterrupted_run(ids: list[int], plan: list[tuple[str, int]]) -> None:
    past, sink = Past(ids), Memory()
    lane = begun(sink, past)
    for what, number in [*plan, ("take", len(ids))]:
        at = sink.ends.get(A, 0)
        if what == "take":
            lane.take([past.records(at, min(at + number, len(ids)))])
            lane.settle()
        elif what == "land":
            past.landed = min(past.landed + number, len(ids))
        else:
            back = {"restart": at, "fall": max(0, at - number), "flushall": 0}[what]
            sink.ends[A] = back
            sink.ids[A] = past.expected(back)
            lane = begun(sink, past)
    assert sink.ids[A] == past.expected(len(ids))


@settings(max_examples=200, deadline=None, database=None)
@given(seed=st.integers(0, 2**32 - 1), position=st.integers(SIZE, 4 * SIZE), behind=st.integers(0, 4 * SIZE))
def test_what_is_read_back_is_what_an_uninterrupted_run_remembers(seed: int, position: int, behind: int) -> None:
    ids = np.random.default_rng(seed).integers(0, 4, 6 * SIZE).tolist()
    past = Past(ids, landed=max(0, position - behind))
    window = read_back(past, A, position, window=Window(SIZE), incarnation="one", event_types=EVENT_TYPES)
    rest = item_keys(DEFAULT_TENANT, [f"e{number}" for number in ids[position:]])
    assert window.keep(rest, np.arange(position, len(ids))).tolist() == defined(ids)[position:]


def test_a_copy_that_the_lake_has_not_landed_is_decided_by_what_lies_a_window_before_the_lakes_end() -> None:
    """The second copy is none to keep, since the first is near it; so the third, far from the first, is kept."""
    ids = [0, *range(100, 100 + SIZE - 1), 0, 200, 0, *range(300, 300 + SIZE)]
    assert [i for i, number in enumerate(ids) if number == 0] == [0, SIZE, SIZE + 2]
    past, sink = Past(ids, landed=SIZE), Memory()
    sink.ends[A], sink.ids[A] = SIZE + 1, past.expected(SIZE + 1)
    lane = begun(sink, past)
    lane.take([past.records(SIZE + 1, len(ids))])
    lane.settle()
    assert sink.ids[A] == past.expected(len(ids))
    assert sink.ids[A].count("e0") == 2


@pytest.mark.parametrize(("back", "kept"), [(1, False), (WINDOW_OFFSETS, False), (WINDOW_OFFSETS + 1, True)])
@pytest.mark.parametrize("how", ["in one batch", "in two", "after a restart"])
def test_a_copy_counts_again_beyond_the_window_and_not_at_its_edge(back: int, kept: bool, how: str) -> None:
    first, again = np.array([0]), np.array([back])
    key = np.array([7], np.uint64)
    window = Window()
    if how == "in one batch":
        assert window.keep(np.repeat(key, 2), np.array([0, back])).tolist() == [True, kept]
        return
    assert window.keep(key, first).tolist() == [True]
    if how == "after a restart":
        window = Window()
        if back <= WINDOW_OFFSETS:  # what is read back begins a window before the place's position
            window.remember(key, first)
    assert window.keep(key, again).tolist() == [kept]
