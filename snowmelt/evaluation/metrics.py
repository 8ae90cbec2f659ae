"""Ranking metrics over q queries whose best n items are known to be relevant or not; binary relevance."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys

Hits = npt.NDArray[np.bool_]
PerQuery = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Rankings:
    """What a method answered to q queries.

    Attributes:
        keys: uint64[q, n], best first; 0 where it had fewer than n.
        hits: bool[q, n], whether that item is relevant.
        relevant: int64[q], how many relevant items there are, at least 1.
    """

    keys: npt.NDArray[np.uint64]
    hits: Hits
    relevant: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.relevant)


def rankings(lists: list[Keys], truths: list[Keys], n: int) -> Rankings:
    """Compares the first ``n`` of each list with the relevant items of its query."""
    keys = np.zeros((len(lists), n), np.uint64)
    hits = np.zeros((len(lists), n), bool)
    for row, (found, truth) in enumerate(zip(lists, truths, strict=True)):
        best = found[:n]
        keys[row, : len(best)] = best
        hits[row, : len(best)] = np.isin(best, truth)
    return Rankings(keys, hits, np.array([len(t) for t in truths], np.int64))


def ndcg(of: Rankings, k: int) -> PerQuery:
    """float64[q]: discounted gain of the first k, over that of an ideal list (Järvelin and Kekäläinen, 2002)."""
    discounts = 1 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate(([0.0], np.cumsum(discounts)))
    gains: PerQuery = of.hits[:, :k] @ discounts[: of.hits.shape[1]]
    return gains / ideal[np.minimum(of.relevant, k)]


def recall(of: Rankings, k: int) -> PerQuery:
    """float64[q]: the share of relevant items found among the first k, of min(k, relevant) that could be."""
    return np.asarray(of.hits[:, :k].sum(axis=1) / np.minimum(of.relevant, k), np.float64)


def hit_rate(of: Rankings, k: int) -> PerQuery:
    """float64[q]: 1 where a relevant item is among the first k."""
    return np.asarray(of.hits[:, :k].any(axis=1), np.float64)


def coverage(of: Rankings, k: int, items: int) -> float:
    """The share of ``items`` that stands among the first k of any query."""
    shown = np.unique(of.keys[:, :k])
    return float(np.count_nonzero(shown) / items)
