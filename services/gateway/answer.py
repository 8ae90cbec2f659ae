"""The slate as it is answered and as it is logged."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from services.gateway.draft import Catalogue, Draft
from services.gateway.ports import Part, Ranking
from services.gateway.reasons import Cause, sentence
from services.gateway.request import Request
from snowmelt.api.events.v1.events_pb2 import Impression, ImpressionItem, SourceHit
from snowmelt.api.gateway.v1 import gateway_pb2 as public
from snowmelt.blending import Reason, arrange
from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.user_state import UserState
from snowmelt.runtime import telemetry


@dataclass(frozen=True)
class Slate:
    """What is answered. ``ranked``: the scores are the ranker's."""

    items: Sequence[public.SlateItem]
    rung: str
    release_id: str
    cold_start: bool
    ranked: bool


def compose(draft: Draft, ranking: Ranking | None) -> list[public.SlateItem]:
    """The best k candidates that may be shown, in order, each with its sources and its reason in words."""
    candidates, scores = draft.candidates, None if ranking is None else ranking.scores
    k, content, history = draft.request.k, draft.content, draft.history
    places = arrange(candidates, scores, k, content=content, allowed=draft.allowed, history=history)
    chosen = [place.row for place in places]
    items = draft.catalogue.items
    columns, rows = items.columns(), items.rows(candidates.keys[chosen]).tolist()
    explanations = ranking.explanations if ranking else {}
    causes = _causes((place.reason for place in places), draft.user, draft.catalogue)
    shown = []
    for position, (place, row, hits) in enumerate(zip(places, rows, _hits(candidates, chosen), strict=True)):
        shown.append(
            public.SlateItem(
                item_id=columns.ids[row],
                position=position,
                score=1.0 / (position + 1) if scores is None else float(scores[place.row]),
                sources=hits,
                reason=sentence(place.reason.source, columns.categories[row], causes.get(place.reason.because_key)),
                propensity=place.propensity,
                title=columns.titles[row],
                contributions=_contributions(explanations.get(place.row, ())),
            )
        )
    return shown


def _hits(candidates: Candidates, chosen: list[int]) -> Iterator[list[SourceHit]]:
    """For each of the chosen candidates the sources that proposed it, the one that ranked it highest first."""
    names, ranks = candidates.sources, candidates.ranks[chosen]
    # Rank 0, which is no rank, becomes the last.
    order = np.argsort(ranks - np.uint16(1), axis=1, kind="stable")
    counts = np.count_nonzero(ranks, axis=1)
    for places, count, rank, score in zip(
        order.tolist(), counts.tolist(), ranks.tolist(), candidates.scores[chosen].tolist(), strict=True
    ):
        yield [SourceHit(source=names[c], rank=rank[c], score=score[c]) for c in places[:count]]


def _contributions(parts: Iterable[Part]) -> list[public.Contribution]:
    return [
        public.Contribution(
            feature=part.feature,
            value=None if np.isnan(part.value) else part.value,
            contribution=part.contribution,
        )
        for part in parts
    ]


def _causes(reasons: Iterable[Reason], user: UserState, catalogue: Catalogue) -> dict[int, Cause]:
    """By key, what the user did with the items that led to some of the slate's."""
    keys = np.array(sorted({reason.because_key for reason in reasons if reason.because_key}), np.uint64)
    columns, rows = catalogue.items.columns(), catalogue.items.rows(keys)
    types = dict(zip(user.recent_keys.tolist(), user.recent_types.tolist(), strict=True))
    return {
        key: Cause(columns.titles[row] or columns.ids[row], catalogue.views.event_types[types[key]])
        for key, row in zip(keys.tolist(), rows.tolist(), strict=True)
        if row >= 0
    }


def answer(request: Request, slate: Slate, empty_reason: str) -> public.RecommendResponse:
    """The answer of both doors."""
    return public.RecommendResponse(
        request_id=request.request_id,
        items=slate.items,
        degraded=request.degraded,
        cold_start=slate.cold_start,
        release_id=slate.release_id,
        as_of_ms=request.as_of_ms,
        trace_id=telemetry.trace_id(),
        stages=[public.Stage(name=s.name, duration_ms=s.duration_ms) for s in request.stages],
        reason=empty_reason,
        rung=slate.rung,
    )


def impression(request: Request, slate: Slate) -> Impression:
    """The slate as the log keeps it."""
    items = []
    for shown in slate.items:
        logged = ImpressionItem(
            item_id=shown.item_id,
            position=shown.position,
            sources=shown.sources,
            propensity=shown.propensity,
            reason=_within(shown.reason, 256),
            ranker_score=shown.score if slate.ranked else None,
        )
        items.append(logged)
    return Impression(
        request_id=request.request_id,
        tenant=request.tenant,
        user_id=request.asked.user_id,
        session_id=request.asked.session_id,
        surface=request.asked.surface,
        as_of_ms=request.as_of_ms,
        release_id=slate.release_id,
        rung=slate.rung,
        items=items,
    )


def _within(text: str, size_bytes: int) -> str:
    return text.encode()[:size_bytes].decode("utf-8", "ignore")
