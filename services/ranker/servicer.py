"""gRPC: wire -> domain -> wire."""

import numpy as np

from services.ranker.ports import Items, Releases
from services.ranker.rank import RankAnswer, RankCandidates, RankQuery
from snowmelt.api.ranker.v1 import ranker_pb2, ranker_pb2_grpc
from snowmelt.api.retrieval.v1 import retrieval_pb2
from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.user_state import PackedUserState


class RankerServicer(ranker_pb2_grpc.RankerServiceServicer):
    """The ranker's methods."""

    def __init__(self, use: RankCandidates, releases: Releases, items: Items) -> None:
        self._use, self._releases, self._items = use, releases, items

    async def Rank(  # noqa: N802 the protos' name
        self, request: ranker_pb2.RankRequest, _context: object
    ) -> ranker_pb2.RankResponse:
        """Scores the candidates by the pinned release's trees."""
        user = PackedUserState(request.user.entity, request.user.profile, request.user.seen, request.user.views_hash)
        candidates = _candidates(request.candidates)
        query = RankQuery(request.release_id, user, candidates, request.as_of_ms, request.explain)
        return _response(await self._use.rank(query), with_features=request.return_features)

    async def GetLoadedReleases(  # noqa: N802 the protos' name
        self, _request: ranker_pb2.GetLoadedReleasesRequest, _context: object
    ) -> ranker_pb2.GetLoadedReleasesResponse:
        """Which releases can be pinned now, the one in use first; none before the items were read."""
        age_ms = self._items.age_ms()
        return ranker_pb2.GetLoadedReleasesResponse(
            release_ids=self._releases.ids() if age_ms is not None else (),
            replica_age_ms=age_ms or 0.0,
            items=len(self._items.columns()),
        )


def _candidates(message: retrieval_pb2.Candidates) -> Candidates:
    """The columns out of their bytes.

    Raises:
        SnowmeltError: INVALID_FIELD where their sizes do not belong together or an item comes twice.
    """
    try:
        keys = np.frombuffer(message.item_keys, "<u8")
        shape = (len(keys), len(message.sources))
        scores = np.frombuffer(message.scores, "<f4").reshape(shape)
        ranks = np.frombuffer(message.ranks, "<u2").reshape(shape)
    except ValueError:
        detail = "item_keys, sources, scores and ranks do not belong together"
        raise SnowmeltError(Reason.INVALID_FIELD, detail, field="candidates") from None
    if len(np.unique(keys)) != len(keys):
        raise SnowmeltError(Reason.INVALID_FIELD, "an item comes twice", field="candidates.item_keys")
    return Candidates(keys, tuple(message.sources), scores, ranks)


def _response(answer: RankAnswer, *, with_features: bool) -> ranker_pb2.RankResponse:
    ranked, names = answer.ranked, answer.features.names
    return ranker_pb2.RankResponse(
        release_id=answer.release_id,
        scores=ranked.scores.astype("<f4", copy=False).tobytes(),
        explanations=[
            ranker_pb2.Explanation(
                candidate=one.candidate,
                base_score=one.base,
                contributions=[
                    ranker_pb2.Contribution(feature=name, value=value, contribution=added)
                    for name, value, added in zip(names, one.values.tolist(), one.contributions.tolist(), strict=True)
                ],
            )
            for one in ranked.explanations
        ],
        stages=[retrieval_pb2.Stage(name=s.name, duration_ms=s.duration_ms) for s in ranked.stages],
        features=ranked.matrix.astype("<f4", copy=False).tobytes() if with_features else b"",
        feature_list_hash=answer.features.hash,
        replica_age_ms=answer.replica_age_ms,
    )
