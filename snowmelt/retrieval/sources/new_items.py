"""The newest items of the catalogue, whoever the user is."""

import numpy as np

from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.items import Rows
from snowmelt.retrieval.merge import Proposal, Scores
from snowmelt.retrieval.request import Request
from snowmelt.retrieval.sources.source import Answer
from snowmelt.retrieval.topk import first_allowed


class NewItemsSource:
    """Items by the time since they became available; the score is 1 then and halves each half-life."""

    def __init__(self, half_life_days: float) -> None:
        self._half_life_ms = half_life_days * DAY_MS

    def propose(self, request: Request) -> Answer:
        """The newest allowed items."""
        available, as_of = request.shelf.catalog.available_from_ms, request.query.as_of_ms

        def scores(rows: Rows) -> Scores:
            return np.exp2((available[rows] - as_of) / self._half_life_ms).astype(np.float32)

        rows = first_allowed(request.shelf.catalog.by_age, request.allowed, request.limit)
        return Answer(Proposal(rows, scores(rows)), scores)
