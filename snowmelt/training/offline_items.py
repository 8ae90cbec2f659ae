"""Items as they were: content as of an instant, statistics as of any, out of the log instead of a replica."""

from collections.abc import Callable, Sequence

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
        self._whole = _Whole(statistics, self._codes, -1)

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

        Of the whole catalogue a feature is made when it is first looked at, and kept while the instant stays the same.
        """
        rows = self.rows(keys)
        if len(keys) >= len(self._keys) and self._whole.as_of_ms != as_of_ms:
            self._whole = _Whole(self._statistics, np.append(self._codes, -1), as_of_ms)
        if self._whole.as_of_ms == as_of_ms:
            return _Lazy(self._names, lambda name: self._whole.read(name)[rows])
        codes = np.where(rows >= 0, self._codes[rows], -1) if len(self._codes) else rows
        values = self._statistics.read_codes(codes, np.full(len(codes), as_of_ms), self._names)
        return {name: np.asarray(column, np.float32) for name, column in values.items()}


class _Whole:
    """Features of all items at one instant."""

    def __init__(self, statistics: AsOf, codes: Rows, as_of_ms: int) -> None:
        self.as_of_ms = as_of_ms
        self._statistics, self._codes = statistics, codes
        self._made: dict[str, npt.NDArray[np.float32]] = {}

    def read(self, name: str) -> npt.NDArray[np.float32]:
        """float32[N + 1] of a feature; the last place stands for what is unknown."""
        if name not in self._made:
            times = np.full(len(self._codes), self.as_of_ms)
            found = self._statistics.read_codes(self._codes, times, [name])[name]
            self._made[name] = np.asarray(found, np.float32)
        return self._made[name]


class _Lazy(dict[str, npt.NDArray[np.float32]]):
    """A dictionary whose values are made when they are asked for."""

    def __init__(self, names: tuple[str, ...], make: Callable[[str], npt.NDArray[np.float32]]) -> None:
        super().__init__()
        self._names, self._make = frozenset(names), make

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __missing__(self, name: str) -> npt.NDArray[np.float32]:
        if name not in self._names:
            raise KeyError(name)
        self[name] = self._make(name)
        return self[name]
