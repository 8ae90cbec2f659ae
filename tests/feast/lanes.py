"""Both lanes of ingest, one after the other: records of a topic into the lake, then into Redis; without Kafka."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from services.ingest.aggregate import StateSink
from services.ingest.crash import CrashPoints
from services.ingest.land import LakeSink
from services.ingest.lane import Lane
from snowmelt.api.events.v1 import events_pb2
from snowmelt.contracts.ids import DEFAULT_TENANT, record_key, session_entity
from snowmelt.contracts.topics import CATALOG, EVENTS, IMPRESSIONS
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import Lake
from snowmelt.runtime.kafka.consumer import Records
from tests.ingest.fakes import INCARNATIONS, NoHistory

START_MS = 1_750_000_000_000
TYPES = ("view", "click", "add_to_cart", "purchase", "rating")
REPEATED = 15
Record = tuple[bytes, bytes]


@dataclass(frozen=True)
class Cycle:
    """What happened in a time; of the events each fifteenth is sent again, and one record is no event at all."""

    events: list[events_pb2.Event]
    slates: list[events_pb2.Impression]
    end_ms: int

    @property
    def records(self) -> list[Record]:
        """Of the topic of events."""
        made = [(record_key(e.tenant, e.user_id or session_entity(e.session_id)), e) for e in self.events]
        sent = [(key, event.SerializeToString()) for key, event in made]
        return [*sent, (b"default/user-0", b"\xff"), *sent[::REPEATED]]


def make_cycles(count: int, events_each: int, users: int, items: int, step_ms: int, seed: int = 7) -> list[Cycle]:
    """A history in ``count`` cycles, each ``step_ms`` after the one before; within it times are out of order."""
    rng = np.random.default_rng(seed)
    return [
        Cycle(
            [_event(rng, f"{n}-{i}", users, items, START_MS + n * step_ms, step_ms) for i in range(events_each)],
            [_slate(rng, f"{n}-{i}", items, START_MS + n * step_ms, step_ms) for i in range(max(events_each // 10, 1))],
            START_MS + (n + 1) * step_ms,
        )
        for n in range(count)
    ]


def _event(rng, event_id, users, items, start_ms, step_ms):
    item, user = int(rng.integers(0, items) * rng.random()), f"user-{int(rng.integers(0, users))}"
    event = events_pb2.Event(
        event_id=event_id,
        tenant=DEFAULT_TENANT,
        user_id=user if rng.random() < 0.9 else "",
        session_id=f"session-of-{user}",
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
        landing = LakeSink(self.lake, INCARNATIONS, lambda: views.event_types, CrashPoints())
        aggregating = StateSink(lambda: StateStore(redis_url, views), INCARNATIONS, CrashPoints())
        self._lanes = [
            Lane(name, sink, NoHistory(), INCARNATIONS) for name, sink in (("lake", landing), ("features", aggregating))
        ]
        for lane in self._lanes:
            lane.begin([(topic, 0) for topic in self._next])

    def write(self, cycle: Cycle) -> None:
        """Lands a cycle in the lake, then applies it to the online state."""
        slates = [(record_key(s.tenant, s.user_id), s.SerializeToString()) for s in cycle.slates]
        self._write({EVENTS: cycle.records, IMPRESSIONS: slates}, cycle.end_ms)

    def write_catalog(self, items: int) -> None:
        """Lands and applies one upsert an item."""
        upserts = [
            events_pb2.ItemUpsert(tenant=DEFAULT_TENANT, item_id=f"item-{i}", title=f"Item {i}", event_time_ms=START_MS)
            for i in range(items)
        ]
        changes = [
            (record_key(u.tenant, u.item_id), events_pb2.CatalogChange(upsert=u).SerializeToString()) for u in upserts
        ]
        self._write({CATALOG: changes}, START_MS)

    def _write(self, topics: dict[str, Sequence[Record]], time_ms: int) -> None:
        taken = [self._records(topic, values, time_ms) for topic, values in topics.items()]
        for each in taken:
            self._next[each.topic] += len(each.offsets)
        for lane in self._lanes:
            for each in taken:
                lane.take([each])
            lane.beat()
            if lane.name == "lake":
                self.landed[self._next[EVENTS]] = self.lake.versions()

    def _records(self, topic: str, values: Sequence[Record], time_ms: int) -> Records:
        count, start = len(values), self._next[topic]
        keys, bodies = zip(*values, strict=True)
        offsets = list(range(start, start + count))
        return Records(topic, 0, offsets, [time_ms] * count, list(keys), list(bodies), [None] * count)
