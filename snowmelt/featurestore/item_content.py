"""The replica's items as columns: updated by making a new value, so that a reader's stays as it is."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import ItemColumns
from snowmelt.features.content import columns
from snowmelt.features.views import CompiledView
from snowmelt.featurestore.key_index import KeyIndex

CONTENT_FEATURE = "content"
FIRST_UPSERT_FEATURE = "first_upsert"

_ALL_TIME_MS = 2**53
"""The catalogue is taken as it is: content that begins in the future still is the item's content."""


@dataclass(frozen=True)
class ItemContent:
    """Columns of all items and where each key's row is in them."""

    columns: ItemColumns
    index: KeyIndex

    @classmethod
    def empty(cls) -> "ItemContent":
        """No items."""
        return cls(columns([]), KeyIndex())

    def updated(self, view: CompiledView, states: Sequence[bytes]) -> tuple["ItemContent", Keys]:
        """With the items of some packed states of ``view`` put in or replaced; and the keys of those, uint64[m].

        Raises:
            SnowmeltError, DecodeError: FEATURES_MISMATCH where one is no state of the view; it holds no item.
        """
        values = view.finish(states, _ALL_TIME_MS)
        known = [row for row, payload in enumerate(values[CONTENT_FEATURE]) if payload is not None]
        fresh = columns([values[CONTENT_FEATURE][row] for row in known], values[FIRST_UPSERT_FEATURE][known])
        index = self.index.extended(fresh.keys)
        rows = index.find(fresh.keys)
        names = ("keys", "ids", "titles", "texts", "categories", "prices", "available_from_ms", "withdrawn")
        merged = {name: _put(getattr(self.columns, name), getattr(fresh, name), rows, len(index)) for name in names}
        return ItemContent(replace(self.columns, **merged), index), fresh.keys


def _put(old: Any, new: Any, rows: np.ndarray[Any, Any], size: int) -> Any:
    if isinstance(old, np.ndarray):
        grown = np.empty(size, old.dtype)
        grown[: len(old)] = old
        grown[rows] = new
        return grown
    listed = [*old, *([None] * (size - len(old)))]
    for row, value in zip(rows.tolist(), new, strict=True):
        listed[row] = value
    return listed
