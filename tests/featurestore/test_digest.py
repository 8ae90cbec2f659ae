"""Two stores are compared state by state: what one of many holds too much is seen, and another order is not."""

import pytest

from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts.clock import HOUR_MS
from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.contracts.topics import EVENTS
from snowmelt.features.compile import Declared, ViewSpec, compile_views
from snowmelt.features.rows import Rows
from snowmelt.featurestore.digest import CHUNK, alike, digest_view

START_MS = 1_700_000_000_000
VIEWS = compile_views(
    ("view", "impression"),
    [
        ViewSpec(
            "of_users",
            "user",
            [EVENTS],
            HOUR_MS,
            [Declared("sum", "value", "sum", 4 * HOUR_MS), Declared("views", "view", "count")],
        )
    ],
)
VIEW = VIEWS.views["of_users"]
USERS = CHUNK + 5


def states(values: dict[int, float]) -> list[tuple[str, bytes]]:
    """Of many users, each with one event of value 1, or of that given by the user's number."""
    events = [
        events_pb2.Event(
            event_id=f"e{n}",
            tenant=DEFAULT_TENANT,
            user_id=f"u{n:05}",
            item_id="i",
            type="view",
            event_time_ms=START_MS,
            value=values.get(n, 1.0),
        )
        for n in range(USERS)
    ]
    fold = VIEW.fold(Rows.from_events(events, VIEWS, list(range(USERS))))
    return sorted(zip(fold.entities, fold.states, strict=True))


def test_the_same_states_are_alike_but_for_the_last_bits_of_sums() -> None:
    assert alike(VIEW, states({}), states({}))
    assert alike(VIEW, states({7: 1 + 1e-12}), states({}))


@pytest.mark.parametrize("number", [0, CHUNK - 1, CHUNK, USERS - 1])
def test_a_little_too_much_in_one_state_is_seen_however_many_there_are(number: int) -> None:
    assert not alike(VIEW, states({number: 1 + 1e-7}), states({}))
    assert digest_view(VIEW, states({number: 1 + 1e-7})).sha256 == digest_view(VIEW, states({})).sha256


def test_what_one_lacks_is_seen() -> None:
    whole = states({})
    assert not alike(VIEW, whole[:-1], whole)
    assert not alike(VIEW, whole, whole[1:])
    assert not alike(VIEW, [*whole[:-1], ("u99999", whole[-1][1])], whole)
    assert alike(VIEW, [], [])
