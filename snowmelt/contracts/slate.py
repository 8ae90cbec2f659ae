"""A slate: the items of one answer, in order, each with where it came from and why it is there."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SourceHit:
    """A candidate source that proposed an item; ``rank`` counts from 1."""

    source: str
    rank: int
    score: float


@dataclass(frozen=True)
class SlateItem:
    """One place of a slate. ``propensity`` is the probability with which the item was shown there."""

    key: int
    item_id: str
    position: int
    score: float
    sources: tuple[SourceHit, ...]
    reason: str
    propensity: float = 1.0


RUNG_FULL = "full"
RUNG_RETRIEVAL_ORDER = "retrieval_order"
RUNG_POPULARITY = "popularity"
