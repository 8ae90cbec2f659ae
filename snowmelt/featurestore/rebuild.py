"""The online state made anew from the lake, in a generation beside the live one, then the switch.

The rebuild folds one pinned version of the lake and leaves, as fences, the next offsets of that version: the feature
lane, which follows the pointer, goes on from there, so that what came after is applied once, from Kafka. Where it is
killed nothing has changed, and the next one removes what it has left.
"""

import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import numpy as np
from redis.client import Pipeline

from snowmelt.contracts.ids import BUCKETS, DEFAULT_TENANT
from snowmelt.contracts.topics import FEATURE_TOPICS
from snowmelt.features.views import CompiledViews, Folded
from snowmelt.featurestore import names
from snowmelt.featurestore.claim import Claim
from snowmelt.featurestore.connection import connect
from snowmelt.featurestore.fences import Partition
from snowmelt.featurestore.folding import Folding, Progress
from snowmelt.lake import TOPIC_TABLES, Lake
from snowmelt.lake.lake import Progress as Landed

__all__ = ["Progress", "rebuild_online"]

WRITE_KEYS = 500
"""Keys of one command: Redis serves nobody else meanwhile."""


def rebuild_online(
    lake_url: str, redis_url: str, views: CompiledViews, progress: Progress, tenant: str = DEFAULT_TENANT
) -> str:
    """Makes a new generation of the online state and switches to it; returns its name. Serving goes on meanwhile.

    Raises:
        SnowmeltError: UNAVAILABLE, also where another rebuild is at work; NOT_FOUND where there is no lake.
    """
    lake = Lake(lake_url)
    versions = lake.versions()
    client = connect(redis_url)
    with Claim(client, tenant) as claim:
        generation = claim.next_generation(views.hash)
        claim.remove_before(generation, lambda done, total: progress("left-overs", done, total))
        folding = Folding(lake, versions, views, progress)
        _fill(claim, folding, _Place(tenant, generation, tuple(views.views)))
        landed = _landed(lake, versions, folding)
        claim.write(lambda pipeline: _fence(pipeline, tenant, generation, landed))
        claim.switch(generation)
        claim.remove_before(generation, lambda done, total: progress("old state", done, total))
    client.close()
    return generation


class _Place(NamedTuple):
    tenant: str
    generation: str
    views: tuple[str, ...]


def _fill(claim: Claim, folding: Folding, place: _Place) -> None:
    """Writes while the next states are folded; the first failure ends it."""
    with ThreadPoolExecutor(1, thread_name_prefix="fill") as writer:
        before: Future[None] | None = None
        for view, folded in folding.states():
            if before is not None:
                before.result()
            before = writer.submit(_put, claim, place, view, folded)
        if before is not None:
            before.result()


def _put(claim: Claim, place: _Place, view: int, folded: Folded) -> None:
    """Whole states, in a generation that nobody reads: nothing to merge with, and no fence to pass."""
    for bucket, rows in _by_bucket(place.tenant, folded):
        changes = names.changes(place.tenant, bucket, place.generation, place.views[view])
        prefix = names.state_prefix(place.tenant, bucket, place.generation, place.views[view])
        for start in range(0, len(rows), WRITE_KEYS):
            states = {folded.named.names[row]: folded.states[row] for row in rows[start : start + WRITE_KEYS]}
            claim.write(partial(_set, changes=changes, prefix=prefix, states=states))


def _set(pipeline: Pipeline, changes: str, prefix: str, states: Mapping[str, bytes]) -> None:
    pipeline.zadd(changes, dict.fromkeys(states, 1))
    pipeline.mset({prefix + entity: state for entity, state in states.items()})


def _by_bucket(tenant: str, folded: Folded) -> Iterator[tuple[int, list[int]]]:
    mine = np.array([each == tenant for each in folded.named.tenants], np.bool_)[folded.named.tenant_codes]
    buckets = (folded.named.keys % np.uint64(BUCKETS)).astype(np.int64)
    for bucket in names.all_buckets():
        yield bucket, np.flatnonzero(mine & (buckets == bucket)).tolist()


def _landed(lake: Lake, versions: dict[str, int], folding: Folding) -> dict[Partition, tuple[Landed, int]]:
    """How far each partition had landed, and how many of its records are folded."""
    found: dict[Partition, tuple[Landed, int]] = {}
    for topic in FEATURE_TOPICS:
        table = TOPIC_TABLES[topic]
        ends = lake.progress(table, list(lake.next_offsets(table, versions[table])), versions[table])
        found |= {Partition(*key): (end, folding.counts[key]) for key, end in ends.items()}
    return found


def _fence(pipeline: Pipeline, tenant: str, generation: str, landed: Mapping[Partition, tuple[Landed, int]]) -> None:
    """The fences of all buckets, and in one of them the counters; the sequence is that of the states' change logs."""
    fences: dict[str, str | int] = {partition.field: end.next_offset for partition, (end, _) in landed.items()}
    counters: dict[str, str | int] = {}
    for partition, (end, applied) in landed.items():
        for name, count in (("applied", applied), ("duplicates", end.duplicates), ("dead", end.dead)):
            counters[f"{partition.field}!{name}"] = count
    for bucket in names.all_buckets():
        mine = {names.EPOCH: uuid.uuid4().hex} | fences | ({} if bucket else counters)
        pipeline.hset(names.fence(tenant, bucket, generation), mapping=mine)  # type: ignore[arg-type]
        pipeline.set(names.sequence(tenant, bucket, generation), 1)
