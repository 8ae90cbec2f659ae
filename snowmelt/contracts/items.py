"""Items as columns, as retrieval and ranking read them: from a replica when serving, from the lake offline."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys

Rows = npt.NDArray[np.int64]
"""Places in the columns; -1 where an item is unknown."""


@dataclass(frozen=True)
class ItemColumns:
    """Content of N items, row by row; never changed in place: an update makes a new value with shared parts.

    Attributes:
        keys: uint64[N].
        ids, titles, texts: N strings.
        categories: N tuples of category names; the first is the main one.
        prices: float64[N], NaN where unknown.
        available_from_ms: int64[N].
        withdrawn: bool[N].
    """

    keys: Keys
    ids: Sequence[str]
    titles: Sequence[str]
    texts: Sequence[str]
    categories: Sequence[tuple[str, ...]]
    prices: npt.NDArray[np.float64]
    available_from_ms: npt.NDArray[np.int64]
    withdrawn: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


class ItemSource(Protocol):
    """Where an algorithm reads items: a snapshot of the content, and statistics finished at an instant."""

    def columns(self) -> ItemColumns:
        """The newest content; cheap, and the value stays as it is."""

    def rows(self, keys: Keys) -> Rows:
        """int64[n]: each key's row in ``columns()``; -1 where it is unknown."""

    def statistics(self, keys: Keys, as_of_ms: int) -> dict[str, npt.NDArray[np.float32]]:
        """Each feature of item_stats by name, float32[n], finished at ``as_of_ms``; counts of unknown items are 0."""
