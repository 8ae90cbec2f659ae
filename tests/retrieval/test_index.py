"""FAISS with its small part and tombstones, against plain arithmetic."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snowmelt.retrieval.contents import ContentIndex
from snowmelt.retrieval.index import VectorIndex, build_main
from snowmelt.retrieval.layout import Layout
from snowmelt.retrieval.spans import SparseRows


@st.composite
def layouts(draw: st.DrawFn) -> tuple[Layout, int, int, np.random.Generator]:
    """T main places of which some are in no catalogue, fresh rows that replace some of them, rows with no vector."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    main, rows = draw(st.integers(1, 30)), draw(st.integers(1, 40))
    main_rows = np.full(main, -1, np.int64)
    known = random.permutation(rows)[: draw(st.integers(0, min(main, rows)))]
    main_rows[random.permutation(main)[: len(known)]] = known
    fresh_rows = np.sort(random.permutation(rows)[: draw(st.integers(0, rows))]).astype(np.int64)
    return Layout.of(main_rows, fresh_rows, rows), main, rows, random


def expected_vectors(layout: Layout, old: np.ndarray, new: np.ndarray) -> np.ndarray:
    """Row by row: the fresh vector, else the main one, else NaN."""
    vectors = np.full((len(layout), old.shape[1]), np.nan, np.float32)
    for place, row in enumerate(layout.main_rows.tolist()):
        if row >= 0:
            vectors[row] = old[place]
    for place, row in enumerate(layout.fresh_rows.tolist()):
        vectors[row] = new[place]
    return vectors


@given(layouts(), st.integers(1, 50))
def test_search_equals_brute_force(drawn: tuple[Layout, int, int, np.random.Generator], limit: int) -> None:
    layout, main, rows, random = drawn
    old = random.normal(size=(main, 6)).astype(np.float32)
    new = random.normal(size=(len(layout.fresh_rows), 6)).astype(np.float32)
    query = random.normal(size=6).astype(np.float32)
    allowed = random.random(rows) < 0.7
    index = VectorIndex(build_main(old), old, new, layout)

    scores = expected_vectors(layout, old, new) @ query
    open_to = np.flatnonzero(allowed & ~np.isnan(scores))
    best = open_to[np.argsort(-scores[open_to], kind="stable")][:limit]

    found = index.search(query, limit, allowed)
    assert found.rows.tolist() == best.tolist()
    np.testing.assert_allclose(found.scores, scores[best], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(index.scores(query, best), scores[best], rtol=1e-5, atol=1e-6)


@given(layouts())
def test_content_scores_equal_brute_force(drawn: tuple[Layout, int, int, np.random.Generator]) -> None:
    layout, main, rows, random = drawn
    old = (random.random((main, 9)) * (random.random((main, 9)) < 0.3)).astype(np.float32)
    new = (random.random((len(layout.fresh_rows), 9)) * (random.random((len(layout.fresh_rows), 9)) < 0.3)).astype(
        np.float32
    )
    index = ContentIndex(9, sparse(old), sparse(old).transposed(9), sparse(new), layout)
    dense = np.nan_to_num(expected_vectors(layout, old, new))
    history = random.permutation(rows)[:5].astype(np.int64)
    weights = random.random(len(history)).astype(np.float32)
    expected = dense @ (dense[history].T @ weights)
    np.testing.assert_allclose(index.scores(index.taste(history, weights)), expected, rtol=1e-4, atol=1e-6)


def sparse(dense: np.ndarray) -> SparseRows:
    return SparseRows.of([(np.flatnonzero(row), row[np.flatnonzero(row)]) for row in dense])


def test_cells_find_nearly_all_that_a_full_search_finds() -> None:
    random = np.random.default_rng(3)
    centres = random.normal(size=(40, 16))
    vectors = (centres[random.integers(0, 40, 4000)] + 0.3 * random.normal(size=(4000, 16))).astype(np.float32)
    layout = Layout.of(np.arange(4000), np.empty(0, np.int64), 4000)
    allowed = random.random(4000) < 0.8
    nothing = np.empty((0, 16), np.float32)
    full = VectorIndex(build_main(vectors), vectors, nothing, layout)
    cells = VectorIndex(build_main(vectors, exact_limit=100), vectors, nothing, layout)
    share = []
    for query in vectors[:50]:
        exact = full.search(query, 20, allowed).rows
        near = cells.search(query, 20, allowed).rows
        assert allowed[near].all()
        share.append(np.isin(exact, near).mean())
    assert np.mean(share) >= 0.9


@pytest.mark.parametrize("rows", [[], [0], [2, 0, 2], [1, 3]])
def test_sparse_rows_sum_with_weights(rows: list[int]) -> None:
    dense = np.array([[0, 1, 2], [0, 0, 0], [3, 0, 0], [0, 4, 0]], np.float32)
    weights = np.arange(1, len(rows) + 1, dtype=np.float32)
    total = sparse(dense).weighted_sum(np.array(rows, np.int64), weights, 3)
    np.testing.assert_array_equal(total, weights @ dense[rows] if rows else np.zeros(3))
