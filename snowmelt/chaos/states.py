"""The online state against a recomputation from the lake, over every view and every topic that feeds it."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.chaos.rig import Rig
from snowmelt.contracts.topics import CATALOG, EVENTS, FEATURE_TOPICS, IMPRESSIONS
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledView, CompiledViews
from snowmelt.featurestore import names
from snowmelt.featurestore.digest import alike
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import TOPIC_TABLES, Lake

CHUNK_ROWS = 100_000


class Recomputation:
    """What the lake's rows fold to; each row is folded once, however often it is asked."""

    def __init__(self, lake: Lake, store: StateStore) -> None:
        self._lake = lake
        self._store = store
        self._views = store.views
        self._states: dict[str, dict[str, bytes]] = {name: {} for name in self._views.views}
        self._ends: dict[str, dict[int, int]] = {topic: {} for topic in FEATURE_TOPICS}

    def catch_up(self) -> dict[str, int]:
        """Folds the rows that have landed since the last call; how many there are now, by topic."""
        landed = {}
        for topic in FEATURE_TOPICS:
            table = self._lake.read(TOPIC_TABLES[topic])
            landed[topic] = len(table)
            table = table.filter(pa.array(self._news(topic, table)))
            for start in range(0, len(table), CHUNK_ROWS):
                rows = _made(self._views, topic, table.slice(start, CHUNK_ROWS).combine_chunks())
                for view in self._views.views.values():
                    _add(view, rows, self._states[view.name])
        return landed

    def differing(self) -> list[str]:
        """The views whose online states are not these; as of the last ``catch_up``."""
        mine = {name: sorted(states.items()) for name, states in self._states.items()}
        views = self._views.views
        return [name for name, view in views.items() if not alike(view, mine[name], online(self._store, name))]

    def states(self) -> int:
        """How many states there are, over all views."""
        return sum(map(len, self._states.values()))

    def _news(self, topic: str, table: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        partitions, offsets = (table[name].to_numpy() for name in ("partition", "offset"))
        ends = self._ends[topic]
        fresh = np.zeros(len(table), np.bool_)
        for partition in pc.unique(table["partition"]).to_pylist():
            mine = partitions == partition
            fresh |= mine & (offsets >= ends.get(partition, 0))
            ends[partition] = int(offsets[mine].max()) + 1
        return fresh


def differing_views(rig: Rig) -> list[str]:
    """The views whose online states are not those that the lake's rows fold to."""
    anew = Recomputation(rig.lake, rig.store)
    anew.catch_up()
    return anew.differing()


def online(store: StateStore, view: str) -> Iterator[tuple[str, bytes]]:
    """The states of its generation, (entity, packed state), by entity."""
    entities: list[str] = []
    for bucket in names.all_buckets():
        key = names.changes("default", bucket, store.generation, view)
        entities += [e.decode() if isinstance(e, bytes) else str(e) for e in store.client.zrange(key, 0, -1)]
    entities.sort()
    for start in range(0, len(entities), 1000):
        some = entities[start : start + 1000]
        yield from ((e, state or b"") for e, state in zip(some, store.read(view, some), strict=True))


def _add(view: CompiledView, rows: Rows, known: dict[str, bytes]) -> None:
    folded = view.fold(rows)
    merged = view.merge_many([known.get(entity) for entity in folded.entities], folded.states)
    known.update(zip(folded.entities, merged, strict=True))


def _made(views: CompiledViews, topic: str, table: pa.Table) -> Rows:
    if topic == EVENTS:
        return Rows.from_arrow_events(table, views)
    if topic == IMPRESSIONS:
        return Rows.from_arrow_impressions(table, views)
    if topic == CATALOG:
        return Rows.from_arrow_catalog(table)
    raise ValueError(f"no view reads {topic}")
