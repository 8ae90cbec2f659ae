"""Counts of the whole catalogue, finished once for each tile of time instead of once a request."""

import threading
import time
from dataclasses import dataclass

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.items import ItemSource
from snowmelt.retrieval.catalog import Catalog
from snowmelt.retrieval.request import Counts

TILES_KEPT = 4


@dataclass(frozen=True)
class _Finished:
    catalog: Catalog
    made_s: float
    statistics: dict[str, Counts]


class CountTiles:
    """A cache of ``ItemSource.statistics`` of all items, by catalogue and tile of the instant.

    An entry is read for at most two tiles' length of real time, so that new events are seen where time stands still.
    """

    def __init__(self, items: ItemSource, tile_ms: int) -> None:
        self._items = items
        self._tile_ms = tile_ms
        self._tiles: dict[int, _Finished] = {}
        self._lock = threading.Lock()

    def read(self, catalog: Catalog, as_of_ms: int, feature: str) -> Counts:
        """float32[N] of a feature, finished at the last multiple of the tile at or before the instant.

        Raises:
            SnowmeltError: FEATURES_MISMATCH where the view item_stats has no such feature.
        """
        statistics = self._finished(catalog, as_of_ms - as_of_ms % self._tile_ms).statistics
        if feature not in statistics:
            raise SnowmeltError(
                Reason.FEATURES_MISMATCH, f"item_stats has no feature {feature}; name another for popularity to count"
            )
        return statistics[feature]

    def warm(self, catalog: Catalog, as_of_ms: int) -> None:
        """Finishes the tile that follows an instant, so that no request has to wait for it."""
        self._make(catalog, as_of_ms - as_of_ms % self._tile_ms + self._tile_ms)

    def _finished(self, catalog: Catalog, tile: int) -> _Finished:
        found = self._tiles.get(tile)
        if found and found.catalog is catalog and time.monotonic() - found.made_s < 2 * self._tile_ms / 1000:
            return found
        return self._make(catalog, tile)

    def _make(self, catalog: Catalog, tile: int) -> _Finished:
        with self._lock:
            made = _Finished(catalog, time.monotonic(), self._items.statistics(catalog.keys, tile))
            kept = sorted(self._tiles.items(), key=lambda entry: entry[1].made_s)[-(TILES_KEPT - 1) :]
            self._tiles = dict(kept) | {tile: made}
            return made
