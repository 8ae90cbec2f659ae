"""How retrieval is tuned: each source's quota and weight, half-lives, what counts as popular."""

from dataclasses import dataclass

from snowmelt.contracts.errors import Reason, SnowmeltError

VECTORS = "vectors"
ITEM_TO_ITEM = "item_to_item"
POPULARITY_7D = "popularity_7d"
POPULARITY_28D = "popularity_28d"
POPULARITY_CATEGORY_7D = "popularity_category_7d"
POPULARITY_CATEGORY_28D = "popularity_category_28d"
NEW_ITEMS = "new_items"
CONTENT_NEIGHBOURS = "content_neighbours"


@dataclass(frozen=True)
class SourceConfig:
    """One source's part in the merge.

    Attributes:
        quota: share of the limit that the source's best proposals are sure of, 0 to 1.
        weight: of its ranks in the fused order; 0 leaves the order to the others.
    """

    name: str
    quota: float
    weight: float


DEFAULT_SOURCES = (
    SourceConfig(VECTORS, quota=0.2, weight=1.0),
    SourceConfig(ITEM_TO_ITEM, quota=0.25, weight=1.0),
    SourceConfig(POPULARITY_7D, quota=0.1, weight=0.1),
    SourceConfig(POPULARITY_28D, quota=0.05, weight=0.1),
    SourceConfig(POPULARITY_CATEGORY_7D, quota=0.05, weight=0.1),
    SourceConfig(POPULARITY_CATEGORY_28D, quota=0.05, weight=0.1),
    SourceConfig(NEW_ITEMS, quota=0.05, weight=0.1),
    SourceConfig(CONTENT_NEIGHBOURS, quota=0.1, weight=0.4),
)


@dataclass(frozen=True)
class RetrievalConfig:
    """Tuning of one retriever.

    Attributes:
        sources: which sources run, in the order in which their columns stand in the candidates.
        count_7d, count_28d: the features of the view item_stats that popularity ranks by.
        popularity_tile_ms: popularity is finished at the last multiple of this before the request's instant, once.
        history_half_life_days: how fast a user's recent items lose weight.
        category_limit: so many of the user's strongest categories count for popularity within categories.
        content_items: content neighbours are those of the user's last so many items.
        new_half_life_days: the score of a new item halves in this time.
        fusion_rank: the k of reciprocal-rank fusion, weight / (k + rank).
    """

    sources: tuple[SourceConfig, ...] = DEFAULT_SOURCES
    count_7d: str = "interactions_7d"
    count_28d: str = "interactions_28d"
    popularity_tile_ms: int = 10_000
    history_half_life_days: float = 30.0
    category_limit: int = 8
    content_items: int = 50
    new_half_life_days: float = 14.0
    fusion_rank: int = 60

    def __post_init__(self) -> None:
        names = [source.name for source in self.sources]
        if not names or len(set(names)) != len(names):
            raise SnowmeltError(Reason.INVALID_FIELD, "name each source once, and at least one", field="sources")
        if any(not 0 <= s.quota <= 1 or s.weight < 0 for s in self.sources) or sum(s.quota for s in self.sources) > 1:
            detail = "quotas are shares of 0 to 1 that add up to at most 1, weights are not negative"
            raise SnowmeltError(Reason.INVALID_FIELD, detail, field="sources")
