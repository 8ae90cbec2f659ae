"""How alike items are by their words, over the content vectors of a release and of what is newer."""

import numba
import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import Rows
from snowmelt.retrieval import Retriever
from snowmelt.retrieval.shelf import Shelf

Matrix = npt.NDArray[np.float32]
Row = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]


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
        mine, theirs = _places(shelf, keys), _places(shelf, others)
        known = np.flatnonzero(theirs >= 0)
        if len(known) and len(keys):
            main, fresh = shelf.contents.main, shelf.contents.fresh
            local, dense = _dense([_row(shelf, place) for place in theirs[known].tolist()], shelf.contents.width)
            products = np.full((len(keys), len(known)), np.nan, np.float32)
            for rows, base in ((main, 0), (fresh, len(main))):
                _set_products((rows.starts, rows.columns, rows.weights), mine - base, local, dense, products)
            alike[:, known] = products
        return alike


def _places(shelf: Shelf, keys: Keys) -> Rows:
    """int64[n]: where each item's content vector stands, first those of the release, then the newer ones; else -1."""
    rows = shelf.catalog.rows(keys)
    return np.where(rows >= 0, shelf.contents.layout.places[rows], -1) if len(shelf.catalog) else rows


def _row(shelf: Shelf, place: int) -> Row:
    main, fresh = shelf.contents.main, shelf.contents.fresh
    return main.row(place) if place < len(main) else fresh.row(place - len(main))


def _dense(rows: list[Row], width: int) -> tuple[npt.NDArray[np.int32], Matrix]:
    """The terms of m rows numbered, int32[width] (-1: in none), and the rows over them, float32[t, m]."""
    columns = np.concatenate([terms for terms, _ in rows])
    local = np.full(width, -1, np.int32)
    local[columns] = 0
    terms = np.flatnonzero(local == 0)
    local[terms] = np.arange(len(terms), dtype=np.int32)
    dense = np.zeros((len(terms), len(rows)), np.float32)
    lengths = [len(terms_of_row) for terms_of_row, _ in rows]
    dense[local[columns], np.repeat(np.arange(len(rows)), lengths)] = np.concatenate([weights for _, weights in rows])
    return local, dense


@numba.njit(nogil=True, cache=True)
def _set_products(rows, places, local, dense, out):  # type: ignore[no-untyped-def]
    """Products of the rows that stand here, term by term, so that the bits of a pair depend on nothing but the pair."""
    starts, columns, weights = rows
    for row in range(len(places)):
        place = places[row]
        if place < 0 or place >= len(starts) - 1:
            continue
        out[row] = np.float32(0.0)
        for entry in range(starts[place], starts[place + 1]):
            term = local[columns[entry]]
            if term >= 0:
                for column in range(dense.shape[1]):
                    out[row, column] += weights[entry] * dense[term, column]
