"""The feature lane: a batch folded by every view, then one fenced write a bucket, of several partitions together."""

import dataclasses
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.ingest.batch import I64, Batch
from services.ingest.crash import CrashPoints
from services.ingest.decode import Decoded
from services.ingest.ports import MovedError, Outcome
from snowmelt.contracts import topics
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import BUCKETS
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledView, CompiledViews, Folded
from snowmelt.features.words import Words
from snowmelt.featurestore.fences import Partition
from snowmelt.featurestore.store import BucketWrite, Counters, PartitionRange, StateStore
from snowmelt.runtime.kafka.consumer import Place

CALL_ROWS = 8_192
"""Rows of partitions that share a write of a bucket: Redis serves nobody else meanwhile. One alone may have more."""

Deltas = dict[int, list[tuple[int, str, bytes]]]


class StateSink:
    """The online store as a sink; ``open_store`` makes the store anew for the views that are compiled now."""

    def __init__(
        self, open_store: Callable[[], StateStore], incarnations: Mapping[str, str], crash: CrashPoints
    ) -> None:
        self._open = open_store
        self.store = open_store()
        self._incarnations = incarnations
        self._crash = crash
        self._fences: dict[Place, list[int]] = {}
        self._ends: dict[Place, int] = {}

    @property
    def views(self) -> CompiledViews:
        """The views that wrote the store's generation."""
        return self.store.views

    def event_types(self) -> tuple[str, ...]:
        """The event types of the views."""
        return self.views.event_types

    def next_offsets(self, places: Sequence[Place]) -> dict[Place, int]:
        """The least of each place's 16 fences.

        Raises:
            SnowmeltError: UNAVAILABLE, also where another generation is live: this one's fences may be gone.
        """
        found, stored = {}, self._stored(places)
        if self.exchanged():
            raise SnowmeltError(Reason.UNAVAILABLE, "the online state was exchanged for another: going over to it")
        for place, fences in stored.items():
            self._fences[place] = fences
            found[place] = self._ends[place] = min(fences)
        return found

    def former(self, places: Sequence[Place]) -> dict[Place, tuple[str, int]]:
        """Of those of which nothing was written, the incarnation before and how far that one was written."""
        found: dict[Place, tuple[str, int]] = {}
        for key, fences in self.store.fence_table.all().items():
            place, end = (key.topic, key.partition), max(fence or 0 for fence in fences)
            if end and place in places and key.incarnation != self._incarnations[key.topic]:
                found[place] = (key.incarnation, end)
        return found

    def prepare(
        self,
        batch: Batch,
        decoded: Decoded,
        kept: Any,
        outcomes: Mapping[Place, Outcome],  # noqa: ARG002
    ) -> Callable[[], None]:
        """Folds the batch; the returned call applies it, in each bucket what lies at or beyond its fence.

        That raises MovedError where the store is elsewhere than this process left it (each bucket's write is in or not,
        whole), and SnowmeltError UNAVAILABLE. The batch before may still be on its way while this one is folded: it
        moves no fence beyond its own end, so what is left out of the fold does not depend on it.
        Where that one is refused this one must be thrown away: what partitions share cannot be parted again.
        """
        groups = self._folded(batch, kept)
        offsets, partitions = kept["offset"].to_numpy(), kept["partition"].to_numpy()

        def write() -> None:
            writes: list[BucketWrite] = []
            for places, deltas in groups:
                counters = {p: self._counters(p, batch, decoded, offsets[partitions == p[1]]) for p in places}
                writes += self._writes({place: batch.ends[place] for place in places}, deltas, counters)
            with self._crash.around("redis"):
                self.apply(writes)
            self._ends.update(batch.ends)

        return write

    def apply(self, writes: Sequence[BucketWrite]) -> None:
        """Sends writes and keeps the fences that come back."""
        moved = set()
        for write, fences in zip(writes, self.store.apply(writes), strict=True):
            for each, fence in zip(write.ranges, fences, strict=True):
                place = (each.partition.topic, each.partition.partition)
                self._fences[place][write.bucket] = fence
                if fence != each.to_offset:
                    moved.add(place)
        if moved:
            for place in moved:  # until it begins again its end says nothing of what these buckets hold: no beat
                self._ends.pop(place, None)
            raise MovedError(moved, f"the online store is elsewhere than this process left it: {sorted(moved)}")

    def beat(self, places: Sequence[Place]) -> None:
        """Moves the fences of idle buckets of these places to the end of what was read."""
        ends = {place: self._ends[place] for place in places if place in self._ends}
        writes = []
        for bucket in range(BUCKETS):
            idle = [
                self._range(place, bucket, end)
                for place, end in ends.items()
                if self._fences[place][bucket] < end and bucket != _counting(place)
            ]
            if idle:
                writes.append(BucketWrite(bucket, idle))
        if writes:
            with self._crash.around("beat"):
                self.apply(writes)

    def fallen(self, places: Sequence[Place]) -> set[Place]:
        """Those with a fence below this process's: Redis came back without its newest writes, or as another.

        A write would show it too, but only where one comes, to that very bucket. Raises SnowmeltError UNAVAILABLE.
        """
        self.store.append_only_file.renew()
        known = {place: list(self._fences[place]) for place in places}
        return {p for p, fences in self._stored(places).items() if any(map(int.__lt__, fences, known[p]))}

    def exchanged(self) -> bool:
        """Whether another generation is live. Raises SnowmeltError UNAVAILABLE."""
        return self.store.current_generation() != self.store.generation

    def follow(self) -> None:
        """Moves to the live generation; after a rebuild with other views these are loaded anew.

        Raises:
            SnowmeltError: UNAVAILABLE; FEATURES_MISMATCH where the compiled views are not those of the generation.
        """
        self._ends.clear()
        try:
            self.store.follow()
        except SnowmeltError as error:
            if error.reason is not Reason.FEATURES_MISMATCH:
                raise
            self.store.close()
            self.store = self._open()
            self.store.follow()

    def _stored(self, places: Sequence[Place]) -> dict[Place, list[int]]:
        of = {Partition(self._incarnations[place[0]], *place): place for place in places}
        return {of[key]: [f or 0 for f in fences] for key, fences in self.store.fence_table.of(list(of)).items()}

    def _rows(self, topic: str, table: pa.Table) -> Rows:
        if topic == topics.EVENTS:
            return Rows.from_arrow_events(table, self.views)
        if topic == topics.IMPRESSIONS:
            return Rows.from_arrow_impressions(table, self.views)
        return Rows.from_arrow_catalog(table)

    def _folded(self, batch: Batch, table: pa.Table) -> list[tuple[list[Place], Deltas]]:
        """Partitions that are written together, and their deltas by bucket.

        All are folded at once: small batches cost by the fold and by the call, not by the row.
        """
        numbers = np.array(sorted(number for _, number in batch.ends), np.int64)
        which = np.searchsorted(numbers, _partitions(batch.topic, table))
        group = _groups(np.bincount(which, minlength=len(numbers)))
        deltas: list[Deltas] = [defaultdict(list) for _ in range(int(group[-1]) + 1)]
        rows = self._rows(batch.topic, table)
        if len(rows):
            fences = np.array([self._fences[batch.topic, number] for number in numbers.tolist()], np.int64)
            replayed = (fences.max(axis=1)[which] > rows.offsets).any()
            rows = dataclasses.replace(rows, tenant_words=_apart(rows.tenant_words, len(deltas), group[which]))
            for index, view in enumerate(self.views.views.values()):
                if batch.topic in view.topics:
                    folded = view.fold(self._unapplied(view, rows, fences[which]) if replayed else rows)
                    for number, bucket, some in _by_bucket(index, folded, len(deltas)):
                        deltas[number][bucket] += some
        places = [[(batch.topic, n) for n in numbers[group == number].tolist()] for number in range(len(deltas))]
        return list(zip(places, deltas, strict=True))

    def _unapplied(self, view: CompiledView, rows: Rows, fences: I64) -> Rows:
        """Those at or beyond the fence of their entity's bucket; ``fences`` is int64[n, 16]."""
        codes, named = rows.user_entities if view.entity == "user" else rows.item_entities
        buckets = (named.keys % np.uint64(BUCKETS)).astype(np.int64)
        return rows.take(rows.offsets >= fences[np.arange(len(rows)), buckets[codes]])

    def _counters(self, place: Place, batch: Batch, decoded: Decoded, kept: I64) -> Counters:
        """Counts in one bucket of the partition, from its fence on: each record once, whatever is replayed."""
        fence = self._fences[place][_counting(place)]
        mine = (batch.partitions == place[1]) & (batch.offsets >= fence)
        valid = int(mine[decoded.places].sum())
        applied = int((kept >= fence).sum())
        return Counters(applied, valid - applied, int(mine.sum()) - valid)

    def _writes(
        self, ends: Mapping[Place, int], deltas: Deltas, counters: Mapping[Place, Counters]
    ) -> Iterator[BucketWrite]:
        for bucket in sorted({*deltas, *map(_counting, ends)}):
            ranges = [
                self._range(place, bucket, end, counters[place] if bucket == _counting(place) else Counters())
                for place, end in ends.items()
                if self._fences[place][bucket] < end
            ]
            if ranges:
                yield BucketWrite(bucket, ranges, deltas.get(bucket, ()))

    def _range(self, place: Place, bucket: int, end: int, counters: Counters | None = None) -> PartitionRange:
        partition = Partition(self._incarnations[place[0]], *place)
        return PartitionRange(partition, self._fences[place][bucket], end, counters or Counters())


