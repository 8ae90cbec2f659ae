"""What the gateway would answer, without any door: the same retrieval, ranking and blending over a past."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from snowmelt.blending import Content, Rules, blend
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.ranking.ranker import Ranker
from snowmelt.releases.layout import RANKER, RETRIEVAL
from snowmelt.releases.opened import assembler
from snowmelt.retrieval import RetrievalQuery, RetrievalTables, Retriever
from snowmelt.training.past import Past


@dataclass(frozen=True)
class Answered:
    """One slate: ids and scores of its items, best first."""

    item_ids: tuple[str, ...]
    scores: tuple[float, ...]


def offline_recommend(
    past: Past, release: Path, entities: Sequence[str], as_of_ms: int, *, k: int = 10, candidates: int = 500
) -> list[Answered]:
    """The slates of users at one instant from a verified release's folder; equal to the gateway's at that instant.

    Raises:
        SnowmeltError: RELEASE_INVALID, FEATURES_MISMATCH.
    """
    items = past.items(as_of_ms)
    retriever = Retriever(RetrievalTables.load(release / RETRIEVAL), items)
    artefact = RankerArtefact.load(release / RANKER)
    ranker = Ranker(artefact.trees, artefact.features, assembler(past.views, items, retriever))
    columns = items.columns()
    slates = []
    for state in past.states(entities, np.full(len(entities), as_of_ms)):
        query = RetrievalQuery(state, max(candidates, k), as_of_ms, tenant=past.tenant)
        found, _ = retriever.retrieve(query)
        scores = ranker.rank(state, found, as_of_ms).scores
        content = Content.of(items, found.keys)
        places = blend(found, scores, k, content=content, as_of_ms=as_of_ms, rules=Rules(state.seen_keys))
        rows = items.rows(found.keys)
        slates.append(
            Answered(
                tuple(columns.ids[rows[place.row]] for place in places),
                tuple(float(scores[place.row]) for place in places),
            )
        )
    return slates
