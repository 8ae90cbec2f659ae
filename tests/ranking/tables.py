"""Retrieval tables of a small catalogue, built as the trainer builds them."""

import numpy as np

from snowmelt.api.events.v1.events_pb2 import Event
from snowmelt.contracts.clock import DAY_MS
from snowmelt.contracts.items import ItemColumns
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import Rows
from snowmelt.retrieval import RetrievalTables
from snowmelt.training.vectors import build_tables
from tests.ranking.house import NOW


def small_tables(items: ItemColumns) -> RetrievalTables:
    """Tables out of a few purchases."""
    rng = np.random.default_rng(3)
    events = [
        Event(
            event_id=f"e{number}",
            tenant="default",
            user_id=f"u{number % 6}",
            item_id=items.ids[int(rng.integers(len(items)))],
            type="purchase",
            event_time_ms=NOW - int(rng.integers(1, 20)) * DAY_MS,
        )
        for number in range(30)
    ]
    return build_tables(Rows.from_events(events, default_views()), items, NOW)
