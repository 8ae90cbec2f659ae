"""Items whose words are near those of the user's last items: it needs no interaction with what it proposes."""

from snowmelt.retrieval.request import Request
from snowmelt.retrieval.sources.source import Answer


class ContentSource:
    """The content source; the score is the weighted mean cosine to the last items."""

    def __init__(self, last_items: int, half_life_days: float) -> None:
        self._last_items = last_items
        self._half_life_days = half_life_days

    def propose(self, request: Request) -> Answer:
        """The nearest allowed items in words; none for a user without known items."""
        last = request.history[: self._last_items]
        if not len(last):
            return Answer.nothing()
        weights = request.recency_to_newest(self._half_life_days)[: self._last_items]
        contents = request.shelf.contents
        return Answer.best_of(contents.scores(contents.taste(last, weights / weights.sum())), request)
