"""Items' categories as flat arrays, so that a user's affinities reach hundreds of candidates at once."""

import threading
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys, word_keys
from snowmelt.contracts.items import ItemColumns, Rows

Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class CategoryRows:
    """N items' categories: those of row r are ``keys[starts[r]:starts[r + 1]]``, by their word keys."""

    starts: npt.NDArray[np.int64]
    keys: Keys

    @classmethod
    def of(cls, columns: ItemColumns) -> "CategoryRows":
        """The categories of some content."""
        starts = np.zeros(len(columns) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, columns.categories), np.int64, len(columns)), out=starts[1:])
        names = list(dict.fromkeys(chain.from_iterable(columns.categories)))
        key_of = dict(zip(names, word_keys(names).tolist(), strict=True))
        keys = map(key_of.__getitem__, chain.from_iterable(columns.categories))
        return cls(starts, np.fromiter(keys, np.uint64, int(starts[-1])))

    def affinity(self, rows: Rows, keys: Keys, weights: npt.NDArray[np.float64]) -> tuple[Values, Values]:
        """Sum and maximum, float32[n] each, of the shares of a user's weights that fall on each row's categories.

        NaN where the user has no weights, or the row (-1: unknown) no categories.
        """
        total = np.full(len(rows), np.nan, np.float32)
        most = total.copy()
        whole = weights.sum()
        safe = np.maximum(rows, 0)
        counts = np.where(rows >= 0, self.starts[safe + 1] - self.starts[safe], 0) if len(self.starts) > 1 else rows * 0
        some = np.flatnonzero(counts > 0)
        if not len(some) or not whole > 0:
            return total, most
        lengths = counts[some]
        ends = np.cumsum(lengths)
        places = np.arange(ends[-1]) + np.repeat(self.starts[rows[some]] - ends + lengths, lengths)
        order = np.argsort(keys)
        found = np.minimum(np.searchsorted(keys[order], self.keys[places]), len(keys) - 1)
        known = order[found]
        shares = np.where(keys[known] == self.keys[places], weights[known] / whole, 0.0)
        total[some] = np.add.reduceat(shares, ends - lengths)
        most[some] = np.maximum.reduceat(shares, ends - lengths)
        return total, most


class CategoryCache:
    """The category rows of the content that was read last; made again when the content has changed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: tuple[ItemColumns, CategoryRows] | None = None

    def of(self, columns: ItemColumns) -> CategoryRows:
        """The category rows of ``columns``."""
        held = self._held
        if held is None or held[0] is not columns:
            with self._lock:
                held = self._held
                if held is None or held[0] is not columns:
                    held = (columns, CategoryRows.of(columns))
                    self._held = held
        return held[1]
