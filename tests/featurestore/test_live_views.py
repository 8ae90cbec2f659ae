"""Which compiled views a process reads by, as generations and the file change."""

from pathlib import Path

import pytest

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features.defaults import default_views
from snowmelt.featurestore.generations import generation_name
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.runtime.config import ConfigError
from tests.fixtures.views import with_a_feature, with_a_wider_window

VIEWS, OTHER, WIDER = default_views(), with_a_feature(), with_a_wider_window()
FIRST = generation_name(1, VIEWS.hash)


@pytest.fixture
def path(tmp_path: Path) -> str:
    VIEWS.dump(tmp_path / "views.json")
    return str(tmp_path / "views.json")


def test_applied_views_are_in_force_when_their_generation_is_live(path: str) -> None:
    live = LiveViews.load(path)
    assert live.of_generation("") is live.of_generation(FIRST) is live.current
    OTHER.dump(path)
    assert live.of_generation(FIRST).hash == live.current.hash == VIEWS.hash
    assert live.of_generation(generation_name(2, OTHER.hash)).hash == live.current.hash == OTHER.hash


def test_a_generation_of_views_that_are_not_on_disk_is_refused_until_they_are(path: str) -> None:
    live = LiveViews.load(path)
    second = generation_name(2, OTHER.hash)
    for _ in range(2):
        with pytest.raises(SnowmeltError, match="snowmelt rebuild online") as raised:
            live.of_generation(second)
        assert raised.value.reason is Reason.FEATURES_MISMATCH
        assert live.current.hash == VIEWS.hash
    OTHER.dump(path)
    assert live.of_generation(second).hash == live.current.hash == OTHER.hash


def test_what_changes_over_the_same_state_is_taken_with_the_next_generation(path: str) -> None:
    assert (WIDER.hash == VIEWS.hash, WIDER.values_hash == VIEWS.values_hash) == (True, False)
    live = LiveViews.load(path)
    live.of_generation(FIRST)
    WIDER.dump(path)
    assert live.of_generation(FIRST).values_hash == VIEWS.values_hash
    assert live.of_generation(generation_name(2, WIDER.hash)).values_hash == WIDER.values_hash


def test_state_is_read_by_the_views_that_wrote_it_where_they_are_known(path: str) -> None:
    live = LiveViews.load(path)
    OTHER.dump(path)
    found = live.of_state(OTHER.hash)
    assert found.hash == OTHER.hash
    assert live.of_state(OTHER.hash) is found, "parsed once"
    assert live.of_state("") is live.of_state(VIEWS.hash) is live.of_state("unknown") is live.current


def test_without_a_file_it_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"SNOWMELT_VIEWS_PATH.*feast apply"):
        LiveViews.load(str(tmp_path / "none.json"))
