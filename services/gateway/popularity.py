"""What the gateway can answer alone: the catalogue in order of its last week, kept in process."""

import logging
import threading
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.candidates import Candidates
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.ids import Keys
from snowmelt.contracts.items import ItemColumns, ItemSource

_LOG = logging.getLogger(__name__)

REFRESH_S = 3.0
SOURCE = "popularity"
_SIGNALS = ("interactions_7d", "interactions_28d", "interactions_decayed")

Order = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Chart:
    """The items that may be shown, best first.

    Attributes:
        keys: uint64[n]; scores: float32[n].
        by_category: places in ``keys`` of each category, ascending.
    """

    keys: Keys = field(default_factory=lambda: np.empty(0, np.uint64))
    scores: npt.NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    by_category: dict[str, Order] = field(default_factory=dict)

    def best(self, limit: int, hidden: Keys, categories: tuple[str, ...]) -> Candidates:
        """The first ``limit`` items that are not hidden and, where categories are named, belong to one of them."""
        places = self._places(categories)
        # Most of the chart is not hidden: a prefix does in all but odd cases.
        for size in (limit + len(hidden), len(places)):
            head = places[:size]
            kept = head[~np.isin(self.keys[head], hidden)][:limit]
            if len(kept) == limit:
                break
        ranks = np.arange(1, len(kept) + 1, dtype=np.uint16)[:, None]
        return Candidates(self.keys[kept], (SOURCE,), self.scores[kept][:, None], ranks)

    def _places(self, categories: tuple[str, ...]) -> Order:
        if not categories:
            return np.arange(len(self.keys))
        found = [self.by_category[c] for c in categories if c in self.by_category]
        return np.unique(np.concatenate(found)) if found else np.empty(0, np.int64)


def chart(columns: ItemColumns, statistics: dict[str, npt.NDArray[np.float32]], as_of_ms: int) -> Chart:
    """The chart at an instant: interactions of 7 days, then of 28, then decayed ones, then the newest item first."""
    shown = np.flatnonzero(~columns.withdrawn & (columns.available_from_ms <= as_of_ms))
    zeros = np.zeros(len(columns), np.float32)
    signals = [statistics.get(name, zeros)[shown] for name in _SIGNALS]
    falling = [-signal for signal in reversed(signals)]
    order = np.lexsort((columns.keys[shown], -columns.available_from_ms[shown], falling[0], falling[1], falling[2]))
    rows = shown[order]
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows.tolist()):
        for category in columns.categories[row]:
            places.setdefault(category, []).append(place)
    by_category = {name: np.array(found, np.int64) for name, found in places.items()}
    return Chart(columns.keys[rows], signals[0][order], by_category)


class Popularity:
    """Keeps the chart current from a thread of its own; ``chart`` is always a whole one."""

    def __init__(self, items: ItemSource, clock: Clock) -> None:
        self._items, self._clock = items, clock
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="popularity", daemon=True)
        self.chart = Chart()

    def start(self) -> None:
        """Begins to refresh."""
        self._thread.start()

    def stop(self) -> None:
        """Ends the thread."""
        self._stop.set()
        self._thread.join()

    def refresh(self) -> None:
        """Computes the chart now."""
        columns, now = self._items.columns(), self._clock.now_ms()
        self.chart = chart(columns, self._items.statistics(columns.keys, now), now)

    def _run(self) -> None:
        wait_s = 0.0
        while not self._stop.wait(wait_s):
            try:
                self.refresh()
            except Exception:  # noqa: BLE001 the thread lives on, and the log says why the chart is old
                _LOG.exception("the popular items could not be computed; the last ones stand")
            wait_s = REFRESH_S if len(self.chart.keys) else 0.2
