"""A catalogue laid over the tables of a release: which item has which vector, old or new."""

from dataclasses import dataclass

import numpy as np

from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import ItemColumns, Rows
from snowmelt.retrieval.catalog import Catalog
from snowmelt.retrieval.contents import ContentIndex
from snowmelt.retrieval.index import VectorIndex
from snowmelt.retrieval.layout import Layout
from snowmelt.retrieval.spans import SparseRows
from snowmelt.retrieval.tables import RetrievalTables
from snowmelt.retrieval.text import Vectors, content_hash


@dataclass(frozen=True)
class Shelf:
    """One value of the catalogue, ready to be searched; a change of content makes the next value from this one.

    Attributes:
        table_rows: int64[T], the catalogue's row of each place of the tables; -1 where it is not in the catalogue.
        table_places: int64[N], the reverse.
        items: index of item vectors.
        contents: index of content vectors.
        hashes: uint64[N], content hashes in the order of ``catalog.columns``.
        fresh_hashes: uint64[m], of the fresh content vectors.
    """

    catalog: Catalog
    table_rows: Rows
    table_places: Rows
    items: VectorIndex
    contents: ContentIndex
    hashes: Keys
    fresh_hashes: Keys

    @classmethod
    def stock(cls, tables: RetrievalTables, columns: ItemColumns, before: "Shelf | None" = None) -> "Shelf":
        """The shelf of some content; embeds only what neither the release nor the shelf ``before`` holds."""
        catalog = Catalog.of(columns, before.catalog.words if before else None)
        hashes = _hashes(columns, before)
        by_row = hashes[catalog.places]
        table_rows = catalog.rows(tables.keys)
        table_places = np.full(len(catalog), -1, np.int64)
        on_shelf = table_rows >= 0
        table_places[table_rows[on_shelf]] = np.flatnonzero(on_shelf)
        same = table_places >= 0
        same[same] = tables.content_hashes[table_places[same]] == by_row[same]
        fresh = np.flatnonzero(~same)
        layout = Layout.of(table_rows, fresh, len(catalog))
        words = _embed(tables, catalog, fresh, by_row[fresh], before)
        vectors = _item_vectors(tables, words, table_places[fresh])
        return cls(
            catalog,
            table_rows,
            table_places,
            VectorIndex(tables.item_index, tables.item_vectors, vectors, layout),
            ContentIndex(len(tables.encoder.vocabulary), tables.contents, tables.postings, words, layout),
            hashes,
            by_row[fresh],
        )


def _hashes(columns: ItemColumns, before: Shelf | None) -> Keys:
    """Content hashes; a place whose strings are the very objects of the value before keeps its hash."""
    old = before.catalog.columns if before else None
    known = len(old) if old else 0
    hashes = np.empty(len(columns), np.uint64)
    parts = zip(columns.titles, columns.texts, columns.categories, strict=True)
    for place, (title, text, categories) in enumerate(parts):
        if (
            old is not None
            and before is not None
            and place < known
            and title is old.titles[place]
            and text is old.texts[place]
            and categories is old.categories[place]
        ):
            hashes[place] = before.hashes[place]
        else:
            hashes[place] = content_hash(title, text, categories)
    return hashes


def _embed(tables: RetrievalTables, catalog: Catalog, rows: Rows, hashes: Keys, before: Shelf | None) -> SparseRows:
    """Content vectors of m rows, taken over from the shelf before where the content is the same."""
    known: dict[int, int] = {}
    if before is not None:
        known = {content: place for place, content in enumerate(before.fresh_hashes.tolist())}
    vectors = []
    for row, content in zip(rows.tolist(), hashes.tolist(), strict=True):
        if before is not None and content in known:
            vectors.append(before.contents.fresh.row(known[content]))
        else:
            vectors.append(tables.encoder.encode(*catalog.content(row)))
    return SparseRows.of(vectors)


def _item_vectors(tables: RetrievalTables, words: SparseRows, places: Rows) -> Vectors:
    """float32[m, d]: item vectors of new content; what interactions taught of an item that the tables know stays."""
    vectors = np.empty((len(words), tables.item_vectors.shape[1]), np.float32)
    for fresh, place in enumerate(places.tolist()):
        now = tables.from_content(*words.row(fresh))
        if place >= 0:
            change = now - tables.from_content(*tables.contents.row(place))
            now = tables.item_vectors[place] + (1 - tables.evidence[place]) * change
        vectors[fresh] = now
    return vectors
