"""The baselines that a recommender must beat: the items chosen most often lately, without what the user has."""

import numpy as np

from snowmelt.contracts.ids import Keys
from snowmelt.training.interactions import Interactions


def most_popular(past: Interactions, as_of_ms: int, window_ms: int | None) -> Keys:
    """uint64[m]: the items chosen in the window before ``as_of_ms`` (None: ever), most often first, equals by key."""
    start = -1 if window_ms is None else as_of_ms - window_ms
    keys, counts = np.unique(past.between(start, as_of_ms).keys, return_counts=True)
    return keys[np.lexsort((keys, -counts))]


def without(keys: Keys, seen: Keys, n: int) -> Keys:
    """The first ``n`` of the keys that are not in ``seen``."""
    head = keys[: n + len(seen)]
    return head[~np.isin(head, seen)][:n]
