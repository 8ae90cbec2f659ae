"""Where each key's row is: a sorted array, since a dictionary would cost an object a key."""

from dataclasses import dataclass, field

import numpy as np

from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import Rows


@dataclass(frozen=True)
class KeyIndex:
    """N distinct keys and their rows; never changed in place.

    Attributes:
        keys: uint64[N], ascending.
        rows: int64[N], aligned with keys.
    """

    keys: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    rows: Rows = field(default_factory=lambda: np.empty(0, np.int64))

    def __len__(self) -> int:
        return len(self.keys)

    def find(self, keys: Keys) -> Rows:
        """int64[n]: the row of each key; -1 where it is unknown."""
        if not len(self.keys):
            return np.full(len(keys), -1, np.int64)
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, self.rows[places], -1)

    def extended(self, keys: Keys) -> "KeyIndex":
        """The index with the unknown ones among ``keys`` (distinct) at the next rows, in their order."""
        fresh = keys[self.find(keys) < 0]
        if not len(fresh):
            return self
        order = np.argsort(fresh)
        places = np.searchsorted(self.keys, fresh[order])
        rows = np.arange(len(self), len(self) + len(fresh))[order]
        return KeyIndex(np.insert(self.keys, places, fresh[order]), np.insert(self.rows, places, rows))
