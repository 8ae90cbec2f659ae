"""Item factors from interactions: implicit ALS with confidences that fade with age."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from snowmelt.retrieval import FoldIn
from snowmelt.retrieval.text import Vectors
from snowmelt.training.vectors_interactions import Interactions


@dataclass(frozen=True)
class FactorsConfig:
    """How items are factorised.

    Attributes:
        dimensions: d.
        half_life_days: how fast the confidence of a pair fades.
        confidence: of a pair just now, on top of the 1 that every pair has.
        regularisation: on the diagonal of each least-squares step.
        iterations: sweeps over users and items.
        seed: of the first item factors.
    """

    dimensions: int = 64
    half_life_days: float = 20.0
    confidence: float = 10.0
    regularisation: float = 40.0
    iterations: int = 10
    seed: int = 0

    @property
    def fold_in(self) -> FoldIn:
        """The user's step, as retrieval repeats it."""
        return FoldIn(self.confidence, self.regularisation)


def item_factors(interactions: Interactions, config: FactorsConfig) -> Vectors:
    """float32[T, d]: factors of the items; zeros for items without interactions."""
    weights = config.confidence * interactions.recency(config.half_life_days)
    shape = (interactions.user_count, interactions.item_count)
    by_user = sp.csr_matrix((weights.astype(np.float32), (interactions.users, interactions.items)), shape=shape)
    by_item = by_user.T.tocsr()
    random = np.random.default_rng(config.seed)
    items = random.normal(0, 0.1, (shape[1], config.dimensions)).astype(np.float32)
    items[np.diff(by_item.indptr) == 0] = 0
    for _ in range(config.iterations):
        users = _solve(by_user, items, config.regularisation)
        items = _solve(by_item, users, config.regularisation)
    return items


def _solve(confidences: sp.csr_matrix, others: Vectors, regularisation: float) -> Vectors:
    """The least-squares step of each row, given the factors of the columns."""
    dimensions = others.shape[1]
    shared = others.T @ others + regularisation * np.eye(dimensions, dtype=np.float32)
    solved = np.zeros((confidences.shape[0], dimensions), np.float32)
    starts = confidences.indptr
    for row in np.flatnonzero(np.diff(starts)).tolist():
        entries = slice(starts[row], starts[row + 1])
        mine = others[confidences.indices[entries]]
        weights = confidences.data[entries]
        solved[row] = np.linalg.solve(shared + (mine.T * weights) @ mine, (1 + weights) @ mine)
    return solved
