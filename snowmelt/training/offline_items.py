"""Items as they were: content as of an instant, statistics as of any, out of the log instead of a replica."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import ItemColumns, Rows
from snowmelt.features.asof import AsOf


class OfflineItems:
    """The port ``ItemSource`` over a past; not to be shared between threads."""

    def __init__(self, columns: ItemColumns, statistics: AsOf, names: Sequence[str]) -> None:
        """``statistics``: of the view item_stats; ``names``: its scalar features."""
        self._columns, self._statistics, self._names = columns, statistics, tuple(names)
        self._codes = statistics.codes(columns.ids)
        self._order = np.argsort(columns.keys, kind="stable")
        self._keys = columns.keys[self._order]
        self._whole: tuple[int, dict[str, npt.NDArray[np.float32]]] = (-1, {})

    def columns(self) -> ItemColumns:
        """The content, always the same value."""
        return self._columns

    def rows(self, keys: Keys) -> Rows:
        """int64[n]: each key's row in ``columns()``; -1 where it is unknown."""
        if not len(self._keys):
            return np.full(len(keys), -1, np.int64)
        place = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.where(self._keys[place] == keys, self._order[place], -1).astype(np.int64)

    def statistics(self, keys: Keys, as_of_ms: int) -> dict[str, npt.NDArray[np.float32]]:
        """Each scalar feature of item_stats, float32[n], as of an instant.

        Once the whole catalogue was asked for at an instant, parts of it at the same instant are taken from there.
        """
        rows = self.rows(keys)
        if self._whole[0] != as_of_ms:
            codes = np.where(rows >= 0, self._codes[rows], -1) if len(self._codes) else rows
            found = self._read(codes, as_of_ms)
            if len(keys) < len(self._keys):
                return found
            self._whole = (as_of_ms, self._read(np.append(self._codes, -1), as_of_ms))
        return {name: column[rows] for name, column in self._whole[1].items()}

    def _read(self, codes: Rows, as_of_ms: int) -> dict[str, npt.NDArray[np.float32]]:
        values = self._statistics.read_codes(codes, np.full(len(codes), as_of_ms), self._names)
        return {name: np.asarray(column, np.float32) for name, column in values.items()}
