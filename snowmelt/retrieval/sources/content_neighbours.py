"""Items whose words are near those of the user's last items: it needs no interaction with what it proposes."""

import numpy as np

from snowmelt.retrieval.request import Request
from snowmelt.retrieval.sources.source import Answer
from snowmelt.retrieval.text import Vectors


class ContentSource:
    """The content source; the score is the weighted mean cosine to the last items."""

    def __init__(self, last_items: int) -> None:
        self._last_items = last_items

    def propose(self, request: Request) -> Answer:
        """The nearest allowed items in words; none for a user without known items."""
        last = request.history[: self._last_items]
        if not len(last):
            return Answer.nothing()
        index = request.shelf.contents
        weights = request.history_weights[: self._last_items]
        taste: Vectors = np.sum(index.vectors(last) * (weights / weights.sum())[:, None], axis=0, dtype=np.float32)
        return Answer(index.search(taste, request.limit, request.allowed), lambda rows: index.scores(taste, rows))
