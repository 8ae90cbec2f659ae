"""A catalogue laid over the tables of a release: which item has which vector, old or new."""

from dataclasses import dataclass

import numpy as np

from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import ItemColumns, Rows
from snowmelt.retrieval.catalog import Catalog
from snowmelt.retrieval.index import VectorIndex
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
        fresh_keys: uint64[m], keys of ``fresh_contents``.
        fresh_hashes: uint64[m].
        fresh_contents: float32[m, c], content vectors that the release does not hold.
    """

    catalog: Catalog
    table_rows: Rows
    table_places: Rows
    items: VectorIndex
    contents: VectorIndex
    hashes: Keys
    fresh_keys: Keys
    fresh_hashes: Keys
    fresh_contents: Vectors

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
        contents = _embed(tables, catalog, fresh, by_row, before)
        places = table_places[fresh]
        vectors = _item_vectors(tables, contents, places)
        return cls(
            catalog,
            table_rows,
            table_places,
            VectorIndex.over((tables.item_index, tables.item_vectors), table_rows, (vectors, fresh), len(catalog)),
            VectorIndex.over(
                (tables.content_index, tables.content_vectors), table_rows, (contents, fresh), len(catalog)
            ),
            hashes,
            catalog.keys[fresh],
            by_row[fresh],
            contents,
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


def _embed(tables: RetrievalTables, catalog: Catalog, rows: Rows, hashes: Keys, before: Shelf | None) -> Vectors:
    """float32[m, c]: content vectors of rows, taken over from the shelf before where the content is the same."""
    vectors = np.empty((len(rows), tables.encoder.dimensions), np.float32)
    known: dict[tuple[int, int], int] = {}
    if before is not None:
        pairs = zip(before.fresh_keys.tolist(), before.fresh_hashes.tolist(), strict=True)
        known = {pair: place for place, pair in enumerate(pairs)}
    for place, row in enumerate(rows.tolist()):
        old = known.get((int(catalog.keys[row]), int(hashes[row])))
        if old is not None and before is not None:
            vectors[place] = before.fresh_contents[old]
        else:
            vectors[place] = tables.encoder.encode(*catalog.content(row))
    return vectors


def _item_vectors(tables: RetrievalTables, contents: Vectors, places: Rows) -> Vectors:
    """float32[m, d]: item vectors of new content; what interactions taught of an item that the tables know stays."""
    known = places >= 0
    change = contents.copy()
    change[known] -= tables.content_vectors[places[known]]
    vectors = np.empty((len(contents), tables.item_vectors.shape[1]), np.float32)
    for place, row in enumerate(change):
        # One row at a time: the bits of a vector must not depend on which others arrived with it.
        vectors[place] = row @ tables.content_map
    vectors[known] = tables.item_vectors[places[known]] + (1 - tables.evidence[places[known], None]) * vectors[known]
    return vectors
