"""A small release with real trees and real FAISS indexes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from snowmelt.features.feature_list import FeatureList
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.ranking.trees import TreeParams, Trees
from snowmelt.releases import Origin, ReleaseStore
from snowmelt.retrieval.index import build_main
from snowmelt.retrieval.spans import SparseRows
from snowmelt.retrieval.tables import FoldIn, RetrievalTables
from snowmelt.retrieval.text import TextEncoder

Build = Callable[[Path], None]


@pytest.fixture(scope="session")
def artefact() -> RankerArtefact:
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(600, 4)).astype(np.float32)
    matrix[rng.random(matrix.shape) < 0.2] = np.nan
    labels = (np.nan_to_num(matrix[:, 0]) + rng.normal(size=600) > 0.8).astype(np.int32)
    features = FeatureList(("a", "b", "c", "d"))
    params = TreeParams(rounds=12, min_data_in_leaf=5)
    return RankerArtefact(Trees.train(matrix, labels, np.full(12, 50), params, features.names), features, matrix[:40])


@pytest.fixture(scope="session")
def tables() -> RetrievalTables:
    rng = np.random.default_rng(2)
    items = rng.normal(size=(50, 8)).astype(np.float32)
    starts, ones = np.arange(51), np.ones(50, np.float32)
    return RetrievalTables(
        keys=np.arange(50, dtype=np.uint64),
        content_hashes=np.arange(50, dtype=np.uint64),
        item_vectors=items,
        evidence=ones,
        gram=items.T @ items,
        content_map=rng.normal(size=(5, 8)).astype(np.float32),
        contents=SparseRows(starts, np.arange(50, dtype=np.int32) % 5, ones),
        neighbours=SparseRows(starts, np.arange(50, dtype=np.int32)[::-1].copy(), ones),
        fold_in=FoldIn(confidence=10.0, regularisation=1.0),
        encoder=TextEncoder(np.arange(5, dtype=np.uint64), np.ones(6, np.float32)),
        item_index=build_main(items),
    )


@pytest.fixture(scope="session")
def build(artefact: RankerArtefact, tables: RetrievalTables) -> Build:
    def fill(folder: Path) -> None:
        artefact.save(folder / "ranker")
        tables.save(folder / "retrieval")

    return fill


@pytest.fixture
def store(tmp_path: Path) -> ReleaseStore:
    return ReleaseStore(str(tmp_path / "releases"))


@pytest.fixture(scope="session")
def origin(artefact: RankerArtefact) -> Origin:
    return Origin(
        created_at_ms=1_323_000_000_000,
        tenant="default",
        lake_versions={"events": 7, "catalog": 2},
        clock_offset_ms=5,
        feature_list_hash=artefact.features.hash,
        views_hash="abc",
        code_version="0.1.0",
        metrics={"ndcg_at_10": 0.11},
    )
