import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmelt.contracts.errors import SnowmeltError
from snowmelt.retrieval import RetrievalConfig, SourceConfig
from snowmelt.retrieval.merge import Proposal, merge
from snowmelt.retrieval.topk import best_rows, first_allowed


def proposal(*rows: int) -> Proposal:
    return Proposal(np.array(rows, np.int64), np.linspace(1, 0.1, len(rows)).astype(np.float32))


@pytest.mark.parametrize(
    ("lists", "quotas", "weights", "limit", "expected"),
    [
        ([(1, 2, 3)], [0], [1.0], 2, [1, 2]),
        ([(), ()], [1, 1], [1.0, 1.0], 5, []),
        ([(1, 2), (2, 1)], [0, 0], [1.0, 1.0], 5, [1, 2]),  # equal sums: by row
        ([(1, 2, 3), (3, 2, 9)], [0, 0], [1.0, 1.0], 1, [3]),  # first and third beat second twice
        ([(1, 2, 3), (9,)], [0, 1], [1.0, 0.0], 2, [1, 9]),  # a quota without weight: kept, and last
        ([(1, 2, 3), (9,)], [0, 0], [1.0, 0.0], 2, [1, 2]),  # no quota: cut
    ],
)
def test_merge_table(
    lists: list[tuple[int, ...]], quotas: list[int], weights: list[float], limit: int, expected: list[int]
) -> None:
    merged = merge([proposal(*rows) for rows in lists], quotas, weights, fusion_rank=1, limit=limit, row_count=10)
    assert merged.rows.tolist() == expected


lists_of_rows = st.lists(st.lists(st.integers(0, 60), unique=True, max_size=30), min_size=1, max_size=5)


@given(lists_of_rows, st.integers(1, 40), st.data())
def test_merge_keeps_its_word(lists: list[list[int]], limit: int, data: st.DataObject) -> None:
    shares = data.draw(st.lists(st.integers(0, limit // len(lists)), min_size=len(lists), max_size=len(lists)))
    weights = data.draw(st.lists(st.floats(0, 3), min_size=len(lists), max_size=len(lists)))
    merged = merge([proposal(*rows) for rows in lists], shares, weights, fusion_rank=10, limit=limit, row_count=61)
    union = {row for rows in lists for row in rows}
    assert len(merged.rows) == min(limit, len(union))
    assert len(set(merged.rows.tolist())) == len(merged.rows)
    for source, rows in enumerate(lists):
        assert set(rows[: shares[source]]) <= set(merged.rows.tolist())
        by_row = {row: rank for rank, row in enumerate(rows, start=1)}
        assert [by_row.get(row, 0) for row in merged.rows.tolist()] == merged.ranks[:, source].tolist()
    fused = np.sum(np.where(merged.ranks > 0, np.array(weights) / (10 + merged.ranks.astype(float)), 0), axis=1)
    assert np.all(np.diff(fused) <= 1e-12)


@given(st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0]), max_size=40), st.integers(1, 20))
def test_best_rows_breaks_ties_by_row_also_at_the_cut(values: list[float], limit: int) -> None:
    scores = np.array(values, np.float32)
    rows = np.random.default_rng(len(values)).permutation(len(values)).astype(np.int64)
    order = sorted(range(len(values)), key=lambda p: (-values[p], rows[p]))
    assert best_rows(scores, rows, limit).tolist() == order[:limit]


@given(st.lists(st.booleans(), max_size=50), st.integers(1, 60))
def test_first_allowed_is_the_filtered_order(flags: list[bool], limit: int) -> None:
    order = np.random.default_rng(7).permutation(len(flags)).astype(np.int64)
    allowed = np.array(flags, np.bool_)
    assert first_allowed(order, allowed, limit).tolist() == [r for r in order.tolist() if flags[r]][:limit]


def test_first_allowed_looks_beyond_its_first_part() -> None:
    allowed = np.zeros(10_000, np.bool_)
    allowed[-3:] = True
    assert first_allowed(np.arange(10_000), allowed, 2).tolist() == [9997, 9998]


@pytest.mark.parametrize(
    "sources",
    [
        (),
        (SourceConfig("vectors", 0.1, 1.0), SourceConfig("vectors", 0.1, 1.0)),
        (SourceConfig("vectors", 0.6, 1.0), SourceConfig("new_items", 0.6, 1.0)),
        (SourceConfig("vectors", -0.1, 1.0),),
        (SourceConfig("vectors", 0.1, -1.0),),
    ],
)
def test_config_refuses(sources: tuple[SourceConfig, ...]) -> None:
    with pytest.raises(SnowmeltError, match=r"quotas|once"):
        RetrievalConfig(sources=sources)
