"""Retrieval over gRPC."""

from collections.abc import Sequence

import numpy as np

from services.gateway.ports import Ask
from snowmelt.api.retrieval.v1 import retrieval_pb2, retrieval_pb2_grpc
from snowmelt.contracts.candidates import Candidates, StageTime
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.runtime.grpc_client import Remote

RELEASES_TIMEOUT_S = 0.5


class GrpcRetrieval:
    """The port Retrieval."""

    def __init__(self, remote: Remote) -> None:
        self._remote = remote
        self._stub = retrieval_pb2_grpc.RetrievalServiceStub(remote.channel)

    async def retrieve(
        self, ask: Ask, user: PackedUserState, timeout_s: float
    ) -> tuple[Candidates, Sequence[StageTime]]:
        """Candidates of the pinned release, best first.

        Raises:
            SnowmeltError: as retrieval raised it; INTERNAL where its answer does not fit the question.
        """
        request = retrieval_pb2.RetrieveRequest(
            tenant=ask.tenant,
            user=user_message(user),
            limit=ask.limit,
            as_of_ms=ask.as_of_ms,
            release_id=ask.release_id,
            exclude_item_ids=ask.exclude_item_ids,
            categories=ask.categories,
            surface=ask.surface,
            context=ask.context,
        )
        answer = await self._remote.call(self._stub.Retrieve, request, timeout_s)
        if answer.release_id != ask.release_id:
            raise SnowmeltError(Reason.INTERNAL, "retrieval answered from another release than the pinned one")
        return from_message(answer.candidates), [StageTime(s.name, s.duration_ms) for s in answer.stages]

    async def loaded(self) -> Sequence[str]:
        """The releases that can be pinned, the one in use first."""
        request = retrieval_pb2.GetLoadedReleasesRequest()
        answer = await self._remote.call(self._stub.GetLoadedReleases, request, RELEASES_TIMEOUT_S)
        return tuple(answer.release_ids)


def user_message(user: PackedUserState) -> retrieval_pb2.UserState:
    """The user's state as it travels."""
    return retrieval_pb2.UserState(entity=user.entity, profile=user.profile, seen=user.seen, views_hash=user.views_hash)


def to_message(candidates: Candidates) -> retrieval_pb2.Candidates:
    """Columns as little-endian bytes."""
    return retrieval_pb2.Candidates(
        item_keys=candidates.keys.astype("<u8", copy=False).tobytes(),
        sources=candidates.sources,
        scores=candidates.scores.astype("<f4", copy=False).tobytes(),
        ranks=candidates.ranks.astype("<u2", copy=False).tobytes(),
    )


def from_message(message: retrieval_pb2.Candidates) -> Candidates:
    """The columns out of their bytes.

    Raises:
        SnowmeltError: INTERNAL where their sizes do not belong together.
    """
    keys = np.frombuffer(message.item_keys, "<u8")
    shape = (len(keys), len(message.sources))
    try:
        scores = np.frombuffer(message.scores, "<f4").reshape(shape)
        ranks = np.frombuffer(message.ranks, "<u2").reshape(shape)
    except ValueError:
        raise SnowmeltError(Reason.INTERNAL, "retrieval's columns do not belong together") from None
    return Candidates(keys, tuple(message.sources), scores, ranks)
