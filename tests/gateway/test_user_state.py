"""What is known of a user, in names; and what an operator sees."""

import pytest

from snowmelt.contracts.errors import Reason, SnowmeltError
from tests.gateway.house import House, eventually


def test_what_a_user_did_is_told_in_names(house: House) -> None:
    house.did("ulf", ("view", "i0"), ("purchase", "i1"), ("click", "gone-item"))
    with house.client() as client:
        state = eventually(lambda: (s := client.user_state("ulf")).features.get("category_affinity.Drama") and s)
    assert state.known
    assert [(recent.item_id, recent.type) for recent in state.recent_items][1:] == [("i1", "purchase"), ("i0", "view")]
    assert state.recent_items[0].item_id.startswith("#")
    assert state.seen_items == 3
    assert {"type_counts.view", "type_counts.purchase", "type_counts.click"} <= set(state.features)
    assert state.features["type_counts.view"] == pytest.approx(1.0, abs=0.01)
    assert state.features["category_affinity.Comedy"] == pytest.approx(1.0, abs=0.01)
    assert state.features["price_level"] == pytest.approx(2.5, abs=0.01)


def test_a_user_who_was_never_seen_is_no_error(house: House) -> None:
    with house.client() as client:
        state = client.user_state("a stranger")
    assert (state.known, len(state.recent_items), state.seen_items) == (False, 0, 0)


def test_status_says_what_is_missing(house: House) -> None:
    with house.admin() as admin:
        status = eventually(lambda: (found := admin.status()).ready and found)
        assert (list(status.reasons), status.release_id) == ([], "r2")
        assert 0 <= status.ages_seconds["replica"] < 5
        house.take_down("ranker")
        status = eventually(lambda: not (found := admin.status()).ready and found)
        assert list(status.reasons) == ["the ranker does not answer"]
        house.bring_back("ranker")
        eventually(lambda: admin.status().ready)
        house.ranker.releases = ["of another list of features"]
        status = eventually(lambda: not (found := admin.status()).ready and found)
        assert list(status.reasons) == ["the ranker has not loaded release r2: its log says why"]
        house.ranker.releases = ["r1"]
        assert eventually(lambda: (found := admin.status()).ready and found).release_id == "r1"


def test_what_an_operator_asks_for_and_is_not_there(house: House) -> None:
    with house.admin() as admin:
        assert (len(admin.releases().releases), admin.releases().generation) == (0, 0)
        for call, reason in (
            (lambda: admin.activate("nope"), Reason.RELEASE_NOT_FOUND),
            (lambda: admin.activate("../nope"), Reason.INVALID_FIELD),
            (admin.rollback, Reason.NO_RELEASE),
        ):
            with pytest.raises(SnowmeltError) as caught:
                call()
            assert caught.value.reason is reason
