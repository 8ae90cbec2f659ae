"""The online state against a recomputation from the lake, over every view and every topic that feeds it."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.chaos.rig import Rig
from snowmelt.contracts.topics import CATALOG, EVENTS, FEATURE_TOPICS, IMPRESSIONS
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledView
from snowmelt.featurestore import names
from snowmelt.featurestore.digest import alike
from snowmelt.lake import TOPIC_TABLES

CHUNK_ROWS = 100_000


class Recomputation:
    """What the lake's rows fold to; each row is folded once, however often it is asked."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._states: dict[str, dict[str, bytes]] = {name: {} for name in rig.views.views}
        self._ends: dict[str, dict[int, int]] = {topic: {} for topic in FEATURE_TOPICS}

    def catch_up(self) -> dict[str, int]:
        """Folds the rows that have landed since the last call; how many there are now, by topic."""
        landed = {}
        for topic in FEATURE_TOPICS:
            table = self._rig.lake.read(TOPIC_TABLES[topic])
            landed[topic] = len(table)
            table = table.filter(pa.array(self._news(topic, table)))
            for start in range(0, len(table), CHUNK_ROWS):
                rows = _made(self._rig, topic, table.slice(start, CHUNK_ROWS).combine_chunks())
                for view in self._rig.views.views.values():
                    _add(view, rows, self._states[view.name])
        return landed

    def differing(self) -> list[str]:
        """The views whose online states are not these; as of the last ``catch_up``."""
        mine = {name: sorted(states.items()) for name, states in self._states.items()}
        views = self._rig.views.views
        return [name for name, view in views.items() if not alike(view, mine[name], online(self._rig, name))]

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
    anew = Recomputation(rig)
    anew.catch_up()
    return anew.differing()


def online(rig: Rig, view: str) -> Iterator[tuple[str, bytes]]:
    """The states of the store's generation, (entity, packed state), by entity."""
    entities: list[str] = []
    for bucket in names.all_buckets():
        key = names.changes("default", bucket, rig.store.generation, view)
        entities += [e.decode() if isinstance(e, bytes) else str(e) for e in rig.store.client.zrange(key, 0, -1)]
    entities.sort()
    for start in range(0, len(entities), 1000):
        some = entities[start : start + 1000]
        yield from ((e, state or b"") for e, state in zip(some, rig.store.read(view, some), strict=True))


def _add(view: CompiledView, rows: Rows, known: dict[str, bytes]) -> None:
    folded = view.fold(rows)
    merged = view.merge_many([known.get(entity) for entity in folded.entities], folded.states)
    known.update(zip(folded.entities, merged, strict=True))


def _made(rig: Rig, topic: str, table: pa.Table) -> Rows:
    if topic == EVENTS:
        return Rows.from_arrow_events(table, rig.views)
    if topic == IMPRESSIONS:
        return Rows.from_arrow_impressions(table, rig.views)
    if topic == CATALOG:
        return Rows.from_arrow_catalog(table)
    raise ValueError(f"no view reads {topic}")
