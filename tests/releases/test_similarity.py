"""Likeness by words against its definition, for items of the release and newer ones."""

from dataclasses import replace

import numpy as np
import pytest

from snowmelt.contracts.ids import item_keys
from snowmelt.releases.similarity import ContentSimilarity
from snowmelt.retrieval import Retriever
from tests.ranking.house import KEYS, Items
from tests.ranking.tables import small_tables


def test_likeness_is_the_product_of_the_vectors() -> None:
    items = Items({})
    tables = small_tables(items.columns())
    similarity = ContentSimilarity(Retriever(tables, items))
    items.rename(3, "red wooden lantern")
    added = item_keys("default", ["new"])
    old = items.content
    items.content = replace(
        old,
        keys=np.concatenate([old.keys, added]),
        ids=(*old.ids, "new"),
        titles=(*old.titles, "blue glass boat"),
        texts=(*old.texts, ""),
        categories=(*old.categories, ("home",)),
        prices=np.append(old.prices, 1.0),
        available_from_ms=np.append(old.available_from_ms, 0),
        withdrawn=np.append(old.withdrawn, False),
    )
    vectors = {}
    for place, key in enumerate(items.content.keys.tolist()):
        content = (items.content.titles[place], items.content.texts[place], items.content.categories[place])
        terms, weights = tables.encoder.encode(*content)
        vectors[key] = np.zeros(len(tables.encoder.vocabulary), np.float32)
        vectors[key][terms] = weights
    keys = np.concatenate([added, KEYS[[3, 0, 4]], np.array([99], np.uint64)])
    others = KEYS[[1, 2, 3]]
    found = similarity.between(keys, others)
    assert found.shape == (5, 3)
    for row, key in enumerate(keys.tolist()[:4]):
        for column, other in enumerate(others.tolist()):
            assert found[row, column] == pytest.approx(float(vectors[key] @ vectors[other]), abs=1e-5)
    assert np.isnan(found[4]).all()
    assert similarity.between(KEYS[:0], others).shape == (0, 3)
