"""The best of many by score, always in the same order: equal scores by row."""

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.items import Rows


def best_rows(scores: npt.NDArray[np.float32], rows: Rows, limit: int) -> npt.NDArray[np.int64]:
    """Places int64[<= limit] of the best of n scores, best first; equal scores by their row, also at the cut."""
    count = len(scores)
    if count > limit:
        cut = np.partition(scores, count - limit)[count - limit]
        places = np.flatnonzero(scores >= cut)
    else:
        places = np.arange(count)
    return places[np.lexsort((rows[places], -scores[places]))][:limit]


def first_allowed(order: Rows, allowed: npt.NDArray[np.bool_], limit: int) -> Rows:
    """The first ``limit`` rows of ``order`` int64[N] that bool[N] ``allowed`` lets through."""
    taken: list[Rows] = []
    missing, start, size = limit, 0, max(4 * limit, 1024)
    while missing > 0 and start < len(order):
        part = order[start : start + size]
        found = part[allowed[part]][:missing]
        taken.append(found)
        missing -= len(found)
        start += size
        size *= 2
    return np.concatenate(taken) if taken else np.empty(0, np.int64)