def _groups(rows: I64) -> I64:
    """int64[n]: which partitions go together, in order, by how many rows each has: ``CALL_ROWS`` at most or one."""
    found, group, size = np.zeros(len(rows), np.int64), 0, 0
    for i, count in enumerate(rows.tolist()):
        if size and size + count > CALL_ROWS:
            group, size = group + 1, 0
        found[i], size = group, size + count
    return found


def _apart(tenants: Words, groups: int, which: I64) -> Words:
    """The tenants with a word of their own in each group, so that a fold keeps the groups apart."""
    return Words(which * len(tenants.values) + tenants.codes, tenants.values * groups)


def _by_bucket(view: int, folded: Folded, groups: int) -> Iterator[tuple[int, int, list[tuple[int, str, bytes]]]]:
    """Group, bucket and deltas, of each group and bucket that has some."""
    if not len(folded):
        return
    named = folded.named
    group = named.tenant_codes // (len(named.tenants) // groups)
    place = group * BUCKETS + (named.keys % np.uint64(BUCKETS)).astype(np.int64)
    order = np.argsort(place, kind="stable")
    deltas = list(zip(repeat(view), named.names, folded.states))
    deltas = list(map(deltas.__getitem__, order.tolist()))
    places, begins = np.unique(place[order], return_index=True)
    for each, begin, end in zip(places.tolist(), begins.tolist(), [*begins.tolist()[1:], len(deltas)], strict=True):
        yield each // BUCKETS, each % BUCKETS, deltas[begin:end]


def _partitions(topic: str, table: pa.Table) -> I64:
    """int64[n]: the partition of each of the rows that are folded, of a slate one an item shown."""
    partitions: I64 = table["partition"].to_numpy().astype(np.int64)
    if topic != topics.IMPRESSIONS:
        return partitions
    shown: I64 = partitions[pc.list_parent_indices(table["items"].combine_chunks()).to_numpy()]
    return shown


def _counting(place: Place) -> int:
    return place[1] % BUCKETS
