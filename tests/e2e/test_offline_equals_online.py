"""Fifty users answered by the library and through gRPC at one instant, and one by the gateway: all is equal."""

from collections.abc import Iterator
from contextlib import contextmanager

import grpc
import numpy as np
import pytest

from services.gateway.adapters.retrieval import from_message, user_message
from services.gateway.config import GatewaySettings
from services.trainer.adapters.lake import LakeHistory
from snowmelt.api.ranker.v1 import ranker_pb2, ranker_pb2_grpc
from snowmelt.api.retrieval.v1 import retrieval_pb2, retrieval_pb2_grpc
from snowmelt.client import token_of
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.features.user import PROFILE, SEEN
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import Lake
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.releases.layout import RANKER, RETRIEVAL
from snowmelt.releases.store import ReleaseStore
from snowmelt.retrieval import RetrievalTables
from snowmelt.runtime.auth import Role
from snowmelt.training.offline import Answered, offline_recommend
from snowmelt.training.past import Past
from snowmelt.training.queries import Queries
from snowmelt.training.ranking_set import Shop
from tests.e2e.conftest import System, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
USERS = 50
CANDIDATES = GatewaySettings.model_fields["candidates"].default
K = 20
PATIENT_MS = 5000


class Offline:
    """The library's answers out of the lake, by the release that is active."""

    def __init__(self, environ: dict[str, str]) -> None:
        self.views = CompiledViews.load(environ["SNOWMELT_VIEWS_PATH"])
        self.past: Past = LakeHistory(Lake(environ["SNOWMELT_LAKE_URL"]), self.views).read()[0]
        store = ReleaseStore(environ["SNOWMELT_RELEASES_URL"])
        self.release_id = store.active().release_id or ""
        self._folder = store.path(self.release_id)

    def answers(self, users: list[str], as_of_ms: int) -> Iterator[Answered]:
        tables = RetrievalTables.load(self._folder / RETRIEVAL)
        self.items = self.past.items(as_of_ms)
        shop = Shop(self.past, tables, self.items, CANDIDATES)
        trees = RankerArtefact.load(self._folder / RANKER).trees
        return offline_recommend(shop, trees, Queries.at(users, as_of_ms), K, lambda _: None)


@contextmanager
def states(environ: dict[str, str], views: CompiledViews, users: list[str]) -> Iterator[list[PackedUserState]]:
    store = StateStore(environ["SNOWMELT_REDIS_URL"], views)
    try:
        packed = zip(users, store.read(PROFILE, users), store.read(SEEN, users), strict=True)
        yield [PackedUserState(user, profile or b"", seen or b"", views.hash) for user, profile, seen in packed]
    finally:
        store.close()


def settled(system: System) -> bool:
    """Whether lake and online store hold all that was logged; each slate of an earlier test is, a moment later."""
    return all(flow["balanced"] and flow["behind_events"] == 0 for flow in system.status()["flows"])  # type: ignore[attr-defined]


def test_fifty_users_offline_and_through_grpc_and_one_through_the_gateway(system: System) -> None:
    environ = system.environ
    eventually(lambda: settled(system), 20.0, "what was logged did not arrive")
    offline = Offline(environ)
    as_of_ms = Clock(int(environ.get("SNOWMELT_CLOCK_OFFSET_MS", "0"))).now_ms()
    users = sorted({user for user in offline.past.events.users if user and not user.startswith("story")})[:USERS]
    metadata = (("authorization", f"Bearer {token_of(environ['SNOWMELT_TOKENS_PATH'], Role.SERVICE)}"),)
    with (
        states(environ, offline.views, users) as packed,
        grpc.insecure_channel(environ["SNOWMELT_GATEWAY_RETRIEVAL_TARGET"]) as to_retrieval,
        grpc.insecure_channel(environ["SNOWMELT_GATEWAY_RANKER_TARGET"]) as to_ranker,
    ):
        retrieve = retrieval_pb2_grpc.RetrievalServiceStub(to_retrieval).Retrieve
        rank = ranker_pb2_grpc.RankerServiceStub(to_ranker).Rank
        for state, mine in zip(packed, offline.answers(users, as_of_ms), strict=True):
            common = {
                "tenant": "default",
                "user": user_message(state),
                "as_of_ms": as_of_ms,
                "release_id": offline.release_id,
            }
            request = retrieval_pb2.RetrieveRequest(limit=CANDIDATES, **common)
            answer = retrieve(request, timeout=5, metadata=metadata)
            theirs, found = from_message(answer.candidates), mine.pool.candidates
            np.testing.assert_array_equal(theirs.keys, found.keys)
            np.testing.assert_array_equal(theirs.ranks, found.ranks)
            np.testing.assert_array_equal(theirs.scores, found.scores)
            ranked = rank(ranker_pb2.RankRequest(candidates=answer.candidates, **common), timeout=5, metadata=metadata)
            np.testing.assert_array_equal(np.frombuffer(ranked.scores, "<f4"), mine.scores)

    # Last, since its slate is logged, which changes what is known of the items in it.
    with system.client() as client:
        slate = client.recommend(users[0], k=K, timeout_ms=PATIENT_MS)
    assert (slate.release_id, list(slate.degraded)) == (offline.release_id, [])
    (mine,) = offline.answers(users[:1], slate.as_of_ms)
    columns, rows = offline.items.columns(), offline.items.rows(mine.keys)
    assert [item.item_id for item in slate.items] == [columns.ids[row] for row in rows]
    assert [item.score for item in slate.items] == mine.scores[mine.slate].tolist()
