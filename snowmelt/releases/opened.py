"""A release opened for ranking: the one place where its two halves are put over live items."""

from pathlib import Path

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.items import ItemSource
from snowmelt.features.views import CompiledViews
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.ranking.assemble import FeatureAssembler
from snowmelt.ranking.ranker import Ranker
from snowmelt.releases.layout import RANKER, RETRIEVAL, ranking_schema
from snowmelt.releases.manifest import Manifest
from snowmelt.releases.similarity import ContentSimilarity
from snowmelt.retrieval import RetrievalTables, Retriever


def assembler(views: CompiledViews, items: ItemSource, retriever: Retriever) -> FeatureAssembler:
    """Feature assembly over live or offline items, with the retriever's content vectors."""
    return FeatureAssembler(ranking_schema(views), items, ContentSimilarity(retriever))


def check_meaning(manifest: Manifest, views: CompiledViews) -> None:
    """Refuses a release whose trees learned from other features than these, or from others of the same names.

    Raises:
        SnowmeltError: FEATURES_MISMATCH.
    """
    if not manifest.is_of(views):
        detail = (
            f"the release was trained on the feature views {manifest.origin.views_hash[:12]}, the live ones are "
            f"{views.values_hash[:12]}: train again (`snowmelt train`)"
        )
        raise SnowmeltError(Reason.FEATURES_MISMATCH, detail)


def open_ranker(folder: Path, views: CompiledViews, items: ItemSource) -> Ranker:
    """The ranker of a verified release of these views, warm: it has scored its golden rows here, too.

    Raises:
        SnowmeltError: RELEASE_INVALID; FEATURES_MISMATCH where it was trained on other features than are made here.
    """
    retriever = Retriever(RetrievalTables.load(folder / RETRIEVAL), items)
    artefact = RankerArtefact.load(folder / RANKER)
    artefact.check_golden(folder / RANKER)
    return Ranker(artefact.trees, artefact.features, assembler(views, items, retriever))
