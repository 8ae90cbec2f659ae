"""Both lanes of ingest in one object: the same ranges of offsets into the lake and into Redis, without Kafka."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts.ids import BUCKETS, DEFAULT_TENANT, entity_bucket
from snowmelt.contracts.topics import CATALOG, EVENTS, IMPRESSIONS
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.store import StateStore
from snowmelt.lake.appending import Range
from snowmelt.lake.lake import Lake
from snowmelt.lake.schemas import TABLES
from tests.fixtures.writes import fences_after, one_range

INCARNATION = "test"
START_MS = 1_750_000_000_000
TYPES = ("view", "click", "add_to_cart", "purchase", "rating")


@dataclass(frozen=True)
class Cycle:
    """One range of each topic: offsets [start, end), and what the lake holds once it has landed."""

    events: list[events_pb2.Event]
    slates: list[events_pb2.Impression]


def make_cycles(count: int, events_each: int, users: int, items: int, step_ms: int, seed: int = 7) -> list[Cycle]:
    """A history in ``count`` cycles, each ``step_ms`` after the one before; within it times are out of order."""
    rng = np.random.default_rng(seed)
    return [
        Cycle(
            [_event(rng, f"{n}-{i}", users, items, START_MS + n * step_ms, step_ms) for i in range(events_each)],
            [_slate(rng, f"{n}-{i}", items, START_MS + n * step_ms, step_ms) for i in range(max(events_each // 10, 1))],
        )
        for n in range(count)
    ]


def _event(rng, event_id, users, items, start_ms, step_ms):
    item = int(rng.integers(0, items) * rng.random())
    event = events_pb2.Event(
        event_id=event_id,
        tenant=DEFAULT_TENANT,
        user_id=f"user-{int(rng.integers(0, users))}",
        item_id=f"item-{item}",
        type=TYPES[int(rng.integers(0, len(TYPES)))],
        event_time_ms=start_ms + int(rng.integers(0, step_ms)),
        categories=[f"category-{item % 5}", f"category-{item % 3 + 5}"],
        price=1.0 + item / 4,
    )
    if event.type == "rating":
        event.value = float(rng.integers(1, 6))
    return event


def _slate(rng, request_id, items, start_ms, step_ms):
    return events_pb2.Impression(
        request_id=request_id,
        tenant=DEFAULT_TENANT,
        user_id="user-0",
        as_of_ms=start_ms + int(rng.integers(0, step_ms)),
        items=[
            events_pb2.ImpressionItem(item_id=f"item-{int(i)}", position=n, propensity=1.0)
            for n, i in enumerate(rng.permutation(items)[:5])
        ],
    )


class Lanes:
    """Writes cycles; ``landed`` says of each next offset of events which versions of the lake hold just that much."""

    def __init__(self, redis_url: str, lake_url: str, views: CompiledViews) -> None:
        self.store = StateStore(redis_url, views)
        self.lake = Lake(lake_url)
        self.lake.create()
        self.views = views
        self.landed: dict[int, dict[str, int]] = {0: self.lake.versions()}
        self._next = {EVENTS: 0, IMPRESSIONS: 0, CATALOG: 0}

    def write(self, cycle: Cycle) -> None:
        """Lands a cycle in the lake, then applies it to the online state."""
        self._land(cycle)
        self.apply(cycle)

    def write_catalog(self, items: int) -> None:
        """Lands and applies one upsert an item."""
        upserts = [
            events_pb2.ItemUpsert(tenant=DEFAULT_TENANT, item_id=f"item-{i}", title=f"Item {i}", event_time_ms=START_MS)
            for i in range(items)
        ]
        changes = [events_pb2.CatalogChange(upsert=u) for u in upserts]
        payloads = [c.SerializeToString() for c in changes]
        rows = [
            {
                "tenant": u.tenant,
                "item_id": u.item_id,
                "change": "upsert",
                "title": u.title,
                "event_time": _instant(START_MS),
                "payload": payload,
                **_place(n, START_MS),
            }
            for n, (u, payload) in enumerate(zip(upserts, payloads, strict=True))
        ]
        table = pa.Table.from_pylist(rows, TABLES["catalog"])
        self.lake.append("catalog", table, [Range(INCARNATION, CATALOG, 0, 0, items)])
        self._apply(CATALOG, Rows.from_catalog(changes, payloads), items)

    def apply(self, cycle: Cycle) -> None:
        """Applies a cycle to the online state alone."""
        self._apply(EVENTS, Rows.from_events(cycle.events, self.views), len(cycle.events))
        self._apply(IMPRESSIONS, Rows.from_impressions(cycle.slates, self.views), len(cycle.slates))
        self._next[EVENTS] += len(cycle.events)
        self._next[IMPRESSIONS] += len(cycle.slates)

    def _land(self, cycle: Cycle) -> None:
        for table, topic, rows in (
            ("events", EVENTS, event_table(cycle.events, self._next[EVENTS])),
            ("impressions", IMPRESSIONS, impression_table(cycle.slates, self._next[IMPRESSIONS])),
        ):
            start = self._next[topic]
            self.lake.append(table, rows, [Range(INCARNATION, topic, 0, start, start + len(rows))])
        self.landed[self._next[EVENTS] + len(cycle.events)] = self.lake.versions()

    def _apply(self, topic: str, rows: Rows, records: int) -> None:
        deltas: list[list[tuple[int, str, bytes]]] = [[] for _ in range(BUCKETS)]
        for index, view in enumerate(self.views.views.values()):
            folded = view.fold(rows)
            for tenant, entity, state in zip(folded.tenants, folded.entities, folded.states, strict=True):
                deltas[entity_bucket(tenant, entity)].append((index, entity, state))
        start, end = self._next[topic], self._next[topic] + records
        writes = [one_range(b, INCARNATION, topic, 0, start, end, deltas[b]) for b in range(BUCKETS)]
        assert fences_after(self.store, *writes) == [end] * BUCKETS


def event_table(events: Sequence[events_pb2.Event], first_offset: int) -> pa.Table:
    """Events as the lake keeps them."""
    rows = [
        {
            "event_id": e.event_id,
            "tenant": e.tenant,
            "user_id": e.user_id or None,
            "session_id": e.session_id or None,
            "item_id": e.item_id,
            "type": e.type,
            "value": e.value if e.HasField("value") else None,
            "event_time": _instant(e.event_time_ms),
            "categories": list(e.categories),
            "price": e.price if e.HasField("price") else None,
            **_place(first_offset + n, e.event_time_ms),
        }
        for n, e in enumerate(events)
    ]
    return pa.Table.from_pylist(rows, TABLES["events"])


def impression_table(slates: Sequence[events_pb2.Impression], first_offset: int) -> pa.Table:
    """Impressions as the lake keeps them."""
    rows = [
        {
            "request_id": s.request_id,
            "tenant": s.tenant,
            "user_id": s.user_id or None,
            "as_of": _instant(s.as_of_ms),
            "items": [{"item_id": i.item_id, "position": i.position, "propensity": i.propensity} for i in s.items],
            **_place(first_offset + n, s.as_of_ms),
        }
        for n, s in enumerate(slates)
    ]
    return pa.Table.from_pylist(rows, TABLES["impressions"])


def _place(offset: int, time_ms: int) -> dict[str, object]:
    return {"incarnation": INCARNATION, "partition": 0, "offset": offset, "record_time": _instant(time_ms)}


def _instant(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
