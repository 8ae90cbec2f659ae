"""The use case: candidates of a pinned release for one user, worked out within the deadline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.retrieval.ports import Releases, Replica, Users
from snowmelt.contracts.candidates import Candidates, StageTime
from snowmelt.contracts.ids import item_keys, word_keys
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.retrieval import RetrievalQuery
from snowmelt.runtime import stages, telemetry
from snowmelt.runtime.work import Workbench


@dataclass(frozen=True)
class Question:
    """One request in the words of the field."""

    tenant: str
    user: PackedUserState
    limit: int
    as_of_ms: int
    release_id: str
    exclude_item_ids: Sequence[str] = ()
    categories: Sequence[str] = ()
    include_seen: bool = False


@dataclass(frozen=True)
class Found:
    """One answer."""

    candidates: Candidates
    stages: Sequence[StageTime]
    replica_age_ms: float


class CandidateFinder:
    """Answers questions."""

    def __init__(self, releases: Releases, replica: Replica, users: Users, bench: Workbench) -> None:
        self._releases = releases
        self._replica = replica
        self._users = users
        self._bench = bench

    async def retrieve(self, question: Question) -> Found:
        """Candidates, best first.

        Raises:
            SnowmeltError: RELEASE_NOT_LOADED; FEATURES_MISMATCH; DEADLINE_EXCEEDED where the work came too late.
        """
        with telemetry.span("retrieval.retrieve", release_id=question.release_id, limit=question.limit):
            found = await self._bench.do(lambda: self._work(question))
            stages.report(found.stages)
            return found

    def loaded(self) -> tuple[Sequence[str], float, int]:
        """The releases that can be pinned, the replica's age in milliseconds, and how many items it holds."""
        return self._releases.loaded(), self._replica.age_ms(), self._replica.items()

    def _work(self, question: Question) -> Found:
        retriever = self._releases.retriever(question.release_id)
        query = RetrievalQuery(
            user=self._users.finish(question.user, question.as_of_ms),
            limit=question.limit,
            as_of_ms=question.as_of_ms,
            exclude_keys=item_keys(question.tenant, question.exclude_item_ids),
            category_keys=np.unique(word_keys(question.categories)),
            include_seen=question.include_seen,
            tenant=question.tenant,
        )
        candidates, taken = retriever.retrieve(query)
        return Found(candidates, taken, self._replica.age_ms())
