"""The bootstrap: seeded, about as wide as theory says, and wider where values hang together."""

import numpy as np
import pytest

from snowmelt.evaluation.bootstrap import interval, paired


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.random.default_rng(1).random(300)
    assert interval(values, seed=5) == interval(values, seed=5)
    assert interval(values, seed=5) != interval(values, seed=6)


def test_it_is_as_wide_as_the_normal_interval() -> None:
    values = np.random.default_rng(2).normal(3, 1, 400)
    found = interval(values)
    assert found.mean == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 20, rel=0.1)


def test_drawing_whole_users_is_wider_where_a_users_values_are_alike() -> None:
    of_user = np.repeat(np.random.default_rng(3).normal(0, 1, 40), 25)
    users = np.repeat(np.arange(40), 25)
    by_user, by_value = interval(of_user, users), interval(of_user)
    assert by_user.high - by_user.low > 3 * (by_value.high - by_value.low)


def test_paired_takes_the_difference() -> None:
    rng = np.random.default_rng(4)
    theirs = rng.random(500)
    found = paired(theirs + 0.05, theirs)
    assert (found.low, found.mean, found.high) == pytest.approx((0.05, 0.05, 0.05))
    assert paired(theirs, theirs + rng.normal(0, 0.1, 500)).low < 0


def test_nothing_to_draw_from_is_an_error() -> None:
    with pytest.raises(ValueError, match="no values"):
        interval(np.array([]))
