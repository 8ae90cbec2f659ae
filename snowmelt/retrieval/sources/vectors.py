"""Nearest item vectors to the user's vector, which is folded in from the recent items at request time."""

import numpy as np

from snowmelt.retrieval.request import Request
from snowmelt.retrieval.sources.source import Answer
from snowmelt.retrieval.tables import FoldIn, RetrievalTables
from snowmelt.retrieval.text import Vectors


def fold_in(vectors: Vectors, weights: Vectors, gram: Vectors, settings: FoldIn) -> Vectors:
    """float32[d]: a user's vector from the vectors float32[h, d] of items with weights float32[h].

    Solves (gram + sum c v v' + regularisation) u = sum (1 + c) v, where c = confidence * weight: the user's step of
    implicit ALS (Hu, Koren, Volinsky 2008).
    """
    confidences = settings.confidence * weights.astype(np.float64)
    wide = vectors.astype(np.float64)
    system = gram + (wide.T * confidences) @ wide
    system[np.diag_indices_from(system)] += settings.regularisation
    return np.linalg.solve(system, (1 + confidences) @ wide).astype(np.float32)


class VectorSource:
    """The FAISS source."""

    def __init__(self, tables: RetrievalTables, half_life_days: float) -> None:
        self._gram = tables.gram
        self._fold_in = tables.fold_in
        self._half_life_days = half_life_days

    def propose(self, request: Request) -> Answer:
        """The nearest allowed items; none for a user without known items."""
        if not len(request.history):
            return Answer.nothing()
        index = request.shelf.items
        weights = request.recency(self._half_life_days)
        user = fold_in(index.vectors(request.history), weights, self._gram, self._fold_in)
        return Answer(index.search(user, request.limit, request.allowed), lambda rows: index.scores(user, rows))
