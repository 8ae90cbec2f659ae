"""A query laid over the shelf: what may be proposed, and what the user did lately."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.items import Rows
from snowmelt.retrieval.catalog import Mask
from snowmelt.retrieval.query import RetrievalQuery
from snowmelt.retrieval.shelf import Shelf

Counts = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Request:
    """What each source is given.

    Attributes:
        allowed: bool[N], rows that may be proposed.
        history: int64[h], rows of the user's recent items, newest first.
        history_ages_days: float64[h], before the query's instant.
        limit: so many proposals at most.
        counts: float32[N] of a feature of item_stats by its name.
    """

    shelf: Shelf
    query: RetrievalQuery
    allowed: Mask
    history: Rows
    history_ages_days: npt.NDArray[np.float64]
    limit: int
    counts: Callable[[str], Counts]

    @classmethod
    def of(cls, query: RetrievalQuery, shelf: Shelf, counts: Callable[[str], Counts]) -> "Request":
        """The request of a query."""
        user, catalog = query.user, shelf.catalog
        without = (query.exclude_keys,) if query.include_seen else (query.exclude_keys, user.seen_keys)
        rows = catalog.rows(user.recent_keys)
        known = rows >= 0
        times = user.recent_times_ms[known]
        ages_days = np.maximum(query.as_of_ms - times, 0) / DAY_MS
        return cls(
            shelf,
            query,
            catalog.allowed(query.as_of_ms, query.category_keys, without),
            rows[known],
            ages_days,
            query.limit,
            counts,
        )

    def recency(self, half_life_days: float) -> Counts:
        """float32[h]: 1 for an item of this instant, halved each half-life before."""
        return np.exp2(-self.history_ages_days / half_life_days).astype(np.float32)

    def recency_to_newest(self, half_life_days: float) -> Counts:
        """float32[h]: 1 for the user's newest item, halved each half-life before: never all 0, however long ago."""
        newest = self.history_ages_days.min(initial=np.inf)
        weights: Counts = np.exp2((newest - self.history_ages_days) / half_life_days).astype(np.float32)
        return weights
