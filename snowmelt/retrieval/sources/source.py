"""The port of a candidate source."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from snowmelt.contracts.items import Rows
from snowmelt.retrieval.merge import Proposal, Scores
from snowmelt.retrieval.request import Request
from snowmelt.retrieval.topk import best_rows


def _no_say(rows: Rows) -> Scores:
    return np.full(len(rows), np.nan, np.float32)


@dataclass(frozen=True)
class Answer:
    """What a source says to one request.

    Attributes:
        proposal: its candidates.
        scores: of any rows int64[n], by the same measure, float32[n]; NaN where the source has no say.
    """

    proposal: Proposal
    scores: Callable[[Rows], Scores]

    @classmethod
    def nothing(cls) -> "Answer":
        """Of a source that knows nothing about the user."""
        return cls(Proposal.nothing(), _no_say)

    @classmethod
    def best_of(cls, scores: Scores, request: Request) -> "Answer":
        """The best allowed rows with a score float32[N] above 0."""
        rows = np.flatnonzero(request.allowed & (scores > 0))
        best = rows[best_rows(scores[rows], rows, request.limit)]
        return cls(Proposal(best, scores[best]), scores.__getitem__)


class Source(Protocol):
    """Proposes candidates; pure, and safe for use by many threads."""

    def propose(self, request: Request) -> Answer:
        """The best ``request.limit`` allowed rows; none where the source knows nothing of the user."""
