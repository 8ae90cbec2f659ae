"""The online state against a recomputation from the lake, over every view and every topic that feeds it."""

from collections.abc import Iterator

import pyarrow as pa

from snowmelt.chaos.rig import Rig
from snowmelt.contracts.topics import CATALOG, EVENTS, FEATURE_TOPICS, IMPRESSIONS
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledView
from snowmelt.featurestore import names
from snowmelt.featurestore.digest import digest_view
from snowmelt.lake import TOPIC_TABLES

CHUNK_ROWS = 100_000


def differing_views(rig: Rig) -> list[str]:
    """The views whose online states are not those that the lake's rows fold to."""
    anew: dict[str, dict[str, bytes]] = {name: {} for name in rig.views.views}
    for topic in FEATURE_TOPICS:
        for rows in _rows(rig, topic):
            for view in rig.views.views.values():
                _add(view, rows, anew[view.name])
    return [
        name
        for name, view in rig.views.views.items()
        if not digest_view(view, sorted(anew[name].items())).agrees(digest_view(view, _online(rig, name)))
    ]


def _add(view: CompiledView, rows: Rows, known: dict[str, bytes]) -> None:
    folded = view.fold(rows)
    merged = view.merge_many([known.get(entity) for entity in folded.entities], folded.states)
    known.update(zip(folded.entities, merged, strict=True))


def _rows(rig: Rig, topic: str) -> Iterator[Rows]:
    table = rig.lake.read(TOPIC_TABLES[topic])
    for start in range(0, len(table), CHUNK_ROWS):
        yield _made(rig, topic, table.slice(start, CHUNK_ROWS).combine_chunks())


def _made(rig: Rig, topic: str, table: pa.Table) -> Rows:
    if topic == EVENTS:
        return Rows.from_arrow_events(table, rig.views)
    if topic == IMPRESSIONS:
        return Rows.from_arrow_impressions(table, rig.views)
    if topic == CATALOG:
        return Rows.from_arrow_catalog(table)
    raise ValueError(f"no view reads {topic}")


def _online(rig: Rig, view: str) -> Iterator[tuple[str, bytes]]:
    entities: list[str] = []
    for bucket in names.all_buckets():
        key = names.changes("default", bucket, rig.store.generation, view)
        entities += [e.decode() if isinstance(e, bytes) else str(e) for e in rig.store.client.zrange(key, 0, -1)]
    entities.sort()
    for start in range(0, len(entities), 1000):
        some = entities[start : start + 1000]
        yield from ((e, state or b"") for e, state in zip(some, rig.store.read(view, some), strict=True))
