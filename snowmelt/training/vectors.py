"""The retrieval tables of a release, built from interactions and content as of one instant."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

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
    items = _in_order(items, order)
    pairs = Interactions.of(interactions, items.keys, as_of_ms, config.history_limit)
    encoder = fit_encoder(items, config.content)
    contents = content_vectors(encoder, items)
    width = len(encoder.vocabulary)
    factors = item_factors(pairs, config.factors)
    share = evidence(np.bincount(pairs.items, minlength=len(items)), config.content)
    to_factors = content_map(contents, width, factors, share, config.content)
    known = sp.csr_matrix((contents.weights, contents.columns, contents.starts), shape=(len(items), width))
    vectors = (share[:, None] * factors + (1 - share[:, None]) * (known @ to_factors)).astype(np.float32)
    hashes = [content_hash(*parts) for parts in zip(items.titles, items.texts, items.categories, strict=True)]
    return RetrievalTables(
        keys=items.keys,
        content_hashes=np.array(hashes, np.uint64),
        item_vectors=vectors,
        evidence=share,
        gram=factors.T @ factors,
        content_map=to_factors,
        contents=contents,
        neighbours=item_neighbours(pairs, config.neighbours),
        fold_in=config.factors.fold_in,
        encoder=encoder,
        item_index=build_main(vectors),
    )


def _in_order(items: ItemColumns, order: npt.NDArray[np.int64]) -> ItemColumns:
    places = order.tolist()
    return ItemColumns(
        keys=items.keys[order],
        ids=[items.ids[p] for p in places],
        titles=[items.titles[p] for p in places],
        texts=[items.texts[p] for p in places],
        categories=[items.categories[p] for p in places],
        prices=items.prices[order],
        available_from_ms=items.available_from_ms[order],
        withdrawn=items.withdrawn[order],
    )
