"""The online state made anew from the lake, in a generation beside the live one, then the switch.

The rebuild folds one pinned version of the lake and leaves, as fences, the next offsets of that version: the feature
lane, which follows the pointer, goes on from there, so that what came after is applied once, from Kafka.
"""

from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.contracts.ids import DEFAULT_TENANT, entity_bucket
from snowmelt.contracts.topics import CATALOG, EVENTS, FEATURE_TOPICS, IMPRESSIONS
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.fences import Partition
from snowmelt.featurestore.generations import generation_name, number_of
from snowmelt.featurestore.store import BucketWrite, Counters, StateStore
from snowmelt.lake import TOPIC_TABLES, Lake
from snowmelt.lake.lake import Progress as Landed

BATCH_ROWS = 20_000
_REBUILD = "rebuild"

Progress = Callable[[str, int, int], None]
"""Called with the topic, how many of its records are folded, and how many there are."""


def rebuild_online(
    lake_url: str, redis_url: str, views: CompiledViews, progress: Progress, tenant: str = DEFAULT_TENANT
) -> str:
    """Makes a new generation of the online state and switches to it; returns its name. Serving goes on meanwhile.

    Raises:
        SnowmeltError: UNAVAILABLE, or NOT_FOUND where there is no lake.
    """
    lake = Lake(lake_url)
    versions = lake.versions()
    live = StateStore(redis_url, views, tenant=tenant).current_generation()
    name = generation_name(number_of(live) + 1 if live else 1, views.hash)
    store = StateStore(redis_url, views, name, tenant)
    if live and name != live:
        store.generations.drop(name)
    landed: dict[Partition, tuple[Landed, int]] = {}
    for topic in FEATURE_TOPICS:
        table = TOPIC_TABLES[topic]
        rows = lake.read(table, version=versions[table])
        for number, batch in enumerate(_batches(rows)):
            store.apply(_writes(topic, number, _rows(topic, batch, views), views, tenant))
            progress(topic, min((number + 1) * BATCH_ROWS, len(rows)), len(rows))
        ends = lake.progress(table, list(lake.next_offsets(table, versions[table])), versions[table])
        landed |= {Partition(*key): (end, _count(rows, key[0], key[2])) for key, end in ends.items()}
    _fence(store, landed)
    store.generations.switch(name)
    store.close()
    return name


def _batches(rows: pa.Table) -> Iterator[pa.Table]:
    for start in range(0, len(rows), BATCH_ROWS):
        yield rows.slice(start, BATCH_ROWS)


def _rows(topic: str, table: pa.Table, views: CompiledViews) -> Rows:
    if topic == EVENTS:
        return Rows.from_arrow_events(table, views)
    if topic == IMPRESSIONS:
        return Rows.from_arrow_impressions(table, views)
    if topic == CATALOG:
        return Rows.from_arrow_catalog(table)
    raise ValueError(f"no view reads {topic}")


def _writes(topic: str, number: int, rows: Rows, views: CompiledViews, tenant: str) -> list[BucketWrite]:
    deltas: dict[int, list[tuple[int, str, bytes]]] = {}
    for place, view in enumerate(views.views.values()):
        if topic not in view.topics:
            continue
        folded = view.fold(rows)
        for of, entity, state in zip(folded.tenants, folded.entities, folded.states, strict=True):
            if of == tenant:
                deltas.setdefault(entity_bucket(tenant, entity), []).append((place, entity, state))
    return [BucketWrite(bucket, _REBUILD, topic, number, 0, 1, some) for bucket, some in deltas.items()]


def _count(rows: pa.Table, incarnation: str, partition: int) -> int:
    mine = pc.and_(pc.equal(rows["incarnation"], incarnation), pc.equal(rows["partition"], partition))
    return int(pc.sum(mine).as_py() or 0)


def _fence(store: StateStore, landed: dict[Partition, tuple[Landed, int]]) -> None:
    store.fence_table.retire(sorted({partition.incarnation for partition in landed}))
    store.fence_table.put({partition: end.next_offset for partition, (end, _) in landed.items()})
    store.apply(
        [
            BucketWrite(
                0,
                partition.incarnation,
                partition.topic,
                partition.partition,
                end.next_offset,
                end.next_offset,
                counters=Counters(applied, end.duplicates, end.dead),
            )
            for partition, (end, applied) in landed.items()
        ]
    )
