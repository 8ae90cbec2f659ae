"""A follower of the change log as retrieval and ranker have it, beside what Redis holds."""

import time
from dataclasses import fields
from typing import Any

import numpy as np

from snowmelt.chaos.rig import Rig
from snowmelt.chaos.states import online
from snowmelt.contracts.ids import DEFAULT_TENANT, Keys, item_keys
from snowmelt.contracts.items import ItemColumns
from snowmelt.featurestore.item_content import ItemContent
from snowmelt.featurestore.item_replica import CONTENT_VIEW, STATISTICS_VIEW, ItemReplica
from snowmelt.featurestore.item_statistics import ItemStatistics
from snowmelt.featurestore.live_views import LiveViews


class Follower:
    """A replica that follows from the start of a drill to its end; to be used as a context manager."""

    def __init__(self, rig: Rig, replica: type[ItemReplica] = ItemReplica) -> None:
        self._rig = rig
        self._replica = replica(rig.redis_url, LiveViews(rig.views))

    def __enter__(self) -> "Follower":
        self._replica.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._replica.stop()

    def differing(self, as_of_ms: int) -> list[str]:
        """What of content and statistics is not what Redis holds; an item that Redis does not know differs, too."""
        views = self._rig.views.views
        states = list(online(self._rig.store, STATISTICS_VIEW))
        expected = ItemStatistics(views[STATISTICS_VIEW], DEFAULT_TENANT)
        expected.update(states)
        content, _ = ItemContent.empty().updated(
            views[CONTENT_VIEW], [state for _, state in online(self._rig.store, CONTENT_VIEW)]
        )
        found = self._replica.columns()
        keys = np.union1d(item_keys(DEFAULT_TENANT, (item for item, _ in states)), found.keys)
        mine, wanted = self._replica.statistics(keys, as_of_ms), expected.read(keys, as_of_ms)
        wrong = [f"statistics {n}" for n in wanted if not np.array_equal(mine[n], wanted[n], equal_nan=True)]
        return wrong + ([] if _by_key(found) == _by_key(content.columns) else ["content"])

    def converged(self, as_of_ms: int, seconds: float) -> list[str]:
        """Waits until nothing differs; what still does after so long."""
        deadline = time.monotonic() + seconds
        while (wrong := self.differing(as_of_ms)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return wrong


def _by_key(columns: ItemColumns) -> dict[int, Any]:
    """Each item's content, as text where a number may be none."""
    keys: Keys = columns.keys
    each = zip(*(map(str, getattr(columns, f.name)) for f in fields(columns)), strict=True)
    return dict(zip(keys.tolist(), each, strict=True))
