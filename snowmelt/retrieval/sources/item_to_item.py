"""Neighbours of the user's recent items, summed with the weight of each recent item."""

import numpy as np

from snowmelt.retrieval.request import Request
from snowmelt.retrieval.sources.source import Answer
from snowmelt.retrieval.tables import RetrievalTables


class ItemToItemSource:
    """The item-to-item source; items newer than the release are unknown to it."""

    def __init__(self, tables: RetrievalTables) -> None:
        self._neighbours = tables.neighbours

    def propose(self, request: Request) -> Answer:
        """The items that are most often near the user's recent ones; none for a user without known items."""
        places = request.shelf.table_places[request.history]
        known = places >= 0
        if not known.any():
            return Answer.nothing()
        near = self._neighbours
        starts = near.starts[places[known]]
        lengths = near.starts[places[known] + 1] - starts
        ends = np.cumsum(lengths)
        entries = np.arange(ends[-1]) + np.repeat(starts - ends + lengths, lengths)
        weights = near.weights[entries] * np.repeat(request.history_weights[known], lengths)
        sums = np.bincount(near.items[entries], weights, len(request.shelf.table_rows)).astype(np.float32)
        scores = np.zeros(len(request.shelf.catalog), np.float32)
        on_shelf = request.shelf.table_rows >= 0
        scores[request.shelf.table_rows[on_shelf]] = sums[on_shelf]
        return Answer.best_of(scores, request)
