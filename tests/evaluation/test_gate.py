"""The gate: passes what is not worse, and says by how much the rest is."""

import numpy as np
import pytest

from snowmelt.evaluation.gate import ACTIVE, decide
from snowmelt.evaluation.global_time_split import OURS, Split
from snowmelt.evaluation.metrics import Rankings
from snowmelt.training.queries import Queries


def answers(share: float, seed: int, q: int = 200) -> Rankings:
    """One relevant item a query, found at the first place in a share of the queries."""
    hits = np.zeros((q, 20), bool)
    hits[:, 0] = np.random.default_rng(seed).random(q) < share
    return Rankings(np.ones((q, 20), np.uint64), hits, np.ones(q, np.int64))


def split(**shares: float) -> Split:
    q = 200
    asked = Queries(np.arange(q), np.zeros(q, np.int64), [np.ones(1, np.uint64)] * q, tuple(map(str, range(q))))
    return Split(asked, {name: answers(share, seed) for seed, (name, share) in enumerate(shares.items())}, 10)


GOOD = split(release=0.5, popularity_7d=0.3, popularity_28d=0.3)
EQUAL = split(release=0.3, popularity_7d=0.3, popularity_28d=0.3)
BAD = split(release=0.2, popularity_7d=0.2, popularity_28d=0.5)


@pytest.mark.parametrize(("judged", "passes"), [(GOOD, True), (EQUAL, True), (BAD, False)])
def test_against_popularity(judged: Split, passes: bool) -> None:
    verdict = decide(judged, None, None)
    assert verdict.passed is passes
    assert bool(verdict.reasons) is not passes
    if not passes:
        assert "is worse than popularity_28d" in verdict.reasons[0]


@pytest.mark.parametrize(("active", "passes"), [(0.3, True), (0.5, True), (0.8, False)])
def test_against_the_active_release_on_newer_queries(active: float, passes: bool) -> None:
    verdict = decide(GOOD, split(**{OURS: 0.5, ACTIVE: active}), None)
    assert verdict.passed is passes
    assert ACTIVE in verdict.differences


@pytest.mark.parametrize(("recorded", "passes"), [(0.3, True), (0.5, True), (0.9, False)])
def test_against_the_recorded_figure_where_nothing_is_newer(recorded: float, passes: bool) -> None:
    verdict = decide(GOOD, None, recorded)
    assert verdict.passed is passes
    if not passes:
        assert "nothing newer to compare them on" in verdict.reasons[0]
