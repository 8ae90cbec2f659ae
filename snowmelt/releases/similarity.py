"""How alike items are by their words, over the content vectors of a release and of what is newer."""

import numba
import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import Rows
from snowmelt.retrieval import Retriever
from snowmelt.retrieval.shelf import Shelf
from snowmelt.retrieval.spans import SparseRows

Matrix = npt.NDArray[np.float32]


class ContentSimilarity:
    """The port ``ranking.assemble.Similarity`` over a retriever's shelf, which embeds new items by itself."""

    def __init__(self, retriever: Retriever) -> None:
        self._retriever = retriever

    def refresh(self) -> None:
        """Takes up new content now."""
        self._retriever.refresh()

    def between(self, keys: Keys, others: Keys) -> Matrix:
        """float32[n, m]: inner products of content vectors of length 1; NaN where an item is not on the shelf."""
        shelf = self._retriever.refresh()
        alike = np.full((len(keys), len(others)), np.nan, np.float32)
        mine, mine_words = _words(shelf, shelf.catalog.rows(keys))
        theirs, their_words = _words(shelf, shelf.catalog.rows(others))
        if len(mine) and len(theirs):
            alike[np.ix_(mine, theirs)] = _products(mine_words, their_words, shelf.contents.width)
        return alike


def _words(shelf: Shelf, rows: Rows) -> tuple[Rows, SparseRows]:
    """Which of some rows have a content vector, in the order of the vectors, and those."""
    known = np.flatnonzero(rows >= 0)
    old, main_places = shelf.contents.layout.in_main(rows[known])
    new, fresh_places = shelf.contents.layout.in_fresh(rows[known])
    parts = [_taken(shelf.contents.main, main_places), _taken(shelf.contents.fresh, fresh_places)]
    return np.concatenate([known[old], known[new]]), _joined(parts[0], parts[1])


def _taken(rows: SparseRows, places: Rows) -> SparseRows:
    entries, lengths = rows.entries(places)
    starts = np.zeros(len(places) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return SparseRows(starts, rows.columns[entries], rows.weights[entries])


def _joined(first: SparseRows, second: SparseRows) -> SparseRows:
    return SparseRows(
        np.concatenate([first.starts, first.starts[-1] + second.starts[1:]]),
        np.concatenate([first.columns, second.columns]),
        np.concatenate([first.weights, second.weights]),
    )


def _products(mine: SparseRows, theirs: SparseRows, width: int) -> Matrix:
    out = np.zeros((len(mine), len(theirs)), np.float32)
    terms = np.unique(theirs.columns)
    local = np.full(width, -1, np.int32)
    local[terms] = np.arange(len(terms), dtype=np.int32)
    dense = np.zeros((len(terms), len(theirs)), np.float32)
    dense[local[theirs.columns], np.repeat(np.arange(len(theirs)), np.diff(theirs.starts))] = theirs.weights
    _add_products(mine.starts, local[mine.columns], mine.weights, dense, out)
    return out


@numba.njit(nogil=True, cache=True)
def _add_products(starts, terms, weights, dense, out):  # type: ignore[no-untyped-def]
    """Adds each row's products term by term, so that the bits of a pair depend on nothing but the pair."""
    for row in range(len(starts) - 1):
        for entry in range(starts[row], starts[row + 1]):
            term = terms[entry]
            if term >= 0:
                for column in range(dense.shape[1]):
                    out[row, column] += weights[entry] * dense[term, column]
