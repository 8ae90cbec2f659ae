"""Mixing: the best k candidates, kept from being all of one kind."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.blending.content import Content, Mask
from snowmelt.contracts.errors import Reason, SnowmeltError

Order = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Diversity:
    """How a slate is mixed; the default leaves the order alone.

    Attributes:
        max_per_category: so many items of one main category at most, while others are left; 0: any number.
        relevance: weight of the score, 0 to 1, against unlikeness of the categories to those already chosen
            (maximal marginal relevance, Carbonell and Goldstein 1998); 1: the score alone.
    """

    max_per_category: int = 0
    relevance: float = 1.0

    def __post_init__(self) -> None:
        if self.max_per_category < 0 or not 0 <= self.relevance <= 1:
            detail = "max_per_category is at least 0, relevance is 0 to 1"
            raise SnowmeltError(Reason.INVALID_FIELD, detail, field="diversity")


def select(scores: npt.NDArray[np.float32], allowed: Mask, content: Content, k: int, diversity: Diversity) -> Order:
    """int64[<= k]: rows of the slate in order; equal scores in the candidates' own order."""
    rows = np.flatnonzero(allowed)
    order = rows[np.argsort(-scores[rows], kind="stable")]
    if diversity.relevance < 1:
        order = _marginal(order, scores, content, k, diversity.relevance)
    if diversity.max_per_category:
        order = _capped(order, content, k, diversity.max_per_category)
    return order[:k]


def _marginal(order: Order, scores: npt.NDArray[np.float32], content: Content, k: int, relevance: float) -> Order:
    """The order with its first k chosen one by one, each the best by score and unlikeness to those before it."""
    best = scores[order].astype(np.float64)
    spread = np.ptp(best) if len(best) else 0.0
    value = relevance * ((best - best.min()) / spread if spread > 0 else np.zeros(len(best)))
    sets = content.incidence()[order]
    sizes = sets.sum(axis=1)
    likeness = np.zeros(len(order))
    left = np.ones(len(order), np.bool_)
    chosen: list[int] = []
    for _ in range(min(k, len(order))):
        place = int(np.argmax(np.where(left, value - (1 - relevance) * likeness, -np.inf)))
        chosen.append(place)
        left[place] = False
        shared = sets @ sets[place]
        either = sizes + sizes[place] - shared
        likeness = np.maximum(likeness, np.divide(shared, either, out=np.zeros_like(shared), where=either > 0))
    return np.concatenate([order[chosen], order[left]]).astype(np.int64)


def _capped(order: Order, content: Content, k: int, most: int) -> Order:
    """The order without what is over the cap; that follows at its end, so that a slate is not cut short."""
    counts: dict[str, int] = {}
    kept: list[int] = []
    over: list[int] = []
    for row in order.tolist():
        main = content.categories[row][0] if content.categories[row] else ""
        full = bool(main) and counts.get(main, 0) >= most
        (over if full else kept).append(row)
        counts[main] = counts.get(main, 0) + 1
        if len(kept) == k:
            break
    return np.array([*kept, *over], np.int64)
