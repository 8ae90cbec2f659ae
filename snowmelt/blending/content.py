"""What blending reads of the candidates' content, as it is now and not as it was when they were retrieved."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import overload

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import ItemSource, Rows

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Content:
    """n candidates.

    Attributes:
        known: bool[n], whether the catalogue holds the item.
        withdrawn: bool[n].
        available_from_ms: int64[n].
        categories: n tuples of names, the main one first.
    """

    known: Mask
    withdrawn: Mask
    available_from_ms: npt.NDArray[np.int64]
    categories: Sequence[tuple[str, ...]]

    def __len__(self) -> int:
        return len(self.known)

    @classmethod
    def of(cls, items: ItemSource, keys: Keys) -> "Content":
        """The content of items by their keys, from one snapshot."""
        columns, rows = items.columns(), items.rows(keys)
        known = (rows >= 0) & (rows < len(columns))
        if not known.any():
            none = np.zeros(len(keys), np.bool_)
            return cls(none, none, np.zeros(len(keys), np.int64), [()] * len(keys))
        safe = np.where(known, rows, 0)
        categories = _Categories(columns.categories, np.where(known, rows, -1))
        return cls(known, columns.withdrawn[safe] & known, columns.available_from_ms[safe], categories)

    def incidence(self) -> npt.NDArray[np.float32]:
        """float32[n, C]: 1 where a candidate has a category; the C categories in order of their first candidate."""
        names = dict.fromkeys(chain.from_iterable(self.categories))
        columns = {name: column for column, name in enumerate(names)}
        matrix = np.zeros((len(self), len(columns)), np.float32)
        counts = np.fromiter(map(len, self.categories), np.int64, len(self))
        of = np.fromiter((columns[name] for name in chain.from_iterable(self.categories)), np.int64, counts.sum())
        matrix[np.repeat(np.arange(len(self)), counts), of] = 1
        return matrix


class _Categories(Sequence[tuple[str, ...]]):
    """The categories of some rows of a catalogue, looked up when asked: of hundreds a slate shows a few."""

    def __init__(self, catalogue: Sequence[tuple[str, ...]], rows: Rows) -> None:
        self._catalogue, self._rows = catalogue, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> tuple[str, ...]: ...
    @overload
    def __getitem__(self, place: slice) -> "_Categories": ...
    def __getitem__(self, place: int | slice) -> "tuple[str, ...] | _Categories":
        if isinstance(place, slice):
            return _Categories(self._catalogue, self._rows[place])
        row = self._rows[place]
        return self._catalogue[row] if row >= 0 else ()
