"""The past reads as the online store would have answered: states, statistics and content at an instant."""

import numpy as np
import pytest

from snowmelt.contracts.user_state import PackedUserState
from snowmelt.features.user import PROFILE, SEEN, finish_user
from snowmelt.training.errors import BadDataError
from snowmelt.training.past import Past
from tests.training.shop import small_past


def test_states_are_what_the_folded_states_finish_to() -> None:
    past = small_past()
    as_of = int(np.quantile(past.events.times_ms, 0.6))
    before = past.events.take(past.events.times_ms <= as_of)
    folded = {name: past.views.views[name].fold(before) for name in (PROFILE, SEEN)}
    packed = {name: dict(zip(f.entities, f.states, strict=True)) for name, f in folded.items()}
    users = [*sorted(packed[PROFILE])[:40], "nobody"]
    for user, mine in zip(users, past.states(users, np.full(len(users), as_of)), strict=True):
        stored = PackedUserState(user, packed[PROFILE].get(user, b""), packed[SEEN].get(user, b""))
        theirs = finish_user(past.views, stored, as_of)
        assert mine.recent_keys.tolist() == theirs.recent_keys.tolist()
        assert mine.recent_times_ms.tolist() == theirs.recent_times_ms.tolist()
        assert mine.seen_keys.tolist() == theirs.seen_keys.tolist()
        assert mine.type_counts == pytest.approx(theirs.type_counts)
        assert mine.category_keys.tolist() == theirs.category_keys.tolist()
        assert mine.category_weights == pytest.approx(theirs.category_weights)
        assert mine.price_level == pytest.approx(theirs.price_level, nan_ok=True)


def test_statistics_are_the_same_one_by_one_and_for_the_whole_catalogue() -> None:
    past = small_past()
    as_of = int(np.quantile(past.events.times_ms, 0.7))
    items, other = past.items(past.end_ms), past.items(past.end_ms)
    keys = items.columns().keys
    whole = items.statistics(keys, as_of)
    part = other.statistics(keys[5:25], as_of)
    again = items.statistics(np.append(keys[5:25], np.uint64(1)), as_of)
    assert part["interactions_28d"].any()
    for name in part:
        assert whole[name][5:25].tolist() == part[name].tolist()
        assert again[name].tolist() == [*part[name].tolist(), 0.0]
    with pytest.raises(KeyError):
        whole["no_such"]


def test_an_item_is_there_from_its_first_record_on() -> None:
    past = small_past()
    early = int(np.quantile(past.catalogue.times_ms, 0.5)) + 1
    now, later = past.items(early), past.items(early, past.end_ms)
    assert 0 < len(now.columns()) < len(later.columns())
    assert set(now.columns().ids) < set(later.columns().ids)
    assert later.columns().available_from_ms.max() > early
    assert past.items(early, past.end_ms, announced=True).columns().available_from_ms.max() <= early


def test_an_empty_past_is_refused() -> None:
    past = small_past()
    with pytest.raises(BadDataError, match="there are no events"):
        Past(past.views, past.events.take(np.empty(0, np.int64)), None, past.catalogue)
