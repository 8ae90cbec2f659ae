"""The door: wire to domain and back."""

from services.retrieval.retrieve import CandidateFinder, Question
from snowmelt.api.retrieval.v1 import retrieval_pb2, retrieval_pb2_grpc
from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.user_state import PackedUserState


class RetrievalServicer(retrieval_pb2_grpc.RetrievalServiceServicer):
    """The methods of RetrievalService; the runtime checks messages before, and maps errors after."""

    def __init__(self, finder: CandidateFinder) -> None:
        self._finder = finder

    async def Retrieve(  # noqa: N802 the name is the proto's
        self, request: retrieval_pb2.RetrieveRequest, _context: object
    ) -> retrieval_pb2.RetrieveResponse:
        """Proposes candidates of the pinned release for one user."""
        user = request.user
        found = await self._finder.retrieve(
            Question(
                tenant=request.tenant,
                user=PackedUserState(user.entity, user.profile, user.seen, user.views_hash),
                limit=request.limit,
                as_of_ms=request.as_of_ms,
                release_id=request.release_id,
                exclude_item_ids=request.exclude_item_ids,
                categories=request.categories,
                include_seen=request.include_seen,
            )
        )
        return retrieval_pb2.RetrieveResponse(
            release_id=request.release_id,
            candidates=_message(found.candidates),
            stages=[retrieval_pb2.Stage(name=s.name, duration_ms=s.duration_ms) for s in found.stages],
            replica_age_ms=found.replica_age_ms,
        )

    async def GetLoadedReleases(  # noqa: N802 the name is the proto's
        self, _request: retrieval_pb2.GetLoadedReleasesRequest, _context: object
    ) -> retrieval_pb2.GetLoadedReleasesResponse:
        """Which releases can be pinned now, and how far the replica is."""
        release_ids, age_ms, items = self._finder.loaded()
        return retrieval_pb2.GetLoadedReleasesResponse(release_ids=release_ids, replica_age_ms=age_ms, items=items)


def _message(candidates: Candidates) -> retrieval_pb2.Candidates:
    return retrieval_pb2.Candidates(
        item_keys=candidates.keys.astype("<u8", copy=False).tobytes(),
        sources=candidates.sources,
        scores=candidates.scores.astype("<f4", copy=False).tobytes(),
        ranks=candidates.ranks.astype("<u2", copy=False).tobytes(),
    )
