"""Metrics against values worked out by hand and against their definitions written the slow way."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmelt.evaluation import metrics


def keys(*values: int) -> np.ndarray:
    return np.array(values, np.uint64)


def test_by_hand() -> None:
    of = metrics.rankings([keys(1, 2, 3), keys(9, 8), keys()], [keys(2, 3, 7), keys(5), keys(4)], 3)
    assert metrics.ndcg(of, 3) == pytest.approx([(1 / math.log2(3) + 1 / 2) / (1 + 1 / math.log2(3) + 1 / 2), 0, 0])
    assert metrics.recall(of, 2) == pytest.approx([0.5, 0, 0])
    assert metrics.recall(of, 3) == pytest.approx([2 / 3, 0, 0])
    assert metrics.hit_rate(of, 1) == pytest.approx([0, 0, 0])
    assert metrics.hit_rate(of, 2) == pytest.approx([1, 0, 0])
    assert metrics.coverage(of, 3, 10) == pytest.approx(0.5)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(st.permutations(range(1, 13)), st.sets(st.integers(1, 12), min_size=1)), min_size=1, max_size=5),
    st.integers(1, 12),
)
def test_definitions(cases: list[tuple[list[int], set[int]]], k: int) -> None:
    of = metrics.rankings([keys(*c[0]) for c in cases], [keys(*c[1]) for c in cases], 12)
    for row, (ranked, truth) in enumerate(cases):
        gain = sum(1 / math.log2(place + 2) for place, key in enumerate(ranked[:k]) if key in truth)
        ideal = sum(1 / math.log2(place + 2) for place in range(min(k, len(truth))))
        assert metrics.ndcg(of, k)[row] == pytest.approx(gain / ideal)
        found = len(truth & set(ranked[:k]))
        assert metrics.recall(of, k)[row] == pytest.approx(found / min(k, len(truth)))
        assert metrics.hit_rate(of, k)[row] == float(found > 0)


def test_a_perfect_list_scores_one() -> None:
    of = metrics.rankings([keys(3, 1, 2, 9)], [keys(1, 2, 3)], 4)
    assert metrics.ndcg(of, 4)[0] == pytest.approx(1)
    assert metrics.recall(of, 4)[0] == 1
