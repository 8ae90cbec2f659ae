"""What counts as a choice, and at which instant."""

import numpy as np
import pytest

from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.ids import item_key
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import Rows
from snowmelt.training.errors import BadDataError
from snowmelt.training.labels import choices, first_touches, parse_rules
from snowmelt.training.queries import at_choices, over_window

VIEWS = default_views()
TYPES = VIEWS.event_types
T = 1_700_000_000_000


def rows(*events: tuple[str, str, str, int, float | None]) -> Rows:
    made = []
    for user, item, kind, time, value in events:
        event = Event(tenant="default", user_id=user, item_id=item, type=kind, event_time_ms=T + time)
        if value is not None:
            event.value = value
        made.append(event)
    return Rows.from_events(made, VIEWS)


LOG = rows(
    ("u", "a", "view", 0, None),
    ("u", "a", "purchase", 50, None),
    ("u", "a", "purchase", 90, None),
    ("u", "b", "view", 60, None),
    ("u", "c", "rating", 70, 3),
    ("v", "c", "rating", 80, 4),
)


def test_a_choice_stands_at_the_first_touch() -> None:
    found = first_touches(LOG, parse_rules("purchase, rating>=4", TYPES), TYPES)
    named = [found.user_names[u] for u in found.users]
    assert list(zip(named, found.keys.tolist(), (found.times_ms - T).tolist(), strict=True)) == [
        ("u", item_key("default", "a"), 0),
        ("v", item_key("default", "c"), 80),
    ]
    assert len(choices(LOG, parse_rules("purchase", TYPES), TYPES)) == 2


@pytest.mark.parametrize(
    ("text", "said"), [("buy", "buy is not a declared"), ("rating=>4", "is no rule"), ("purchase,", "is no rule")]
)
def test_a_rule_that_cannot_be_read_is_refused(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        parse_rules(text, TYPES)


@pytest.mark.parametrize(
    ("log", "said"),
    [
        (LOG.take(LOG.times_ms == T), "none of 1 events is a choice"),
        (rows(("u", "a", "purchase", 0, None), ("u", "b", "purchase", 1, None)), "of one user"),
        (rows(("u", "a", "purchase", 0, None), ("v", "a", "purchase", 1, None)), "of one item"),
        (rows(("u", "a", "rating", 0, None), ("v", "b", "rating", 1, None)), "none of 2 events"),
    ],
)
def test_data_without_two_classes_is_refused(log: Rows, said: str) -> None:
    with pytest.raises(BadDataError, match=said):
        first_touches(log, parse_rules("purchase, rating>=4", TYPES), TYPES)


def test_queries_stand_just_before_a_choice_and_know_what_followed() -> None:
    log = rows(
        *(("u", f"i{n}", "purchase", n * DAY_MS // 2, None) for n in range(6)),
        ("v", "i0", "purchase", 2 * DAY_MS, None),
    )
    touches = first_touches(log, parse_rules("purchase", TYPES), TYPES)
    asked = at_choices(touches, T + DAY_MS, T + 3 * DAY_MS, horizon_ms=DAY_MS, per_user=9, limit=99)
    u = touches.user_names.index("u")
    of_u = asked.take(np.flatnonzero(asked.users == u))
    assert (of_u.as_of_ms - T).tolist() == [DAY_MS - 1, 3 * DAY_MS // 2 - 1, 2 * DAY_MS - 1, 5 * DAY_MS // 2 - 1]
    wanted = [("i2", "i3"), ("i3", "i4"), ("i4", "i5"), ("i5",)]
    assert [set(t.tolist()) for t in of_u.truths] == [{item_key("default", i) for i in each} for each in wanted]
    few = at_choices(touches, T + DAY_MS, T + 3 * DAY_MS, horizon_ms=DAY_MS, per_user=2, limit=99)
    assert [np.count_nonzero(few.users == u), len(few)] == [2, 3]
    assert len(at_choices(touches, T + DAY_MS, T + 3 * DAY_MS, horizon_ms=DAY_MS, per_user=9, limit=3)) == 3


def test_one_query_a_user_of_a_window() -> None:
    touches = first_touches(LOG, parse_rules("purchase, rating>=3", TYPES), TYPES)
    asked = over_window(touches, T + 60, T + 100)
    assert [asked.entities, asked.as_of_ms.tolist()] == [["u"], [T + 60]]
    assert asked.truths[0].tolist() == [item_key("default", "c")]
    assert over_window(touches, T + 60, T + 100, known_only=False).entities == ["u", "v"]
