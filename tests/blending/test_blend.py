"""What a slate may hold, in which order, how mixed, and why."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmelt.blending import Content, Diversity, History, Place, Reason, Rules, blend
from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.contracts.items import ItemColumns, Rows

NOW = 1_000_000
CATEGORIES = ("film", "book", "toy")
SOURCES = ("vectors", "popularity_7d")


def candidates(n: int) -> Candidates:
    ranks = np.zeros((n, 2), np.uint16)
    ranks[::2, 0] = np.arange(1, len(ranks[::2]) + 1)
    ranks[1::3, 1] = 1
    return Candidates(np.arange(1, n + 1, dtype=np.uint64), SOURCES, np.ones((n, 2), np.float32), ranks)


def content(n: int, categories: list[tuple[str, ...]] | None = None) -> Content:
    return Content(np.ones(n, bool), np.zeros(n, bool), np.zeros(n, np.int64), categories or [()] * n)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Candidates, np.ndarray, Content, Rules, Diversity, int]:
    n = draw(st.integers(0, 40))
    flags = st.lists(st.booleans(), min_size=n, max_size=n)
    sets = st.lists(st.sampled_from(CATEGORIES), max_size=3, unique=True).map(tuple)
    of = Content(
        np.array(draw(flags), bool),
        np.array(draw(flags), bool),
        np.array(draw(st.lists(st.sampled_from([0, NOW, NOW + 1]), min_size=n, max_size=n)), np.int64),
        draw(st.lists(sets, min_size=n, max_size=n)),
    )
    scores = draw(st.lists(st.sampled_from([-1.0, 0.0, 0.5, 2.0]), min_size=n, max_size=n))
    hidden = np.array(draw(st.lists(st.integers(1, 40), max_size=10)), np.uint64)
    rules = Rules(hidden, frozenset(draw(st.lists(st.sampled_from(CATEGORIES), max_size=2))))
    diversity = Diversity(draw(st.integers(0, 3)), draw(st.sampled_from([0.0, 0.3, 1.0])))
    return candidates(n), np.array(scores, np.float32), of, rules, diversity, draw(st.integers(1, 20))


def allowed(given_case: tuple[Candidates, np.ndarray, Content, Rules, Diversity, int]) -> list[int]:
    """What may be shown, said a second time in plain Python."""
    found, _, of, rules, _, _ = given_case
    return [
        row
        for row in range(len(found))
        if of.known[row]
        and not of.withdrawn[row]
        and of.available_from_ms[row] <= NOW
        and found.keys[row] not in rules.hidden_keys
        and (not rules.categories or set(of.categories[row]) & rules.categories)
    ]


@given(cases())
def test_a_slate_holds_only_what_may_be_shown_as_many_as_there_are_and_none_twice(
    case: tuple[Candidates, np.ndarray, Content, Rules, Diversity, int],
) -> None:
    found, scores, of, rules, diversity, k = case
    slate = blend(found, scores, k, content=of, as_of_ms=NOW, rules=rules, diversity=diversity)
    rows = [place.row for place in slate]
    may = allowed(case)
    assert set(rows) <= set(may)
    assert len(rows) == len(set(rows)) == min(k, len(may))
    assert all(place.propensity == 1.0 for place in slate)
    assert slate == blend(found, scores, k, content=of, as_of_ms=NOW, rules=rules, diversity=diversity)


@given(cases())
def test_without_diversity_the_order_is_the_scores(
    case: tuple[Candidates, np.ndarray, Content, Rules, Diversity, int],
) -> None:
    found, scores, of, rules, _, k = case
    rows = [place.row for place in blend(found, scores, k, content=of, as_of_ms=NOW, rules=rules)]
    assert rows == sorted(allowed(case), key=lambda row: (-scores[row], row))[:k]


@given(cases())
def test_the_cap_holds_while_other_items_are_left(
    case: tuple[Candidates, np.ndarray, Content, Rules, Diversity, int],
) -> None:
    found, scores, of, rules, _, k = case
    slate = blend(found, scores, k, content=of, as_of_ms=NOW, rules=rules, diversity=Diversity(max_per_category=1))
    mains = [of.categories[place.row][0] for place in slate if of.categories[place.row]]
    others = {of.categories[row][0] for row in allowed(case) if of.categories[row]}
    loose = sum(1 for row in allowed(case) if not of.categories[row])
    if k <= len(others) + loose:
        assert max(Counter(mains).values(), default=0) <= 1


def test_the_cap_puts_what_is_over_it_behind_and_not_away() -> None:
    of = content(4, [("film",), ("film",), ("film",), ("book",)])
    slate = blend(
        candidates(4), np.array([4, 3, 2, 1], np.float32), 3, content=of, as_of_ms=NOW, diversity=Diversity(1)
    )
    assert [place.row for place in slate] == [0, 3, 1]


@pytest.mark.parametrize(
    ("relevance", "rows"),
    [
        (1.0, [0, 1, 2, 3]),
        (0.5, [0, 2, 3, 1]),
        (0.0, [0, 3, 2, 1]),
    ],
)
def test_marginal_relevance_prefers_what_is_unlike_the_chosen(relevance: float, rows: list[int]) -> None:
    of = content(4, [("film",), ("film",), ("film", "toy"), ("book",)])
    scores = np.array([1.0, 0.9, 0.85, 0.6], np.float32)
    slate = blend(candidates(4), scores, 4, content=of, as_of_ms=NOW, diversity=Diversity(relevance=relevance))
    assert [place.row for place in slate] == rows


def test_without_scores_the_order_is_retrievals() -> None:
    slate = blend(candidates(5), None, 3, content=content(5), as_of_ms=NOW)
    assert [place.row for place in slate] == [0, 1, 2]


def test_an_item_withdrawn_since_retrieval_is_not_shown() -> None:
    columns = ItemColumns(
        keys=np.array([1, 2], np.uint64),
        ids=["a", "b"],
        titles=["", ""],
        texts=["", ""],
        categories=[("film",), ()],
        prices=np.array([1.0, np.nan]),
        available_from_ms=np.zeros(2, np.int64),
        withdrawn=np.array([True, False]),
    )

    class Items:
        def columns(self) -> ItemColumns:
            return columns

        def rows(self, keys: np.ndarray) -> Rows:
            return np.array([{1: 0, 2: 1}.get(int(key), -1) for key in keys], np.int64)

        def statistics(self, keys: np.ndarray, as_of_ms: int) -> dict[str, np.ndarray]:
            raise AssertionError("blending reads no statistics")

    found = candidates(3)
    of = Content.of(Items(), found.keys)
    assert of.known.tolist() == [True, True, False]
    assert of.withdrawn.tolist() == [True, False, False]
    assert list(of.categories) == [("film",), (), ()]
    assert blend(found, None, 3, content=of, as_of_ms=NOW) == [Place(1, Reason("popularity_7d"))]


def test_reasons_name_the_best_source_and_the_item_that_led_there() -> None:
    ranks = np.array([[3, 5], [2, 1], [0, 0], [4, 4]], np.uint16)
    found = Candidates(np.arange(1, 5, dtype=np.uint64), SOURCES, np.ones((4, 2), np.float32), ranks)
    of = content(4, [("book", "toy"), ("film",), (), ("none",)])
    recent = content(3, [("film",), ("toy", "book"), ("book", "toy")])
    history = History(np.array([70, 71, 72], np.uint64), recent, frozenset({"vectors"}))
    slate = blend(found, None, 4, content=of, as_of_ms=NOW, history=history)
    assert [place.reason for place in slate] == [
        Reason("vectors", 71),
        Reason("popularity_7d"),
        Reason(""),
        Reason("vectors", 70),
    ]


@pytest.mark.parametrize("wrong", [{"max_per_category": -1}, {"relevance": 1.5}, {"relevance": float("nan")}])
def test_a_diversity_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(SnowmeltError, match="relevance is 0 to 1"):
        Diversity(**wrong)  # type: ignore[arg-type]
