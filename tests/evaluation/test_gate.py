"""The gate: passes what is not worse, whatever the number of queries, and says by how much the rest is."""

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmelt.evaluation.gate import ACTIVE, MARGIN, Incumbent, decide
from snowmelt.evaluation.global_time_split import OURS, Split
from snowmelt.evaluation.metrics import Rankings
from snowmelt.training.queries import Queries

POPULARITY = ("popularity_7d", "popularity_28d")
NOWHERE = 20
"""The place of a relevant item that was not found."""


def split(**places: Sequence[int]) -> Split:
    """One relevant item a query and user; by method, the place at which each query's stands, from 0."""
    q = len(places[OURS])
    asked = Queries(np.arange(q), np.zeros(q, np.int64), [np.ones(1, np.uint64)] * q, tuple(map(str, range(q))))
    answers = {}
    for method, found in places.items():
        hits = np.arange(20) == np.array(found)[:, None]
        answers[method] = Rankings(np.ones((q, 20), np.uint64), hits, np.ones(q, np.int64))
    return Split(asked, answers, 10)


def found(share: float, q: int) -> list[int]:
    """First places in a share of q queries, the others nowhere: NDCG@10 is the share."""
    return [0 if n < share * q else NOWHERE for n in range(q)]


def against_popularity(ours: float, theirs: float, q: int, *, shift: int = 0) -> Split:
    """``shift``: the queries that popularity answers begin so much later, so that the two find different ones."""
    popular = np.roll(found(theirs, q), shift).tolist()
    return split(**{OURS: found(ours, q)}, popularity_7d=found(0, q), popularity_28d=popular)


@pytest.mark.parametrize(
    ("ours", "theirs", "q", "shift", "passes"),
    [
        (0.5, 0.3, 200, 0, True),
        (0.3, 0.3, 200, 0, True),
        (0.3, 0.3, 20, 10, True),
        # A loss that 20 queries leave uncertain, the interval reaching above 0, is still a loss.
        (0.10, 0.25, 20, 5, False),
        (0.25, 0.30, 20, 10, False),
        # So is one that is small but certain; one that is small and uncertain is noise.
        (0.395, 0.4, 2_000, 0, False),
        (0.395, 0.4, 2_000, 1_000, True),
        (0.2, 0.5, 200, 0, False),
        (0.0, 0.0, 20, 0, True),
    ],
)
def test_against_popularity(ours: float, theirs: float, q: int, shift: int, passes: bool) -> None:
    verdict = decide(against_popularity(ours, theirs, q, shift=shift), None)
    assert verdict.passed is passes
    assert bool(verdict.reasons) is not passes
    assert set(verdict.differences) == set(POPULARITY)
    assert not verdict.notes
    if not passes:
        assert "is worse than popularity_28d" in verdict.reasons[0]


GOOD = against_popularity(0.5, 0.3, 200)


@pytest.mark.parametrize(("active", "passes"), [(0.3, True), (0.5, True), (0.55, False), (0.8, False)])
def test_against_the_active_release_on_newer_queries(active: float, passes: bool) -> None:
    verdict = decide(GOOD, Incumbent(split(**{OURS: found(0.5, 20), ACTIVE: found(active, 20)})))
    assert verdict.passed is passes
    assert ACTIVE in verdict.differences
    assert not verdict.notes


@pytest.mark.parametrize(("recorded", "passes"), [(0.3, True), (0.5, True), (0.52, True), (0.53, False), (0.9, False)])
def test_against_the_recorded_figure_where_nothing_is_newer(recorded: float, passes: bool) -> None:
    verdict = decide(GOOD, Incumbent(recorded=recorded))
    assert verdict.passed is passes
    if not passes:
        assert "nothing newer to compare them on" in verdict.reasons[0]


WORSE = split(**{OURS: found(0.2, 50), ACTIVE: found(0.8, 50)})


@pytest.mark.parametrize(
    ("active", "said"),
    [
        (Incumbent(), "compared with popularity only"),
        (
            Incumbent(unservable="it is damaged"),
            "compared with popularity only, not with the active release, since it is",
        ),
        (Incumbent(recorded=0.9, unservable="it is old"), "since it is old; its NDCG@10 was 0.9000"),
        (Incumbent(WORSE, unservable="it is old"), "was compared but kept nothing out, since it is old"),
    ],
)
def test_what_cannot_be_served_keeps_nothing_out_and_it_is_said(active: Incumbent, said: str) -> None:
    verdict = decide(GOOD, active)
    assert verdict.passed
    assert said in verdict.notes[0]
    assert (ACTIVE in verdict.differences) is (active.split is not None)
    assert not decide(against_popularity(0.2, 0.5, 200), active).passed


def places(q: int) -> st.SearchStrategy[list[int]]:
    return st.lists(st.integers(0, NOWHERE), min_size=q, max_size=q)


@st.composite
def judged(draw: st.DrawFn) -> dict[str, list[int]]:
    q = draw(st.integers(1, 30))
    return {method: draw(places(q)) for method in (OURS, *POPULARITY, ACTIVE)}


def decided(answers: dict[str, list[int]]) -> tuple[bool, bool]:
    """Whether it passes against popularity, and against popularity and the active release."""
    whole = split(**answers)
    return decide(whole, None).passed, decide(whole, Incumbent(whole)).passed


@settings(max_examples=60, deadline=None)
@given(judged())
def test_what_passes_lacks_no_more_than_the_margin_and_is_not_certainly_worse(answers: dict[str, list[int]]) -> None:
    whole, rivals = split(**answers), (*POPULARITY, ACTIVE)
    means = {method: whole.ndcg(method).mean() for method in answers}
    close = [whole.against(OURS, rival).mean >= -MARGIN * means[rival] for rival in rivals]
    certain = [whole.against(OURS, rival).high < 0 for rival in rivals]
    ok = [near and not worse for near, worse in zip(close, certain, strict=True)]
    assert decided(answers) == (all(ok[:2]), all(ok))


@settings(max_examples=60, deadline=None)
@given(judged(), st.data())
def test_answering_better_never_turns_a_pass_into_a_refusal(answers: dict[str, list[int]], data: st.DataObject) -> None:
    better = [data.draw(st.integers(0, place)) for place in answers[OURS]]
    for before, after in zip(decided(answers), decided(answers | {OURS: better}), strict=True):
        assert after or not before


@settings(max_examples=60, deadline=None)
@given(judged())
def test_what_answers_as_well_as_every_rival_passes(answers: dict[str, list[int]]) -> None:
    best = [min(each) for each in zip(*(answers[rival] for rival in (*POPULARITY, ACTIVE)), strict=True)]
    assert decided(answers | {OURS: best}) == (True, True)
