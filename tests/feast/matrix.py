"""What the ranker sees of an item or a user: its matrix, made over what it reads."""

import time
from collections.abc import Sequence

import numpy as np

from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.ids import DEFAULT_TENANT, item_keys
from snowmelt.contracts.user_state import PackedUserState, UserState
from snowmelt.features.user import finish_user
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.item_replica import ItemReplica
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.featurestore.store import StateStore
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
        return _column(f"item.{name}", views, replica, UserState(), items, as_of_ms)
    finally:
        replica.stop()


def user_column(name: str, redis_url: str, views: CompiledViews, users: Sequence[str], as_of_ms: int) -> np.ndarray:
    """float32[n]: a feature of user_profile as it stands in the matrix that the ranker makes for each user."""
    replica, store = ItemReplica(redis_url, LiveViews(views)), StateStore(redis_url, views)
    profiles, seen = store.read("user_profile", users), store.read("user_seen", users)
    column = []
    for user, *state in zip(users, profiles, seen, strict=True):
        packed = PackedUserState(user, *(part or b"" for part in state), views.hash)
        finished = finish_user(views, packed, as_of_ms)
        column.append(_column(f"user.{name}", views, replica, finished, ["item-0"], as_of_ms)[0])
    return np.array(column)


def _column(
    name: str, views: CompiledViews, replica: ItemReplica, user: UserState, items: Sequence[str], as_of_ms: int
) -> np.ndarray:
    keys = item_keys(DEFAULT_TENANT, items)
    candidates = Candidates(keys, (), np.empty((len(keys), 0), np.float32), np.empty((len(keys), 0), np.uint16))
    assembler = FeatureAssembler(RankingSchema.of(views, ()), replica, _NoLikeness())
    matrix = assembler.assemble(user, candidates, as_of_ms)
    return matrix[:, list(assembler.features.names).index(name)]
