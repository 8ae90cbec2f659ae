"""A query laid over the shelf: what may be proposed, and what the user did lately."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.items import Rows
from snowmelt.retrieval.catalog import Mask
from snowmelt.retrieval.config import RetrievalConfig
from snowmelt.retrieval.query import RetrievalQuery
from snowmelt.retrieval.shelf import Shelf

DAY_MS = 86_400_000
Counts = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Request:
    """What each source is given.

    Attributes:
        allowed: bool[N], rows that may be proposed.
        history: int64[h], rows of the user's recent items, newest first.
        history_weights: float32[h], 1 for the newest item's time, halved each half-life before it.
        limit: so many proposals at most.
        counts: float32[N] of a feature of item_stats by its name.
    """

    shelf: Shelf
    query: RetrievalQuery
    allowed: Mask
    history: Rows
    history_weights: Counts
    limit: int
    counts: Callable[[str], Counts]

    @classmethod
    def of(
        cls, query: RetrievalQuery, shelf: Shelf, counts: Callable[[str], Counts], config: RetrievalConfig
    ) -> "Request":
        """The request of a query."""
        user, catalog = query.user, shelf.catalog
        without = (query.exclude_keys,) if query.include_seen else (query.exclude_keys, user.seen_keys)
        rows = catalog.rows(user.recent_keys)
        known = rows >= 0
        times = user.recent_times_ms[known]
        age_days = (times.max(initial=0) - times) / DAY_MS
        return cls(
            shelf,
            query,
            catalog.allowed(query.as_of_ms, query.category_keys, without),
            rows[known],
            np.exp2(-age_days / config.history_half_life_days).astype(np.float32),
            query.limit,
            counts,
        )
