"""Which columns the ranker reads, by name and in order: a function of the compiled views and the candidate sources."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from snowmelt.features.feature_list import FeatureList
from snowmelt.features.user import user_numbers
from snowmelt.features.views import CompiledViews

ITEM_STATS = "item_stats"
CANDIDATE = ("candidate.place", "candidate.sources")
ITEM = ("item.price", "item.age_days")
USER = ("user.recent_items", "user.days_since_last", "user.price_level")
CROSSES = (
    "cross.category_affinity",
    "cross.category_affinity_max",
    "cross.log_price_ratio",
    "cross.similarity_mean",
    "cross.similarity_max",
    "cross.days_since_most_similar",
)


@dataclass(frozen=True)
class RankingSchema:
    """The parts that the columns are made of.

    Attributes:
        sources: names of the candidate sources, in retrieval's order.
        statistics: every scalar feature of the view item_stats, sorted: a new one gets a column without code.
        event_types: the declared types, in order of their codes.
        numbers: scalar features of the view user_profile that the columns above do not have, sorted; as ``statistics``.
    """

    sources: tuple[str, ...]
    statistics: tuple[str, ...]
    event_types: tuple[str, ...]
    numbers: tuple[str, ...] = ()

    @classmethod
    def of(cls, views: CompiledViews, sources: Sequence[str]) -> "RankingSchema":
        """The schema that the compiled views and the names of the sources give."""
        return cls(tuple(sources), views.views[ITEM_STATS].scalars, views.event_types, user_numbers(views))

    @cached_property
    def features(self) -> FeatureList:
        """The columns, in order."""
        return FeatureList(
            [
                *CANDIDATE,
                *(f"source.{name}.score" for name in self.sources),
                *(f"source.{name}.rank" for name in self.sources),
                *(f"item.{name}" for name in self.statistics),
                *ITEM,
                *(f"user.count.{name}" for name in self.event_types),
                *USER,
                *(f"user.{name}" for name in self.numbers),
                *CROSSES,
            ]
        )
