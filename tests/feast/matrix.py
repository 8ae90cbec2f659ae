"""What the ranker sees of an item: its matrix, made over the replica that it reads."""

import time
from collections.abc import Sequence

import numpy as np

from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.ids import DEFAULT_TENANT, item_keys
from snowmelt.contracts.user_state import UserState
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.item_replica import ItemReplica
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.ranking.assemble import FeatureAssembler
from snowmelt.ranking.schema import RankingSchema

WAIT_S = 20.0


class _NoLikeness:
    def between(self, keys, others):
        return np.full((len(keys), len(others)), np.nan, np.float32)

    def refresh(self):
        pass


def ranker_column(name: str, redis_url: str, views: CompiledViews, items: Sequence[str], as_of_ms: int) -> np.ndarray:
    """float32[n]: a feature of item_stats as it stands in the ranker's matrix."""
    replica = ItemReplica(redis_url, LiveViews(views))
    replica.start()
    try:
        deadline = time.monotonic() + WAIT_S
        while len(replica.columns()) < len(items) and time.monotonic() < deadline:
            time.sleep(0.02)
        keys = item_keys(DEFAULT_TENANT, items)
        candidates = Candidates(keys, (), np.empty((len(keys), 0), np.float32), np.empty((len(keys), 0), np.uint16))
        assembler = FeatureAssembler(RankingSchema.of(views, ()), replica, _NoLikeness())
        matrix = assembler.assemble(UserState(), candidates, as_of_ms)
        return matrix[:, list(assembler.features.names).index(f"item.{name}")]
    finally:
        replica.stop()
