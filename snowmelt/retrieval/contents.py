"""Words of items, searched by words: postings made with the release, and the words of what is newer."""

from dataclasses import dataclass

import numpy as np

from snowmelt.contracts.items import Rows
from snowmelt.retrieval.layout import Layout
from snowmelt.retrieval.spans import SparseRows, Weights

TASTE_LIMIT = 256
"""Of a user's words the heaviest are searched, so many at most."""


@dataclass(frozen=True)
class Taste:
    """A weighted set of terms: places int64[t] in the vocabulary and weights float32[t]."""

    terms: Rows
    weights: Weights


@dataclass(frozen=True)
class ContentIndex:
    """Content vectors over the rows of one catalogue; a change makes a new value that shares the main part.

    Attributes:
        width: V, the number of terms.
        main: the T content vectors of the release, by place.
        postings: the same by term.
        fresh: m newer content vectors.
        layout: the rows of both.
    """

    width: int
    main: SparseRows
    postings: SparseRows
    fresh: SparseRows
    layout: Layout

    def taste(self, rows: Rows, weights: Weights) -> Taste:
        """What the words of some rows have in common: the sum of their vectors, each times its weight."""
        old, places = self.layout.in_main(rows)
        words = self.main.weighted_sum(places, weights[old], self.width)
        new, places = self.layout.in_fresh(rows)
        if len(places):
            words += self.fresh.weighted_sum(places, weights[new], self.width)
        terms = np.flatnonzero(words)
        if len(terms) > TASTE_LIMIT:
            terms = np.sort(terms[np.lexsort((terms, -words[terms]))[:TASTE_LIMIT]])
        return Taste(terms, words[terms])

    def scores(self, taste: Taste) -> Weights:
        """float32[N]: the inner product of each row's content with a taste."""
        main_rows, fresh_rows = self.layout.main_rows, self.layout.fresh_rows
        scores = np.zeros(len(self.layout), np.float32)
        alive = main_rows >= 0
        sums = self.postings.weighted_sum(taste.terms, taste.weights, len(main_rows))
        scores[main_rows[alive]] = sums[alive]
        if len(fresh_rows):
            words = np.zeros(self.width, np.float32)
            words[taste.terms] = taste.weights
            of_row = np.repeat(np.arange(len(self.fresh)), np.diff(self.fresh.starts))
            products = self.fresh.weights * words[self.fresh.columns]
            scores[fresh_rows] = np.bincount(of_row, products, len(self.fresh))
        return scores
