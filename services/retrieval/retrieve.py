"""The use case: candidates of a pinned release for one user, worked out on a thread, within the deadline."""

import asyncio
import contextvars
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass

import numpy as np

from services.retrieval.ports import Releases, Replica, Users
from snowmelt.contracts.candidates import Candidates, StageTime
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import item_keys, word_keys
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.retrieval import RetrievalQuery
from snowmelt.runtime import deadline, metrics, telemetry


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
    """Answers questions; ``executor`` bounds how many are worked on at once."""

    def __init__(self, releases: Releases, replica: Replica, users: Users, executor: Executor) -> None:
        self._releases = releases
        self._replica = replica
        self._users = users
        self._executor = executor

    async def retrieve(self, question: Question) -> Found:
        """Candidates, best first.

        Raises:
            SnowmeltError: RELEASE_NOT_LOADED; FEATURES_MISMATCH; DEADLINE_EXCEEDED where the work came too late.
        """
        with telemetry.span("retrieval.retrieve", release_id=question.release_id, limit=question.limit):
            context = contextvars.copy_context()
            work = asyncio.get_running_loop().run_in_executor(self._executor, context.run, self._work, question)
            found = await work
        for stage in found.stages:
            metrics.STAGE_SECONDS.labels(stage.name).observe(stage.duration_ms / 1000)
        return found

    def loaded(self) -> tuple[Sequence[str], float, int]:
        """The releases that can be pinned, the replica's age in milliseconds, and how many items it holds."""
        return self._releases.loaded(), self._replica.age_ms(), self._replica.items()

    def _work(self, question: Question) -> Found:
        if deadline.remaining_s() <= 0:
            raise SnowmeltError(Reason.DEADLINE_EXCEEDED, "the deadline passed before the work began")
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
        candidates, stages = retriever.retrieve(query)
        return Found(candidates, stages, self._replica.age_ms())
