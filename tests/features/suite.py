"""The one suite that every aggregation inherits: what a fold, a merge, a finish and an as-of read owe each other."""

from functools import cache
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.contracts.clock import DAY_MS, HOUR_MS
from snowmelt.contracts.topics import EVENTS
from snowmelt.features.asof import AsOf
from snowmelt.features.compile import Declared, ViewSpec, compile_views
from snowmelt.features.views import CompiledView
from tests.features.events import ITEMS, NOON_MS, USERS, events, numbers, rows
from tests.fixtures.views import EVENT_TYPES

MANY = settings(
    max_examples=25,
    deadline=None,
    database=None,
    # One test run by several classes is what the suite is for; without a database none replays another's examples.
    suppress_health_check=[HealthCheck.differing_executors, HealthCheck.too_slow],
)
LATER_MS = (0, 1, HOUR_MS, 3 * HOUR_MS, DAY_MS, 8 * DAY_MS, 60 * DAY_MS)


class AggregationSuite:
    """Says what it declares and how its values are compared; the tests are the same for all.

    Attributes:
        lines: the declarations under test.
        exact: whether states agree to the bit whatever the order; else values agree to 1e-9.
        falling: features whose value never rises while nothing happens.
        fading: features that are ``empty`` once nothing has happened for long.
    """

    lines: ClassVar[tuple[Declared, ...]]
    exact: ClassVar[bool] = True
    entity: ClassVar[str] = "item"
    falling: ClassVar[tuple[str, ...]] = ()
    fading: ClassVar[tuple[str, ...]] = ()
    empty: ClassVar[float] = 0.0

    @classmethod
    @cache
    def view(cls) -> CompiledView:
        spec = ViewSpec("view", cls.entity, (EVENTS,), HOUR_MS, cls.lines)
        return compile_views(EVENT_TYPES, (spec,)).views["view"]

    def names(self) -> tuple[str, ...]:
        return ITEMS if self.entity == "item" else USERS

    def same_states(self, view: CompiledView, ours: list[bytes], theirs: list[bytes], as_of_ms: int) -> None:
        if self.exact:
            assert ours == theirs
        self.same_values(view.finish(ours, as_of_ms), view.finish(theirs, as_of_ms))

    def same_values(self, ours: dict[str, Any], theirs: dict[str, Any]) -> None:
        assert ours.keys() == theirs.keys() == {line.name for line in self.lines}
        for name, column in ours.items():
            assert len(column) == len(theirs[name])
            for one, other in zip(column, theirs[name], strict=True):
                if isinstance(one, bytes) or one is None:
                    assert one == other
                elif self.exact:
                    np.testing.assert_array_equal(one, other, err_msg=name, strict=True)
                else:
                    np.testing.assert_allclose(one, other, rtol=1e-9 if np.asarray(one).dtype == float else 2e-7)

    @MANY
    @given(chosen=events(), data=st.data())
    def test_any_split_in_any_order_is_one_fold(self, chosen: list[Event], data: st.DataObject) -> None:
        view = self.view()
        order = data.draw(st.permutations(range(len(chosen))))
        cuts = sorted(data.draw(st.lists(st.integers(0, len(chosen)), max_size=4)))
        whole = view.fold(rows(chosen, view))
        merged: dict[str, bytes] = {}
        for start, stop in zip([0, *cuts], [*cuts, len(chosen)], strict=True):
            batch = order[start:stop]
            delta = view.fold(rows([chosen[i] for i in batch], view, batch))
            states = view.merge_many([merged.get(e) for e in delta.entities], delta.states)
            merged.update(zip(delta.entities, states, strict=True))
        assert sorted(merged) == sorted(whole.entities)
        self.same_states(view, whole.states, [merged[e] for e in whole.entities], NOON_MS + 40 * DAY_MS)

    @MANY
    @given(chosen=events(min_size=3), data=st.data())
    def test_merge_commutes_and_associates(self, chosen: list[Event], data: st.DataObject) -> None:
        view = self.view()
        part = data.draw(st.lists(st.integers(0, 2), min_size=len(chosen), max_size=len(chosen)))
        states = []
        for own in range(3):
            mine = [i for i in range(len(chosen)) if part[i] == own]
            folded = view.fold(rows([chosen[i] for i in mine], view, mine))
            known = dict(zip(folded.entities, folded.states, strict=True))
            states.append([known.get(e) for e in self.names()])
        a, b, c = states
        now = NOON_MS + 40 * DAY_MS
        ab = view.merge_many(a, b)
        self.same_states(view, ab, view.merge_many(b, a), now)
        self.same_states(view, view.merge_many(ab, c), view.merge_many(a, view.merge_many(b, c)), now)
        self.same_states(view, ab, view.merge_many(ab, [None] * len(ab)), now)

    @MANY
    @given(chosen=events())
    def test_values_fall_as_time_passes(self, chosen: list[Event]) -> None:
        view = self.view()
        states = view.fold(rows(chosen, view)).states
        newest = max(e.event_time_ms for e in chosen)
        values = [view.finish(states, newest + later) for later in LATER_MS]
        for before, after in pairwise(values):
            for name in self.falling:
                assert (after[name] <= before[name]).all()
        gone = view.finish(states, newest + 100_000 * DAY_MS)
        for name in self.fading:
            np.testing.assert_array_equal(gone[name], np.full(len(states), self.empty, np.float32))

    @MANY
    @given(chosen=events(), data=st.data())
    def test_online_is_as_of(self, chosen: list[Event], data: st.DataObject) -> None:
        view = self.view()
        cut = data.draw(st.integers(0, len(chosen)))
        asof = AsOf(view, [rows(chosen[:cut], view), rows(chosen[cut:], view, range(cut, len(chosen)))])
        newest = max(e.event_time_ms for e in chosen)
        folded = view.fold(rows(chosen, view))
        known = dict(zip(folded.entities, folded.states, strict=True))
        for later in LATER_MS:
            online = view.finish([known.get(e) for e in self.names()], newest + later)
            self.same_values(online, asof.read(self.names(), [newest + later] * len(self.names())))

    @MANY
    @given(chosen=events(), data=st.data())
    def test_as_of_an_earlier_time_is_the_fold_of_what_was_before(
        self, chosen: list[Event], data: st.DataObject
    ) -> None:
        view = self.view()
        times = [e.event_time_ms for e in chosen]
        instants = data.draw(st.lists(st.sampled_from([*times, *(t - 1 for t in times)]), min_size=1, max_size=5))
        asked = data.draw(st.permutations([(e, t) for e in (*self.names(), "nobody") for t in instants]))
        asof = AsOf(view, rows(chosen, view)).read([e for e, _ in asked], [t for _, t in asked])
        for place, (entity, instant) in enumerate(asked):
            before = [i for i, t in enumerate(times) if t <= instant]
            folded = view.fold(rows([chosen[i] for i in before], view, before))
            state = dict(zip(folded.entities, folded.states, strict=True)).get(entity)
            one = {name: column[place : place + 1] for name, column in asof.items()}
            self.same_values(view.finish([state], instant), one)

    @MANY
    @given(chosen=events(), data=st.data())
    def test_numbers_stand_for_their_span(self, chosen: list[Event], data: st.DataObject) -> None:
        view = self.view()
        states = [*view.fold(rows(chosen, view)).states, None]
        first, last = (of(e.event_time_ms for e in chosen) for of in (min, max))
        now = data.draw(st.integers(first - HOUR_MS, last + 40 * DAY_MS))
        values, spans = numbers(view, states, now)
        for row, (since, until) in enumerate(spans.tolist()):
            assert since <= now < until
            inside = {max(since, 0), now, min(until, 2 * now) - 1, data.draw(st.integers(max(since, 0), now))}
            for instant in inside:
                np.testing.assert_array_equal(numbers(view, [states[row]], instant).values[0], values[row])

    @MANY
    @given(chosen=events(), data=st.data())
    def test_some_features_are_what_they_are_among_all(self, chosen: list[Event], data: st.DataObject) -> None:
        view = self.view()
        states = [*view.fold(rows(chosen, view)).states, None]
        names = data.draw(st.lists(st.sampled_from([line.name for line in self.lines]), unique=True))
        now = max(e.event_time_ms for e in chosen) + HOUR_MS
        every, some = view.finish(states, now), view.finish(states, now, names)
        assert set(some) == set(names)
        self.same_values(every, every | some)
