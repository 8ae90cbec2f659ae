"""A small simulated shop as a past, and a history that hands it out."""

from collections.abc import Mapping
from functools import cache

from snowmelt.datasets.rows import catalogue_rows, event_rows
from snowmelt.datasets.simulated import simulate
from snowmelt.features.defaults import default_views
from snowmelt.ranking.trees import TreeParams
from snowmelt.training.config import TrainingConfig
from snowmelt.training.past import Past

CONFIG = TrainingConfig(
    max_queries=160, max_test_queries=80, candidates=100, negatives=40, trees=TreeParams(rounds=30, min_data_in_leaf=10)
)


@cache
def small_past() -> Past:
    data, views = simulate(5, users=220, items=160, days=60), default_views()
    return Past(views, event_rows(data, views), None, catalogue_rows(data))


class Given:
    """A history that holds what it was given."""

    def __init__(self, past: Past) -> None:
        self.past = past

    def read(self) -> tuple[Past, Mapping[str, int]]:
        return self.past, {"events": 3, "catalog": 1}
