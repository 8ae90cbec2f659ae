"""Nearest vectors: a FAISS index made with the release, a small part for what is newer, tombstones for the replaced."""

from dataclasses import dataclass
from pathlib import Path

import faiss
import numpy as np
import numpy.typing as npt

from snowmelt.contracts.items import Rows
from snowmelt.retrieval.layout import Layout
from snowmelt.retrieval.merge import Proposal
from snowmelt.retrieval.text import Vectors
from snowmelt.retrieval.topk import best_rows

EXACT_LIMIT = 200_000
"""Up to so many vectors each search looks at all of them; beyond, at the nearest of about 4 * sqrt(n) cells."""

PROBES_SHARE = 0.05


def build_main(vectors: Vectors, exact_limit: int = EXACT_LIMIT) -> faiss.Index:
    """A FAISS index by inner product over float32[T, d]; the id of a vector is its place."""
    count, dimensions = vectors.shape
    cells = int(4 * count**0.5)
    kind = "Flat" if count <= exact_limit else f"IVF{cells},Flat"
    index = faiss.index_factory(dimensions, kind, faiss.METRIC_INNER_PRODUCT)
    if isinstance(index, faiss.IndexIVF):
        index.nprobe = max(1, int(cells * PROBES_SHARE))
        index.train(vectors)
    index.add(vectors)
    return index


def write_main(index: faiss.Index, path: Path) -> None:
    """Writes a main index to a file."""
    faiss.write_index(index, str(path))


def read_main(path: Path) -> faiss.Index:
    """Reads a main index; the file must have been verified by its hash: FAISS may crash on a damaged one."""
    return faiss.read_index(str(path))


def use_threads(count: int) -> None:
    """How many threads a FAISS search of this process may take; one keeps a service's cores for other requests."""
    faiss.omp_set_num_threads(count)


@dataclass(frozen=True)
class VectorIndex:
    """An index over the rows of one catalogue; a change makes a new value that shares the main part.

    Attributes:
        main: FAISS index of the T vectors of the release.
        main_vectors: float32[T, d], the same vectors.
        fresh_vectors: float32[m, d], newer vectors.
        layout: the rows of both.
    """

    main: faiss.Index
    main_vectors: Vectors
    fresh_vectors: Vectors
    layout: Layout

    def vectors(self, rows: Rows) -> Vectors:
        """float32[n, d]: the vectors of catalogue rows; zeros where there is none."""
        found = np.zeros((len(rows), self.main_vectors.shape[1]), np.float32)
        old, places = self.layout.in_main(rows)
        found[old] = self.main_vectors[places]
        new, places = self.layout.in_fresh(rows)
        found[new] = self.fresh_vectors[places]
        return found

    def scores(self, query: Vectors, rows: Rows) -> Vectors:
        """float32[n]: inner products of the query float32[d] with the vectors of rows, as ``search`` gives them."""
        return _inner_products(self.vectors(rows), query)

    def search(self, query: Vectors, limit: int, allowed: npt.NDArray[np.bool_]) -> Proposal:
        """The ``limit`` best rows by inner product with float32[d], of those that bool[N] ``allowed`` lets through."""
        rows, scores = self._search_main(query, limit, allowed)
        fresh_rows = self.layout.fresh_rows
        if len(fresh_rows):
            mine = np.flatnonzero(allowed[fresh_rows])
            fresh = _inner_products(self.fresh_vectors[mine], query)
            rows = np.concatenate([rows, fresh_rows[mine]])
            scores = np.concatenate([scores, fresh])
        best = best_rows(scores, rows, limit)
        return Proposal(rows[best], scores[best])

    def _search_main(self, query: Vectors, limit: int, allowed: npt.NDArray[np.bool_]) -> tuple[Rows, Vectors]:
        rows = self.layout.main_rows
        open_to = (rows >= 0) & allowed[rows]
        count = min(limit, int(np.count_nonzero(open_to)))
        if not count:
            return np.empty(0, np.int64), np.empty(0, np.float32)
        bits = np.packbits(open_to, bitorder="little")
        options = faiss.SearchParameters()
        if isinstance(self.main, faiss.IndexIVF):
            options = faiss.SearchParametersIVF()
            options.nprobe = self.main.nprobe
        options.sel = faiss.IDSelectorBitmap(len(open_to), faiss.swig_ptr(bits))
        scores, ids = self.main.search(query[None, :], count, params=options)
        found = ids[0] >= 0
        return rows[ids[0][found]], scores[0][found]


def _inner_products(vectors: Vectors, query: Vectors) -> Vectors:
    # Row by row and not as a matrix product: the bits of a score must not depend on which rows stand beside it.
    products: Vectors = np.sum(vectors * query, axis=1, dtype=np.float32)
    return products
