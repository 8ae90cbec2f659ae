"""Feast's online read: many entities, none, and another generation in between."""

from pathlib import Path

import numpy as np
import pytest

from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import Rows
from snowmelt.featurestore.feast_finish import Finisher
from snowmelt.featurestore.generations import generation_name
from snowmelt.featurestore.store import READ_KEYS_MAX, StateStore
from tests.fixtures.views import with_a_shorter_half_life
from tests.fixtures.writes import one_range

VIEWS = default_views()
VIEW = "item_stats"
NOW_MS = 1_700_000_000_000
NAMES = ("clicks_1h", "distinct_users_28d")


@pytest.fixture
def finisher(redis_url: str, tmp_path: Path) -> Finisher:
    VIEWS.dump(tmp_path / "views.json")
    return Finisher(redis_url, tmp_path / "views.json", DEFAULT_TENANT, Clock(0))


def write(store: StateStore, clicks: dict[str, int]) -> None:
    events = [
        Event(tenant=DEFAULT_TENANT, user_id=f"u{n}", item_id=item, type="click", event_time_ms=NOW_MS)
        for item, count in clicks.items()
        for n in range(count)
    ]
    folded = VIEWS.views[VIEW].fold(Rows.from_events(events, VIEWS))
    place, deltas = list(VIEWS.views).index(VIEW), dict[int, list[tuple[int, str, bytes]]]()
    for entity, state in zip(folded.entities, folded.states, strict=True):
        deltas.setdefault(entity_bucket(DEFAULT_TENANT, entity), []).append((place, entity, state))
    store.apply([one_range(b, "inc", "snowmelt.events", 0, 0, 1, own) for b, own in deltas.items()])


def test_more_entities_than_one_command_takes(redis_url: str, finisher: Finisher) -> None:
    clicks = {f"i{n}": n % 3 for n in range(2 * READ_KEYS_MAX + 10)}
    write(StateStore(redis_url, VIEWS), clicks)
    found = finisher.read(VIEW, list(clicks), NOW_MS, NAMES)
    assert tuple(found) == NAMES
    np.testing.assert_array_equal(found["clicks_1h"], list(clicks.values()))


def test_no_entities(redis_url: str, finisher: Finisher) -> None:
    assert {name: len(column) for name, column in finisher.read(VIEW, [], NOW_MS, NAMES).items()} == {
        "clicks_1h": 0,
        "distinct_users_28d": 0,
    }


def test_state_of_other_views_is_never_decoded(redis_url: str, tmp_path: Path) -> None:
    """Not even where it has the same form."""
    write(StateStore(redis_url, VIEWS), {"a": 1})
    other = with_a_shorter_half_life()
    other.dump(tmp_path / "views.json")
    finisher = Finisher(redis_url, tmp_path / "views.json", DEFAULT_TENANT, Clock(0))
    for _ in range(2):
        with pytest.raises(SnowmeltError, match="run `snowmelt rebuild online`") as refused:
            finisher.read(VIEW, ["a"], NOW_MS, ("clicks_decayed",))
        assert refused.value.reason is Reason.FEATURES_MISMATCH
    rebuilt = StateStore(redis_url, other, generation_name(2, other.hash))
    write(rebuilt, {"a": 2})
    rebuilt.generations.switch(rebuilt.generation)
    assert finisher.read(VIEW, ["a"], NOW_MS, ("clicks_decayed",))["clicks_decayed"].tolist() == [2.0]


def test_another_generation_is_read_from_its_first_moment(redis_url: str, finisher: Finisher) -> None:
    write(StateStore(redis_url, VIEWS), {"a": 1, "b": 1})
    assert finisher.read(VIEW, ["a", "b", "c"], NOW_MS, NAMES)["clicks_1h"].tolist() == [1, 1, 0]
    rebuilt = StateStore(redis_url, VIEWS, generation_name(2, VIEWS.hash))
    write(rebuilt, {"a": 2, "c": 5})
    rebuilt.generations.switch(rebuilt.generation)
    assert finisher.read(VIEW, ["a", "b", "c"], NOW_MS, NAMES)["clicks_1h"].tolist() == [2, 0, 5]
