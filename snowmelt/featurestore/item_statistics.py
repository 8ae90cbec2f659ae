"""The replica's statistics: packed states of items, and the numbers that were finished of them and still stand."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys, item_keys
from snowmelt.contracts.items import Rows
from snowmelt.features.reading import OnlineReading
from snowmelt.features.views import CompiledView
from snowmelt.featurestore.key_index import KeyIndex

FINISHED_AT_ONCE = 4096


class ItemStatistics:
    """Finishes a state once for as long as its numbers stand; what decays is faded at each read.

    Windows fall although nothing changes, so numbers come with the span of instants for which they are exact: a row is
    finished anew where its span does not hold the instant that is asked for. One thread updates, and finishes what has
    changed for the instant that was asked for last, so that no request has to; any thread reads.
    """

    def __init__(self, view: CompiledView, tenant: str) -> None:
        self._view, self._tenant = view, tenant
        self._names = view.scalars
        self._plan = view.plan(self._names)
        self._lock = threading.Lock()
        self._index = KeyIndex()
        # Row 0 is the state of nothing; finishing it now takes the time to compile from the first request.
        self._states: list[bytes | None] = [None]
        self._asked_ms = 0
        self._values, self._spans = self._plan.numbers(self._plan.open([None]), self._asked_ms)

    def update(self, states: Sequence[tuple[str, bytes]]) -> None:
        """Takes the newest states of some items, (item_id, packed state), each item once.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where one is no state of the view; then none is taken.
        """
        keys = item_keys(self._tenant, (item for item, _ in states))
        packed = [state for _, state in states]
        finished = self._plan.numbers(self._plan.open(packed), self._asked_ms)
        with self._lock:
            self._index = self._index.extended(keys)
            rows, size = self._index.find(keys) + 1, len(self._index) + 1
            self._states += [None] * (size - len(self._states))
            for row, state in zip(rows.tolist(), packed, strict=True):
                self._states[row] = state
            if size > len(self._spans):
                self._values, self._spans = _grown(self._values, size), _grown(self._spans, size)
            self._values[rows], self._spans[rows] = finished.values, finished.spans

    def read(self, keys: Keys, as_of_ms: int) -> dict[str, npt.NDArray[np.float32]]:
        """Each number of the view by name, [n], finished at ``as_of_ms``; an unknown item has those of nothing."""
        with self._lock:
            self._asked_ms = as_of_ms
            rows = self._index.find(keys) + 1
            spans = self._spans[rows]
            stale = rows[(spans[:, 0] > as_of_ms) | (spans[:, 1] <= as_of_ms)]
            for start in range(0, len(stale), FINISHED_AT_ONCE):
                self._finish(stale[start : start + FINISHED_AT_ONCE], as_of_ms)
            values = self._values[rows]
        return self._view.values(OnlineReading(self._plan, values, {}, as_of_ms), self._names)

    def _finish(self, rows: Rows, as_of_ms: int) -> None:
        found = self._plan.numbers(self._plan.open([self._states[row] for row in rows.tolist()]), as_of_ms)
        self._values[rows], self._spans[rows] = found.values, found.spans


def _grown(old: npt.NDArray[Any], size: int) -> npt.NDArray[Any]:
    """With room for ``size`` rows and some more, so that a growing catalogue is not copied item by item."""
    grown = np.empty((size + size // 4, old.shape[1]), old.dtype)
    grown[: len(old)] = old
    return grown
