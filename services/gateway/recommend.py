"""One recommendation from end to end: read the state, retrieve, rank, blend, log, answer.

Every stage has its share of the request's budget. What is late or down is left out and named in ``degraded``: without
features nothing is known of the user, without the ranker the order is retrieval's, without retrieval popularity's.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from services.gateway.answer import Slate, answer, compose, impression
from services.gateway.breaker import Breaker
from services.gateway.draft import FEATURES, Catalogue, Draft, unreadable
from services.gateway.meanwhile import meanwhile
from services.gateway.popularity import Popularity
from services.gateway.ports import Log, Pins, Ranker, Ranking, Record, Retrieval, UserStates
from services.gateway.request import Request
from services.gateway.session import fold_session
from services.gateway.turns import Turns
from snowmelt.api.gateway.v1.gateway_pb2 import RecommendRequest, RecommendResponse
from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.items import ItemSource
from snowmelt.contracts.slate import RUNG_FULL, RUNG_POPULARITY, RUNG_RETRIEVAL_ORDER
from snowmelt.contracts.topics import IMPRESSIONS
from snowmelt.contracts.user_state import PackedUserState
from snowmelt.featurestore.live_views import LiveViews
from snowmelt.runtime import metrics, telemetry
from snowmelt.runtime.auth import Caller

_LOG = logging.getLogger(__name__)
T = TypeVar("T")

RETRIEVAL, RANKER, RELEASE = "retrieval", "ranker", "release"
SHARES = {FEATURES: 0.25, RETRIEVAL: 0.65, RANKER: 0.85}
"""Of what is left of the budget when the stage begins; the rest is for the stages after it."""
EXPLAIN_MAX = 100


@dataclass(frozen=True)
class Parts:
    """What the use case is made of."""

    states: UserStates
    retrieval: Retrieval
    ranker: Ranker
    pins: Pins
    items: ItemSource
    popularity: Popularity
    log: Log
    views: LiveViews
    clock: Clock


class Recommender:
    """The use case of Recommend."""

    def __init__(self, parts: Parts, candidates: int, budget_ms: int, at_once: int) -> None:
        self._parts, self._candidates, self._budget_ms = parts, candidates, budget_ms
        self._turns = Turns(at_once)
        self._breakers = {stage: Breaker() for stage in SHARES}

    async def recommend(self, asked: RecommendRequest, caller: Caller) -> RecommendResponse:
        """A slate for a user or an anonymous session; never an error because a stage is late or down.

        Raises:
            SnowmeltError: UNKNOWN_EVENT_TYPE for what was asked.
        """
        with telemetry.span("gateway.recommend", k=asked.k, explain=asked.explain):
            request = Request(asked, caller.tenant, self._parts.clock.now_ms(), self._budget_ms)
            async with self._turns.turn(request) as admitted:
                slate = await self._slate(request, admitted=admitted)
            # When the answer is on its way: nobody waits for the log.
            asyncio.get_running_loop().call_soon(self._log, request, slate)
            return answer(request, slate, self._why_short(request, slate))

    async def _slate(self, request: Request, *, admitted: bool) -> Slate:
        draft = await self._draft(request)
        release_id = self._parts.pins.pinned()
        draft.candidates, rung = await self._retrieve(draft, release_id) if admitted else self._popular(draft)
        ranking = await self._rank(draft, release_id) if rung == RUNG_FULL else None
        rung = RUNG_RETRIEVAL_ORDER if rung == RUNG_FULL and ranking is None else rung
        with request.stage("blend"):
            shown = compose(draft, ranking)
        answered_by = "" if rung == RUNG_POPULARITY else release_id
        return Slate(shown, rung, answered_by, not user_known(draft.packed, request), ranking is not None)

    async def _draft(self, request: Request) -> Draft:
        async def read(_: float) -> PackedUserState:
            return await self._parts.states.read(request.tenant, request.entity)

        packed = await self._attempt(request, FEATURES, read) or PackedUserState(request.entity)
        catalogue = Catalogue(self._parts.items, self._parts.views.current)
        try:
            packed = fold_session(request, packed, catalogue.views, catalogue.items)
        except SnowmeltError as error:
            packed = fold_session(request, unreadable(request, error), catalogue.views, catalogue.items)
        return Draft(request, packed, catalogue)

    async def _retrieve(self, draft: Draft, release_id: str) -> tuple[Candidates, str]:
        request = draft.request
        ask = request.ask(release_id, max(self._candidates, request.k), 0)

        async def retrieve(timeout_s: float) -> Candidates:
            packed = draft.packed
            try:
                found = self._parts.retrieval.retrieve(ask, packed, timeout_s)
                candidates, stages = await meanwhile(found, draft.know_the_user)
            except SnowmeltError:
                if draft.packed is packed:
                    raise
                # The user's state could not be read, here nor there.
                candidates, stages = await self._parts.retrieval.retrieve(ask, draft.packed, timeout_s)
            request.stages.extend(stages)
            return candidates

        if release_id:
            found = await self._attempt(request, RETRIEVAL, retrieve)
            if found is not None:
                return found, RUNG_FULL
        else:
            request.degrade(RELEASE if self._parts.pins.retrieval_answers() else RETRIEVAL)
        return self._popular(draft)

    def _popular(self, draft: Draft) -> tuple[Candidates, str]:
        request = draft.request
        categories = tuple(request.asked.categories)
        return self._parts.popularity.chart.best(request.k, draft.rules.hidden_keys, categories), RUNG_POPULARITY

    async def _rank(self, draft: Draft, release_id: str) -> Ranking | None:
        request, candidates = draft.request, draft.candidates
        explain = min(EXPLAIN_MAX, len(candidates)) if request.asked.explain else 0
        ask = request.ask(release_id, len(candidates), explain)

        async def rank(timeout_s: float) -> Ranking:
            ranked = self._parts.ranker.rank(ask, draft.packed, candidates, timeout_s)
            return await meanwhile(ranked, draft.know_the_candidates)

        if not len(candidates):
            return Ranking(np.empty(0, np.float32), {}, ())
        ranking = await self._attempt(request, RANKER, rank)
        request.stages.extend(ranking.stages if ranking else ())
        return ranking

    async def _attempt(self, request: Request, stage: str, call: Callable[[float], Awaitable[T]]) -> T | None:
        breaker, timeout_s = self._breakers[stage], request.left_s() * SHARES[stage]
        with request.stage(stage):
            if timeout_s <= 0 or not breaker.admits():
                request.degrade(stage)
                return None
            try:
                async with asyncio.timeout(timeout_s):
                    result = await call(timeout_s)
            except (TimeoutError, SnowmeltError) as error:
                request.degrade(stage)
                self._note(breaker, stage, error, timeout_s)
                return None
            if breaker.open:
                _LOG.info("%s answers again", stage)
            breaker.succeeded()
            return result

    def _note(self, breaker: Breaker, stage: str, error: Exception, timeout_s: float) -> None:
        if isinstance(error, SnowmeltError) and error.reason is Reason.RELEASE_NOT_LOADED:
            return
        was_open = breaker.open
        breaker.failed(timeout_s)
        if breaker.open and not was_open:
            _LOG.warning("%s is left alone for a while: %s", stage, error or "late")

    def _log(self, request: Request, slate: Slate) -> None:
        try:
            with request.stage("impression"):
                record = Record(IMPRESSIONS, request.entity, impression(request, slate).SerializeToString())
                handed = self._parts.log.submit(request.tenant, record)
        except Exception:
            metrics.IMPRESSIONS.labels("failed").inc()
            raise
        handed.add_done_callback(lambda done: metrics.IMPRESSIONS.labels("failed" if done.exception() else "ok").inc())

    def _why_short(self, request: Request, slate: Slate) -> str:
        if len(slate.items) >= request.k:
            return ""
        return "all_filtered" if slate.items or self._any_item(request) else "no_items"

    def _any_item(self, request: Request) -> bool:
        columns = self._parts.items.columns()
        return bool((~columns.withdrawn & (columns.available_from_ms <= request.as_of_ms)).any())


def user_known(packed: PackedUserState, request: Request) -> bool:
    """Whether the user was seen before; one whose state could not be read is not called new."""
    return packed.known or FEATURES in request.degraded
