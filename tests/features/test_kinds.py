"""Kinds of sections on records of their own: few registers and ranks, so that they meet, as events seldom let them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmelt.contracts.clock import DAY_MS, HOUR_MS, MINUTE_MS
from snowmelt.contracts.ids import item_key
from snowmelt.contracts.topics import EVENTS
from snowmelt.features import state
from snowmelt.features.compile import Declared, ViewSpec, compile_views
from snowmelt.features.kinds import register
from snowmelt.features.ragged import of_cells
from snowmelt.features.rows import Rows
from tests.features.test_meaning import MIDNIGHT_MS, happened, view_of
from tests.fixtures.views import EVENT_TYPES

PLACES = st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(1, 4))


@given(records=st.lists(PLACES, min_size=1, max_size=30), window=st.integers(1, 12), now=st.integers(0, 40))
def test_a_history_counts_what_the_sliding_sketch_counts(
    records: list[tuple[int, int, int]], window: int, now: int
) -> None:
    records = sorted(records, key=lambda r: r[0])
    cells = np.array([cell for cell, _, _ in records])
    place = np.array([(reg << register.RANK_BITS) | rank for _, reg, rank in records])
    times = np.concatenate([np.arange((cells == cell).sum()) for cell in (0, 1)]) // 2
    seen = times <= now
    view = compile_views(EVENT_TYPES, (users_within(window),)).views["view"]
    cells_kept, columns = register.reduce((), cells[seen], (place[seen], times[seen].astype(np.float64)))
    states = state.pack(view.groups, [of_cells(cells_kept, 2, columns)], 2)
    history = register.History(None, cells, (place, times.astype(np.float64)))  # type: ignore[arg-type]
    starts = np.searchsorted(cells, [0, 1])
    begin, end = starts.copy(), starts.copy()
    for cell in (0, 1):
        own = times[cells == cell]
        begin[cell] += np.searchsorted(own, now - window, side="right")
        end[cell] += np.searchsorted(own, now, side="right")
    counted = view.finish(states, now)["users"]
    np.testing.assert_array_equal(counted, history.count(begin, end).astype(np.float32))


def users_within(window_ms: int) -> ViewSpec:
    """A view whose states are one section of registers."""
    return ViewSpec("view", "item", (EVENTS,), 1, (Declared("users", "user_id", "distinct", window_ms),))


def test_what_is_newer_than_the_instant_is_left_out_where_the_state_can_tell() -> None:
    view = view_of(
        Declared("clicks", "click", "sum", DAY_MS, 5 * MINUTE_MS),
        Declared("users", "user_id", "distinct", DAY_MS),
        Declared("recent", "user_id", "latest_distinct(5)"),
        Declared("price", "price", "last"),
    )
    chosen = [happened(MIDNIGHT_MS, user="u"), happened(MIDNIGHT_MS + HOUR_MS, user="w", price=2.0)]
    (held,) = view.fold(Rows.from_events(chosen, view)).states
    before, after = (view.finish([held], MIDNIGHT_MS + later) for later in (MINUTE_MS, HOUR_MS))
    assert (before["clicks"][0], after["clicks"][0]) == (1, 2)
    assert (round(float(before["users"][0])), round(float(after["users"][0]))) == (1, 2)
    assert (len(before["recent"][0]), len(after["recent"][0])) == (1, 2)
    assert np.isnan(before["price"][0])
    assert after["price"][0] == 2.0


@pytest.mark.parametrize("bits", [0, 1, 2**8, 2**63, 2**64 - 1, 0xFFFFFFFFFFFFFF00, item_key("default", "a")])
def test_a_rank_is_one_more_than_the_leading_zeros(bits: int) -> None:
    (place,) = register.places(np.array([bits], np.uint64)).tolist()
    rest = bits >> 8
    assert divmod(place, 64) == (bits & 255, 57 - rest.bit_length())
