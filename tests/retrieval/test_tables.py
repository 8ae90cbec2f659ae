import json
from pathlib import Path

import numpy as np
import pytest

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.features.rows import Rows
from snowmelt.retrieval import RetrievalQuery, RetrievalTables, Retriever
from snowmelt.training.vectors import build_tables
from tests.retrieval import shop
from tests.retrieval.conftest import CONFIG


def test_what_is_saved_is_loaded_and_answers_alike(
    tables: RetrievalTables, items: shop.PlainItems, tmp_path: Path
) -> None:
    tables.save(tmp_path)
    loaded = RetrievalTables.load(tmp_path)
    query = RetrievalQuery(shop.user("i3", "i15", likes={"mug": 2.0}), 30, shop.NOW_MS)
    first, _ = Retriever(tables, items).retrieve(query)
    second, _ = Retriever(loaded, items).retrieve(query)
    assert first.keys.tolist() == second.keys.tolist()
    np.testing.assert_array_equal(first.scores, second.scores)
    assert not list(tmp_path.glob("*.pkl"))
    for path in tmp_path.glob("*.npy"):
        np.load(path, allow_pickle=False)


def test_the_same_input_gives_the_same_files(shopping: Rows, tables: RetrievalTables, tmp_path: Path) -> None:
    tables.save(tmp_path / "a")
    build_tables(shopping, shop.catalogue(), shop.NOW_MS, CONFIG).save(tmp_path / "b")
    for path in sorted((tmp_path / "a").iterdir()):
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes(), path.name


@pytest.mark.parametrize("damage", ["missing", "json", "version", "object", "shape", "neighbour"])
def test_what_does_not_fit_is_refused(tables: RetrievalTables, tmp_path: Path, damage: str) -> None:
    tables.save(tmp_path)
    if damage == "missing":
        (tmp_path / "gram.npy").unlink()
    elif damage == "json":
        (tmp_path / "tables.json").write_text("{")
    elif damage == "version":
        document = json.loads((tmp_path / "tables.json").read_text())
        (tmp_path / "tables.json").write_text(json.dumps(document | {"version": 99}))
    elif damage == "object":
        np.save(tmp_path / "idf.npy", np.array([{"a": 1}], object), allow_pickle=True)
    elif damage == "shape":
        np.save(tmp_path / "evidence.npy", tables.evidence[:-1])
    else:
        np.save(tmp_path / "neighbours_columns.npy", tables.neighbours.columns + 1000)
    with pytest.raises(SnowmeltError) as caught:
        RetrievalTables.load(tmp_path)
    assert caught.value.reason is Reason.RELEASE_INVALID
    assert str(tmp_path) not in caught.value.detail
