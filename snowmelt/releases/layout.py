"""The folders of a release, and the columns that one must have been trained on."""

from snowmelt.features.views import CompiledViews
from snowmelt.ranking.schema import RankingSchema
from snowmelt.retrieval.config import RetrievalConfig

RANKER = "ranker"
RETRIEVAL = "retrieval"


def ranking_schema(views: CompiledViews) -> RankingSchema:
    """What is made here to be ranked by; a release that was trained on other columns is refused."""
    return RankingSchema.of(views, [source.name for source in RetrievalConfig().sources])
