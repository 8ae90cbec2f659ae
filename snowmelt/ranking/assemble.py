"""Feature assembly: user state and candidates in, one matrix out; numpy throughout, nothing per candidate in Python."""

from typing import Protocol

import numpy as np

from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import ItemColumns, ItemSource, Rows
from snowmelt.contracts.user_state import UserState
from snowmelt.features.feature_list import FeatureList
from snowmelt.ranking.categories import CategoryCache
from snowmelt.ranking.schema import RankingSchema
from snowmelt.ranking.trees import Matrix

HISTORY_HALF_LIFE_DAYS = 30.0
MISSING = np.float32(np.nan)


class Similarity(Protocol):
    """How alike items are by their content."""

    def between(self, keys: Keys, others: Keys) -> Matrix:
        """float32[n, m] of 0 to 1; NaN where the content of one of the two is not known."""

    def refresh(self) -> None:
        """Takes up new content now, so that the next request need not."""


class FeatureAssembler:
    """Makes the matrix of ``schema`` for one request; safe for use by many threads."""

    def __init__(self, schema: RankingSchema, items: ItemSource, similarity: Similarity) -> None:
        self.schema = schema
        self._items, self._similarity = items, similarity
        self._categories = CategoryCache()

    @property
    def features(self) -> FeatureList:
        """The columns, in order."""
        return self.schema.features

    def refresh(self) -> None:
        """Takes up new content now, so that the next request need not."""
        self._categories.of(self._items.columns())
        self._similarity.refresh()

    def assemble(self, user: UserState, candidates: Candidates, as_of_ms: int) -> Matrix:
        """float32[n, F], C-contiguous, NaN where a feature is missing; everything as of one instant."""
        columns = self._items.columns()
        rows = self._items.rows(candidates.keys)
        rows = np.where(rows < len(columns), rows, -1)
        parts = [
            _of_candidates(candidates),
            *_of_sources(candidates, self.schema.sources),
            *self._statistics(candidates.keys, as_of_ms),
            *_of_items(columns, rows, as_of_ms),
            self._of_user(user, len(candidates), as_of_ms),
            *self._categories.of(columns).affinity(rows, user.category_keys, user.category_weights),
            _log_price_ratio(columns, rows, user.price_level),
            self._likeness(user, candidates.keys, as_of_ms),
        ]
        flat = np.empty((len(self.features), len(candidates)), np.float32)
        stop = 0
        for part in parts:
            start, stop = stop, stop + (1 if part.ndim == 1 else len(part))
            flat[start:stop] = part
        return np.ascontiguousarray(flat.T)

    def _statistics(self, keys: Keys, as_of_ms: int) -> list[Matrix]:
        found = self._items.statistics(keys, as_of_ms) if self.schema.statistics else {}
        return [found[name] for name in self.schema.statistics]

    def _of_user(self, user: UserState, n: int, as_of_ms: int) -> Matrix:
        last = user.recent_times_ms.max() if len(user.recent_times_ms) else None
        values = [
            *(user.type_counts.get(name, 0.0) for name in self.schema.event_types),
            len(user.recent_keys),
            np.nan if last is None else (as_of_ms - int(last)) / DAY_MS,
            user.price_level,
            *(user.numbers.get(name, np.nan) for name in self.schema.numbers),
        ]
        return np.repeat(np.array(values, np.float32)[:, None], n, axis=1)

    def _likeness(self, user: UserState, keys: Keys, as_of_ms: int) -> Matrix:
        """float32[3, n]: likeness to the recent items, mean by recency and greatest, and the age of the most alike."""
        if not len(user.recent_keys) or not len(keys):
            return _none(3, keys)
        alike = self._similarity.between(keys, user.recent_keys)
        ages = (as_of_ms - user.recent_times_ms) / DAY_MS
        weights = np.exp2(-(ages - ages.min()) / HISTORY_HALF_LIFE_DAYS)
        # What is not known of a recent item is missing in its whole column, of a candidate in its whole row.
        known = np.flatnonzero(~np.isnan(alike).all(axis=0))
        if len(known) < len(ages):
            alike, ages, weights = alike[:, known], ages[known], weights[known]
        total = weights.sum()
        if not total > 0:
            return _none(3, keys)
        best = np.argmax(alike, axis=1)
        most = alike[np.arange(len(keys)), best]
        # Summed by element and not by a matrix product, whose bits may depend on how many rows there are.
        mean = np.sum(alike * weights, axis=1) / total
        return np.stack([mean, most, np.where(most > 0, ages[best], np.nan)]).astype(np.float32)


def _none(count: int, keys: Keys) -> Matrix:
    return np.full((count, len(keys)), MISSING)


def _of_candidates(candidates: Candidates) -> Matrix:
    places = np.arange(1, len(candidates) + 1)
    return np.stack([places, np.count_nonzero(candidates.ranks, axis=1)]).astype(np.float32)


def _of_sources(candidates: Candidates, sources: tuple[str, ...]) -> tuple[Matrix, Matrix]:
    """Scores as shares of the source's best of the request, and ranks; float32[S, n], NaN where it did not propose."""
    scores, ranks = _none(len(sources), candidates.keys), _none(len(sources), candidates.keys)
    asked = [(sources.index(name), column) for column, name in enumerate(candidates.sources) if name in sources]
    if asked and len(candidates):
        places, columns = (list(side) for side in zip(*asked, strict=True))
        score, rank = candidates.scores.T[columns], candidates.ranks.T[columns]
        best = np.fmax.reduce(np.abs(score), axis=1, initial=0.0)
        scores[places] = score / np.where(best > 0, best, 1)[:, None]
        ranks[places] = np.where(rank > 0, rank, MISSING)
    return scores, ranks


def _of_items(columns: ItemColumns, rows: Rows, as_of_ms: int) -> tuple[Matrix, Matrix]:
    if not len(columns):
        return np.full(len(rows), MISSING), np.full(len(rows), MISSING)
    prices = np.where(rows >= 0, columns.prices[rows], np.nan)
    ages = np.where(rows >= 0, (as_of_ms - columns.available_from_ms[rows]) / DAY_MS, np.nan)
    return prices.astype(np.float32), ages.astype(np.float32)


def _log_price_ratio(columns: ItemColumns, rows: Rows, price_level: float) -> Matrix:
    if not len(columns) or not price_level > 0:
        return np.full(len(rows), MISSING)
    prices = np.where(rows >= 0, columns.prices[rows], np.nan)
    ratio = np.full(len(rows), np.nan)
    np.log(prices / price_level, out=ratio, where=prices > 0)
    return ratio.astype(np.float32)
