"""A shop whose items change: content and clicks, written as the feature lane does."""

import time
from collections.abc import Callable

from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts.clock import HOUR_MS
from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket
from snowmelt.features.defaults import default_views
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.item_replica import ItemReplica
from snowmelt.featurestore.store import StateStore
from tests.fixtures.writes import one_range

VIEWS = default_views()
ITEMS = [f"i{n}" for n in range(40)]
START_MS = 1_700_000_000_000
AS_OF_MS = START_MS + HOUR_MS

Follow = Callable[..., ItemReplica]


class Shop:
    """Writes content and clicks as the feature lane does."""

    def __init__(self, url: str, generation: str | None = None, views: CompiledViews = VIEWS) -> None:
        self.views = views
        self.store = StateStore(url, views, generation)
        self.offset = 0

    def put(self, rows: Rows) -> None:
        writes: dict[int, list[tuple[int, str, bytes]]] = {}
        for place, view in enumerate(self.views.views.values()):
            folded = view.fold(rows)
            for entity, state in zip(folded.entities, folded.states, strict=True):
                writes.setdefault(entity_bucket(DEFAULT_TENANT, entity), []).append((place, entity, state))
        self.offset += 1
        topic = f"{rows.topic}-{self.offset}"
        self.store.apply([one_range(b, "inc", topic, 0, 0, 1, deltas) for b, deltas in writes.items()])

    def upsert(self, items: list[str], title: str) -> None:
        upserts = [
            events_pb2.CatalogChange(
                upsert=events_pb2.ItemUpsert(
                    tenant=DEFAULT_TENANT, item_id=i, title=title, event_time_ms=START_MS + self.offset
                )
            )
            for i in items
        ]
        self.put(Rows.from_catalog(upserts, [u.SerializeToString() for u in upserts], list(range(len(upserts)))))

    def click(self, items: list[str], type_: str = "click", value: float | None = None) -> None:
        clicks = [
            events_pb2.Event(
                event_id=f"e{n}",
                tenant=DEFAULT_TENANT,
                user_id=f"u{n}",
                item_id=i,
                type=type_,
                value=value,
                event_time_ms=START_MS + self.offset,
            )
            for n, i in enumerate(items)
        ]
        self.put(Rows.from_events(clicks, self.views, list(range(len(clicks)))))


def until(holds: Callable[[], object], what: str = "it never came about", timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
