"""Events for the tests of features: few entities, so that they meet; times of every scale."""

from collections.abc import Iterable, Sequence

import numpy as np
from hypothesis import strategies as st

from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.contracts.clock import DAY_MS, HOUR_MS, MINUTE_MS
from snowmelt.features.plan import Numbers
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledView
from tests.fixtures.views import EVENT_TYPES

NOON_MS = 1_700_000_000_000
USERS = tuple(f"u{i}" for i in range(4))
ITEMS = tuple(f"i{i}" for i in range(6))
TYPES = tuple(t for t in EVENT_TYPES if t != "impression")

_OFFSETS = st.one_of(
    st.integers(0, 10), st.integers(0, HOUR_MS), st.integers(0, 40 * DAY_MS), st.sampled_from((0, MINUTE_MS, HOUR_MS))
)


def number(low: float, high: float) -> st.SearchStrategy[float | None]:
    """Quarters, which add up without rounding, or nothing."""
    return st.none() | st.integers(int(low * 4), int(high * 4)).map(lambda n: n / 4)


@st.composite
def events(draw: st.DrawFn, min_size: int = 1, max_size: int = 24) -> list[Event]:
    """Events of one tenant; an event's place in the list is its offset."""
    size = draw(st.integers(min_size, max_size))
    return [
        Event(
            event_id=f"e{place}",
            tenant="default",
            user_id=draw(st.sampled_from(USERS)),
            item_id=draw(st.sampled_from(ITEMS)),
            type=draw(st.sampled_from(TYPES)),
            value=draw(number(0, 100)),
            price=draw(number(0, 100)),
            categories=draw(st.lists(st.sampled_from(("red", "green", "blue")), max_size=3, unique=True)),
            event_time_ms=NOON_MS + draw(_OFFSETS),
        )
        for place in range(size)
    ]


def rows(chosen: Sequence[Event], view: CompiledView, offsets: Iterable[int] | None = None) -> Rows:
    """The rows of some events."""
    return Rows.from_events(chosen, view, list(range(len(chosen)) if offsets is None else offsets))


def numbers(view: CompiledView, states: Sequence[bytes | None], as_of_ms: int) -> Numbers:
    """The view's numbers and their spans."""
    plan = view.plan()
    return plan.numbers(plan.open(states), as_of_ms)


def random_rows(view: CompiledView, size: int, entities: int, seed: int = 1, span_ms: int = 90 * DAY_MS) -> Rows:
    """Many events, some entities with far more of them than others."""
    rng = np.random.default_rng(seed)
    items = np.minimum(rng.zipf(1.3, size), entities)
    chosen = [
        Event(
            event_id=f"e{i}",
            tenant="default",
            user_id=f"u{rng.integers(entities)}",
            item_id=f"i{items[i]}",
            type=TYPES[rng.integers(len(TYPES))],
            event_time_ms=NOON_MS + int(rng.integers(span_ms)),
            categories=[f"c{items[i] % 20}", f"d{items[i] % 7}"],
            value=float(rng.normal()),
            price=float(rng.random() * 100),
        )
        for i in range(size)
    ]
    return rows(chosen, view)
