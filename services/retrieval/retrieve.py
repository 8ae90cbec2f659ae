"""The use case: candidates of a pinned release for one user, worked out within the deadline."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.retrieval.ports import Items, Releases, Views
from snowmelt.contracts.candidates import Candidates, StageTime
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import item_keys, word_keys
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.features.user import finish_user
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

    def __init__(self, releases: Releases, items: Items, views: Views, bench: Workbench) -> None:
        self._releases, self._items, self._views, self._bench = releases, items, views, bench

    async def retrieve(self, question: Question) -> Found:
        """Candidates, best first.

        Raises:
            SnowmeltError: UNAVAILABLE before the items were read; RELEASE_NOT_LOADED; FEATURES_MISMATCH;
                DEADLINE_EXCEEDED where the work came too late.
        """
        age_ms = self._items.age_ms()
        if age_ms is None:
            raise SnowmeltError(Reason.UNAVAILABLE, "the items have not been read yet; try again in a second")
        with telemetry.span("retrieval.retrieve", release_id=question.release_id, limit=question.limit):
            with stages.counted("retrieval.retrieve"):
                candidates, taken = await self._bench.do(lambda: self._work(question))
            stages.report(taken)
            return Found(candidates, taken, age_ms)

    def loaded(self) -> tuple[Sequence[str], float, int]:
        """The releases that can be pinned, the items' age in milliseconds, and how many there are; none before the
        items were read: what is answered from no items would look whole.
        """
        age_ms = self._items.age_ms()
        return (() if age_ms is None else self._releases.loaded()), age_ms or 0.0, len(self._items.columns())

    def _work(self, question: Question) -> tuple[Candidates, Sequence[StageTime]]:
        retriever = self._releases.retriever(question.release_id)
        query = RetrievalQuery(
            user=finish_user(self._views.of_state(question.user.views_hash), question.user, question.as_of_ms),
            limit=question.limit,
            as_of_ms=question.as_of_ms,
            exclude_keys=item_keys(question.tenant, question.exclude_item_ids),
            category_keys=np.unique(word_keys(question.categories)),
            include_seen=question.include_seen,
            tenant=question.tenant,
        )
        return retriever.retrieve(query)
