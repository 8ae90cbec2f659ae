"""Item-to-item neighbours: BM25 over what users took together, weighing what was taken lately as a target."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from snowmelt.retrieval import SparseRows
from snowmelt.training.vectors_interactions import Interactions

BLOCK = 2048
"""So many items' neighbours are held in full at a time."""

Places = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class NeighboursConfig:
    """How neighbours are weighed.

    Attributes:
        limit: M, neighbours kept of each item.
        half_life_days: how fast a pair loses weight as a target.
        source_half_life_days: how fast as a source.
        k1, b: BM25's saturation and length normalisation; the length is a user's number of items.
    """

    limit: int = 200
    half_life_days: float = 10.0
    source_half_life_days: float = 60.0
    k1: float = 100.0
    b: float = 0.8


def item_neighbours(interactions: Interactions, config: NeighboursConfig) -> SparseRows:
    """The top M neighbours of each of T items: weight = sum over users of source weight times recent target weight."""
    source, target = _weights(interactions, config)
    near = []
    for start in range(0, interactions.item_count, BLOCK):
        block = (source[start : start + BLOCK] @ target).tocsr()
        for row in range(block.shape[0]):
            entries = slice(block.indptr[row], block.indptr[row + 1])
            near.append(_top(block.indices[entries], block.data[entries], start + row, config.limit))
    return SparseRows.of(near)


def _weights(interactions: Interactions, config: NeighboursConfig) -> tuple[sp.csr_matrix, sp.csr_matrix]:
    """Sources float64[T, U] and targets float64[U, T]."""
    users, items = interactions.users, interactions.items
    shape = (interactions.user_count, interactions.item_count)
    lengths = np.bincount(users, minlength=shape[0])
    active = max(int(np.count_nonzero(lengths)), 1)
    mean_length = max(len(users) / active, 1.0)
    frequency = np.bincount(items, minlength=shape[1])
    idf = np.log1p((active - frequency + 0.5) / (frequency + 0.5))
    norm = 1 - config.b + config.b * lengths[users] / mean_length
    often = (config.k1 + 1) * interactions.counts / (interactions.counts + config.k1 * norm)
    from_source = often * idf[items] * interactions.recency(config.source_half_life_days)
    # As a target a pair counts once: what one buys again and again is not what is recommended next.
    to_target = (config.k1 + 1) / (1 + config.k1 * norm) * interactions.recency(config.half_life_days)
    source = sp.csr_matrix((from_source, (items, users)), shape=shape[::-1])
    target = sp.csr_matrix((to_target, (users, items)), shape=shape)
    return source, target


def _top(items: Places, weights: Weights, itself: int, limit: int) -> tuple[Places, Weights]:
    """The heaviest neighbours but the item itself; equal weights by place."""
    others = items != itself
    items, weights = items[others], weights[others]
    if len(items) > limit:
        cut = np.partition(weights, len(weights) - limit)[len(weights) - limit]
        heavy = weights >= cut
        items, weights = items[heavy], weights[heavy]
    order = np.lexsort((items, -weights))[:limit]
    return items[order], weights[order]
