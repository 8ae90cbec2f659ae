"""The use case: scores of the pinned release for one user's candidates, computed in time."""

from dataclasses import dataclass

from services.ranker.ports import Items, Releases
from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.features.feature_list import FeatureList
from snowmelt.features.user import finish_user
from snowmelt.ranking.ranker import Ranked, Ranker
from snowmelt.runtime import stages, telemetry
from snowmelt.runtime.work import Workbench


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

    def __init__(self, releases: Releases, items: Items, bench: Workbench) -> None:
        self._releases, self._items, self._bench = releases, items, bench

    async def rank(self, query: RankQuery) -> RankAnswer:
        """Scores the candidates.

        Raises:
            SnowmeltError: RELEASE_NOT_LOADED; FEATURES_MISMATCH where other compiled views wrote the user's state than
                the items'; DEADLINE_EXCEEDED; INTERNAL where a score is not finite.
        """
        age_ms = self._items.age_ms()
        if age_ms is None:
            raise SnowmeltError(Reason.UNAVAILABLE, "the items have not been read yet; try again in a second")
        ranker = self._releases.ranker(query.release_id)
        with telemetry.span("ranker.rank", candidates=len(query.candidates), release_id=query.release_id):
            with stages.counted("ranker.rank"):
                ranked = await self._bench.do(lambda: self._rank(ranker, query), long=query.explain > 0)
            stages.report(ranked.stages)
        return RankAnswer(query.release_id, ranked, ranker.features, age_ms)

    def _rank(self, ranker: Ranker, query: RankQuery) -> Ranked:
        user = finish_user(self._items.views(), query.user, query.as_of_ms)
        return ranker.rank(user, query.candidates, query.as_of_ms, query.explain)
