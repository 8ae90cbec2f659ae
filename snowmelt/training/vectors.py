"""The retrieval tables of a release, built from interactions and content as of one instant."""

from dataclasses import dataclass, field

import numpy as np

from snowmelt.contracts.items import ItemColumns
from snowmelt.features.rows import Rows
from snowmelt.retrieval import RetrievalTables
from snowmelt.retrieval.index import build_main
from snowmelt.retrieval.text import content_hash
from snowmelt.training.neighbours import NeighboursConfig, item_neighbours
from snowmelt.training.vectors_content import (
    ContentConfig,
    content_map,
    content_vectors,
    evidence,
    fit_encoder,
)
from snowmelt.training.vectors_factors import FactorsConfig, item_factors
from snowmelt.training.vectors_interactions import Interactions


@dataclass(frozen=True)
class TablesConfig:
    """How the tables are built; ``history_limit``: of each user the newest so many items count."""

    history_limit: int = 1000
    neighbours: NeighboursConfig = field(default_factory=NeighboursConfig)
    factors: FactorsConfig = field(default_factory=FactorsConfig)
    content: ContentConfig = field(default_factory=ContentConfig)


def build_tables(
    interactions: Rows, items: ItemColumns, as_of_ms: int, config: TablesConfig | None = None
) -> RetrievalTables:
    """Tables over the catalogue's items from the interactions at or before an instant; the same input, the same tables.

    Impressions, which have no user, and items that are not in the catalogue are left out.
    """
    config = config or TablesConfig()
    order = np.argsort(items.keys, kind="stable")
    keys = items.keys[order]
    pairs = Interactions.of(interactions, keys, as_of_ms, config.history_limit)
    counts = np.bincount(pairs.items, minlength=len(keys))
    encoder = fit_encoder(items, config.content)
    contents = content_vectors(encoder, items)[order]
    factors = item_factors(pairs, config.factors)
    to_factors = content_map(contents, factors, counts, config.content)
    share = evidence(counts, config.content)
    vectors = share[:, None] * factors + (1 - share[:, None]) * (contents @ to_factors)
    hashes = [content_hash(items.titles[p], items.texts[p], items.categories[p]) for p in order.tolist()]
    return RetrievalTables(
        keys=keys,
        content_hashes=np.array(hashes, np.uint64),
        item_vectors=vectors,
        evidence=share,
        content_vectors=contents,
        gram=factors.T @ factors,
        content_map=to_factors,
        fold_in=config.factors.fold_in,
        encoder=encoder,
        neighbours=item_neighbours(pairs, config.neighbours),
        item_index=build_main(vectors),
        content_index=build_main(contents),
    )
