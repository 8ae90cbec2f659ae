"""Fifty users scored by the library and through gRPC at one instant: the answers are equal."""

import grpc
import numpy as np
import pytest

from services.gateway.adapters.retrieval import from_message, user_message
from services.trainer.adapters.lake import LakeHistory
from snowmelt.api.ranker.v1 import ranker_pb2, ranker_pb2_grpc
from snowmelt.api.retrieval.v1 import retrieval_pb2, retrieval_pb2_grpc
from snowmelt.client import token_of
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.features.user import PROFILE, SEEN
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import Lake
from snowmelt.ranking.artefact import RankerArtefact
from snowmelt.ranking.ranker import Ranker
from snowmelt.releases.layout import RANKER, RETRIEVAL
from snowmelt.releases.opened import assembler
from snowmelt.releases.store import ReleaseStore
from snowmelt.retrieval import RetrievalQuery, RetrievalTables, Retriever
from snowmelt.runtime.auth import Role
from tests.e2e.conftest import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]
USERS = 50
CANDIDATES = 200


def test_fifty_users_offline_and_through_grpc(system: System) -> None:
    environ = system.environ
    views = CompiledViews.load(environ["SNOWMELT_VIEWS_PATH"])
    past, _ = LakeHistory(Lake(environ["SNOWMELT_LAKE_URL"]), views).read()
    with system.client() as client:
        pinned = client.recommend("clock", k=1)
    release_id, as_of_ms = pinned.release_id, pinned.as_of_ms
    users = sorted({user for user in past.events.users if user and not user.startswith("story")})[:USERS]

    folder = ReleaseStore(environ["SNOWMELT_RELEASES_URL"]).path(release_id)
    items = past.items(as_of_ms)
    retriever = Retriever(RetrievalTables.load(folder / RETRIEVAL), items)
    artefact = RankerArtefact.load(folder / RANKER)
    ranker = Ranker(artefact.trees, artefact.features, assembler(past.views, items, retriever))

    store = StateStore(environ["SNOWMELT_REDIS_URL"], views)
    packed = zip(users, store.read(PROFILE, users), store.read(SEEN, users), strict=True)
    metadata = (("authorization", f"Bearer {token_of(environ['SNOWMELT_TOKENS_PATH'], Role.SERVICE)}"),)
    with (
        grpc.insecure_channel(environ["SNOWMELT_GATEWAY_RETRIEVAL_TARGET"]) as to_retrieval,
        grpc.insecure_channel(environ["SNOWMELT_GATEWAY_RANKER_TARGET"]) as to_ranker,
    ):
        retrieve = retrieval_pb2_grpc.RetrievalServiceStub(to_retrieval).Retrieve
        rank = ranker_pb2_grpc.RankerServiceStub(to_ranker).Rank
        states = past.states(users, np.full(len(users), as_of_ms))
        for (user, profile, seen), state in zip(packed, states, strict=True):
            message = user_message(PackedUserState(user, profile or b"", seen or b"", views.hash))
            common = {"tenant": "default", "user": message, "as_of_ms": as_of_ms, "release_id": release_id}
            request = retrieval_pb2.RetrieveRequest(limit=CANDIDATES, **common)
            answer = retrieve(request, timeout=5, metadata=metadata)
            online = from_message(answer.candidates)
            offline, _ = retriever.retrieve(RetrievalQuery(state, CANDIDATES, as_of_ms, tenant="default"))
            np.testing.assert_array_equal(online.keys, offline.keys)
            np.testing.assert_array_equal(online.ranks, offline.ranks)
            ranked = rank(ranker_pb2.RankRequest(candidates=answer.candidates, **common), timeout=5, metadata=metadata)
            scores = np.frombuffer(ranked.scores, "<f4")
            np.testing.assert_array_equal(scores, ranker.rank(state, offline, as_of_ms).scores)
    store.close()
