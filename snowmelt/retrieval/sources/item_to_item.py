"""Neighbours of the user's recent items, summed with the weight of each recent item."""

import numpy as np

from snowmelt.retrieval.request import Request
from snowmelt.retrieval.sources.source import Answer
from snowmelt.retrieval.tables import RetrievalTables


class ItemToItemSource:
    """The item-to-item source; items newer than the release are unknown to it."""

    def __init__(self, tables: RetrievalTables, half_life_days: float) -> None:
        self._neighbours = tables.neighbours
        self._half_life_days = half_life_days

    def propose(self, request: Request) -> Answer:
        """The items that are most often near the user's recent ones; none for a user without known items."""
        shelf = request.shelf
        places = shelf.table_places[request.history]
        known = places >= 0
        if not known.any():
            return Answer.nothing()
        weights = request.recency_to_newest(self._half_life_days)[known]
        sums = self._neighbours.weighted_sum(places[known], weights, len(shelf.table_rows))
        scores = np.zeros(len(shelf.catalog), np.float32)
        on_shelf = shelf.table_rows >= 0
        scores[shelf.table_rows[on_shelf]] = sums[on_shelf]
        return Answer.best_of(scores, request)
