"""The ranker over gRPC."""

from collections.abc import Sequence

import numpy as np

from services.gateway.adapters.retrieval import RELEASES_TIMEOUT_S, to_message, user_message
from services.gateway.ports import Ask, Part, Ranking
from snowmelt.api.ranker.v1 import ranker_pb2, ranker_pb2_grpc
from snowmelt.contracts.candidates import Candidates, StageTime
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.runtime.grpc_client import Remote


class GrpcRanker:
    """The port Ranker."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._stub = ranker_pb2_grpc.RankerServiceStub(remote.channel)

    async def rank(self, ask: Ask, user: PackedUserState, candidates: Candidates, timeout_s: float) -> Ranking:
        """Scores of the pinned release.

        Raises:
            SnowmeltError: as the ranker raised it; INTERNAL where its answer is of another release, too short, or
                holds a score that is no number.
        """
        request = ranker_pb2.RankRequest(
            tenant=ask.tenant,
            user=user_message(user),
            candidates=to_message(candidates),
            as_of_ms=ask.as_of_ms,
            release_id=ask.release_id,
            surface=ask.surface,
            context=ask.context,
            explain=ask.explain,
        )
        answer = await self._remote.call(self._stub.Rank, request, timeout_s)
        whole = len(answer.scores) == 4 * len(candidates) and answer.release_id == ask.release_id
        scores = np.frombuffer(answer.scores, "<f4") if whole else np.empty(0, np.float32)
        if not whole or not np.isfinite(scores).all():
            raise SnowmeltError(Reason.INTERNAL, "the ranker's scores do not fit the candidates")
        explanations = {
            e.candidate: [Part(c.feature, c.value, c.contribution) for c in e.contributions]
            for e in answer.explanations
        }
        return Ranking(scores, explanations, [StageTime(s.name, s.duration_ms) for s in answer.stages])

    async def loaded(self) -> Sequence[str]:
        """The releases that can be pinned, the one in use first."""
        request = ranker_pb2.GetLoadedReleasesRequest()
        answer = await self._remote.call(self._stub.GetLoadedReleases, request, RELEASES_TIMEOUT_S)
        return tuple(answer.release_ids)
