"""The breaker, the popular items and the sentences, by themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.gateway.breaker import FAILURES_TO_OPEN, OPEN_S, SILENT_S, Breaker
from services.gateway.popularity import Chart, chart
from services.gateway.reasons import OTHERWISE, Cause, sentence
from snowmelt.contracts.ids import item_keys
from snowmelt.contracts.items import ItemColumns


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_breaker_opens_after_three_failures_and_tries_one_call_at_a_time() -> None:
    time = Time()
    breaker = Breaker(time)
    for _ in range(FAILURES_TO_OPEN):
        assert breaker.admits()
        breaker.failed(1.0)
    assert breaker.open
    assert not breaker.admits()
    time.now += OPEN_S
    assert breaker.admits()
    assert not breaker.admits()
    breaker.failed(1.0)
    time.now += OPEN_S / 2
    assert not breaker.admits()
    time.now += OPEN_S
    assert breaker.admits()
    breaker.succeeded()
    assert not breaker.open
    assert all(breaker.admits() for _ in range(10))


def test_a_success_between_failures_and_an_unfair_timeout_count_for_nothing() -> None:
    breaker = Breaker(Time())
    for _ in range(10):
        breaker.failed(1.0)
        breaker.failed(1.0)
        breaker.succeeded()
        breaker.failed(0.001)
    assert breaker.admits()
    assert not breaker.open


def test_who_answered_a_moment_ago_is_late_and_not_down() -> None:
    time = Time()
    breaker = Breaker(time)
    breaker.succeeded()
    for _ in range(10 * FAILURES_TO_OPEN):
        breaker.failed(1.0)
    assert not breaker.open
    time.now += SILENT_S
    breaker.failed(1.0)
    assert breaker.open


def columns(n: int) -> ItemColumns:
    names = [f"i{k}" for k in range(n)]
    return ItemColumns(
        keys=item_keys("default", names), ids=names, titles=names, texts=names,
        categories=[("even",) if k % 2 == 0 else ("odd", "rare") for k in range(n)],
        prices=np.full(n, np.nan), available_from_ms=np.arange(n, dtype=np.int64), withdrawn=np.zeros(n, np.bool_),
    )  # fmt: skip


def test_the_chart_goes_by_the_week_then_the_month_then_the_newest() -> None:
    items = columns(5)
    items.withdrawn[4] = True
    week = np.array([1, 3, 1, 0, 99], np.float32)
    month = np.array([5, 3, 9, 0, 99], np.float32)
    found = chart(items, {"interactions_7d": week, "interactions_28d": month}, as_of_ms=3)
    assert found.keys.tolist() == items.keys[[1, 2, 0, 3]].tolist()
    assert found.scores.tolist() == [3, 1, 1, 0]
    # What is offered later is not shown yet; without statistics the newest comes first.
    assert chart(items, {}, as_of_ms=2).keys.tolist() == items.keys[[2, 1, 0]].tolist()


@given(
    st.integers(0, 30),
    st.integers(1, 12),
    st.sets(st.integers(0, 35)),
    st.sets(st.sampled_from(["even", "odd", "rare"])),
)
def test_the_best_are_the_first_that_pass(n: int, limit: int, hidden: set[int], categories: set[str]) -> None:
    items = columns(n)
    whole = chart(items, {"interactions_7d": np.arange(n, dtype=np.float32)}, as_of_ms=n)
    names = [f"i{k}" for k in sorted(hidden)]
    found = whole.best(limit, item_keys("default", names), tuple(sorted(categories)))
    expected = [
        k for k in reversed(range(n)) if k not in hidden and (not categories or categories & set(items.categories[k]))
    ][:limit]
    assert found.keys.tolist() == items.keys[expected].tolist()
    assert found.ranks[:, 0].tolist() == list(range(1, len(expected) + 1))


def test_an_empty_chart_gives_nothing() -> None:
    assert len(Chart().best(5, np.empty(0, np.uint64), ())) == 0
    assert len(Chart().best(5, np.empty(0, np.uint64), ("a",))) == 0


@pytest.mark.parametrize(
    ("source", "cause", "said"),
    [
        ("vectors", Cause("Alien", "purchase"), "Because you bought Alien"),
        ("item_to_item", Cause("Alien", "rating"), "Because you rated Alien"),
        ("content_neighbours", Cause("Alien", "hum"), "Because you chose Alien"),
        ("vectors", None, OTHERWISE),
        ("popularity_7d", None, "Popular this week"),
        ("popularity_28d", None, "Popular this month"),
        ("popularity_category_7d", None, "Popular in Horror"),
        ("popularity_category_28d", None, "Popular in Horror"),
        ("new_items", None, "New in the catalogue"),
        ("a source of tomorrow", None, OTHERWISE),
    ],
)
def test_reasons_are_sentences(source: str, cause: Cause | None, said: str) -> None:
    assert sentence(source, ("Horror", "Space"), cause) == said


def test_a_long_title_is_cut() -> None:
    assert len(sentence("vectors", (), Cause("x" * 500, "view"))) < 256
