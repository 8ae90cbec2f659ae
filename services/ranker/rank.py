"""The use case: scores of the pinned release for one user's candidates, computed in a thread and in time."""

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from services.ranker.ports import Items, Releases
from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.features.feature_list import FeatureList
from snowmelt.features.user import finish_user
from snowmelt.features.views import CompiledViews
from snowmelt.ranking.ranker import Ranked
from snowmelt.runtime import deadline, metrics, telemetry

T = TypeVar("T")


@dataclass(frozen=True)
class RankQuery:
    """What is to be ranked. ``explain``: the best so many candidates are explained."""

    release_id: str
    user: PackedUserState
    candidates: Candidates
    as_of_ms: int
    explain: int = 0


@dataclass(frozen=True)
class RankAnswer:
    """The scores, and what they were made from."""

    release_id: str
    ranked: Ranked
    features: FeatureList
    replica_age_ms: float


class RankCandidates:
    """The use case of Rank."""

    def __init__(self, releases: Releases, views: CompiledViews, items: Items, workers: Executor) -> None:
        self._releases, self._views, self._items, self._workers = releases, views, items, workers

    async def rank(self, query: RankQuery) -> RankAnswer:
        """Scores the candidates.

        Raises:
            SnowmeltError: RELEASE_NOT_LOADED; FEATURES_MISMATCH where other compiled views wrote the user's state;
                DEADLINE_EXCEEDED; INTERNAL where a score is not finite.
        """
        age_ms = self._items.age_ms()
        if age_ms is None:
            raise SnowmeltError(Reason.UNAVAILABLE, "the items have not been read yet; try again in a second")
        ranker = self._releases.ranker(query.release_id)
        with telemetry.span("ranker.rank", candidates=len(query.candidates), release_id=query.release_id):
            ranked = await self._in_thread(
                lambda: ranker.rank(
                    finish_user(self._views, query.user, query.as_of_ms),
                    query.candidates,
                    query.as_of_ms,
                    query.explain,
                )
            )
        for stage in ranked.stages:
            metrics.STAGE_SECONDS.labels(stage.name).observe(stage.duration_ms / 1000)
        return RankAnswer(query.release_id, ranked, ranker.features, age_ms)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        """Runs the work with this request's trace; work whose time is over before it begins is not begun."""

        def begin() -> T:
            if not deadline.remaining_s():
                raise SnowmeltError(Reason.DEADLINE_EXCEEDED, "the deadline passed while the request waited")
            return work()

        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._workers, context.run, begin)
