"""What many chose lately: in the whole catalogue, and in the categories that the user prefers."""

import numpy as np

from snowmelt.retrieval.request import Request
from snowmelt.retrieval.sources.source import Answer


class PopularitySource:
    """Items by a count of the view item_stats; those nobody chose are not proposed."""

    def __init__(self, count: str) -> None:
        self._count = count

    def propose(self, request: Request) -> Answer:
        """The most chosen allowed items."""
        return Answer.best_of(request.counts(self._count), request)


class CategoryPopularitySource:
    """Items by the logarithm of a count, times the user's affinity to their categories."""

    def __init__(self, count: str, category_limit: int) -> None:
        self._count = count
        self._category_limit = category_limit

    def propose(self, request: Request) -> Answer:
        """The most chosen allowed items of the user's strongest categories; none for a user without any."""
        user, catalog = request.query.user, request.shelf.catalog
        total = user.category_weights.sum()
        if not total > 0:
            return Answer.nothing()
        strongest = np.lexsort((user.category_keys, -user.category_weights))[: self._category_limit]
        affinity = np.zeros(len(catalog), np.float32)
        for place in strongest:
            affinity[catalog.in_category(user.category_keys[place])] += user.category_weights[place] / total
        return Answer.best_of(affinity * np.log1p(request.counts(self._count)), request)
