"""The catalogue as retrieval reads it: rows in the order of their keys, so that equal scores always fall out alike."""

from dataclasses import dataclass, field
from itertools import chain

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys, word_key
from snowmelt.contracts.items import ItemColumns, Rows

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Catalog:
    """One value of the content, N rows by rising key.

    Attributes:
        columns: the content as it was read; ``places`` int64[N] says where each row stands in it.
        keys: uint64[N], rising.
        available_from_ms: int64[N].
        withdrawn: bool[N].
        by_age: int64[N], rows from the newest to the oldest.
        category_keys: uint64[c], rising; one entry for each category of each row.
        category_rows: int64[c], aligned with category_keys.
        words: the keys of the category names met so far.
    """

    columns: ItemColumns
    places: Rows
    keys: Keys
    available_from_ms: npt.NDArray[np.int64]
    withdrawn: Mask
    by_age: Rows
    category_keys: Keys
    category_rows: Rows
    words: dict[str, int] = field(repr=False)

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def of(cls, columns: ItemColumns, words: dict[str, int] | None = None) -> "Catalog":
        """The catalogue of some content; ``words`` of an earlier one saves hashing again."""
        places = np.argsort(columns.keys, kind="stable")
        available = columns.available_from_ms[places]
        names = list(chain.from_iterable(columns.categories))
        words = dict(words or ())
        words.update((name, word_key(name)) for name in set(names) - words.keys())
        keys = np.fromiter((words[name] for name in names), np.uint64, len(names))
        lengths = np.fromiter((len(c) for c in columns.categories), np.int64, len(columns))
        row_of = np.empty(len(places), np.int64)
        row_of[places] = np.arange(len(places))
        rows = np.repeat(row_of, lengths)
        order = np.lexsort((rows, keys))
        return cls(
            columns,
            places,
            columns.keys[places],
            available,
            columns.withdrawn[places],
            np.argsort(-available, kind="stable"),
            keys[order],
            rows[order],
            words,
        )

    def rows(self, keys: Keys) -> Rows:
        """int64[n]: the row of each key; -1 where it is unknown."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        found = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[found] == keys, found, -1).astype(np.int64)

    def in_category(self, category: np.uint64) -> Rows:
        """int64[n]: the rows that have a category, by its word key."""
        start, end = np.searchsorted(self.category_keys, category, side="left"), 0
        end = int(np.searchsorted(self.category_keys, category, side="right"))
        return self.category_rows[int(start) : end]

    def allowed(self, as_of_ms: int, categories: Keys, without: tuple[Keys, ...]) -> Mask:
        """bool[N]: available, not withdrawn, in one of the categories (none: any), and not in ``without``."""
        mask = (self.available_from_ms <= as_of_ms) & ~self.withdrawn
        if len(categories):
            within = np.zeros(len(self), np.bool_)
            for category in categories:
                within[self.in_category(category)] = True
            mask &= within
        for keys in without:
            rows = self.rows(keys)
            mask[rows[rows >= 0]] = False
        return mask

    def content(self, row: int) -> tuple[str, str, tuple[str, ...]]:
        """Title, text and categories of a row."""
        place = int(self.places[row])
        return self.columns.titles[place], self.columns.texts[place], self.columns.categories[place]
