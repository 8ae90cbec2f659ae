"""The small shop's tables, built once."""

import pytest

from snowmelt.features.rows import Rows
from snowmelt.retrieval import RetrievalTables
from snowmelt.training.vectors import TablesConfig, build_tables
from snowmelt.training.vectors_factors import FactorsConfig
from tests.retrieval import shop

CONFIG = TablesConfig(factors=FactorsConfig(dimensions=8, regularisation=5.0))


@pytest.fixture(scope="session")
def shopping() -> Rows:
    return shop.shopping()


@pytest.fixture(scope="session")
def tables(shopping: Rows) -> RetrievalTables:
    return build_tables(shopping, shop.catalogue(), shop.NOW_MS, CONFIG)


@pytest.fixture
def items(shopping: Rows) -> shop.PlainItems:
    return shop.PlainItems(shop.catalogue(), shopping)
