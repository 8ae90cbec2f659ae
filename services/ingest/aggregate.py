"""The feature lane: a batch folded by every view, then one fenced write a (partition, bucket)."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.ingest.batch import Batch
from services.ingest.crash import CrashPoints
from services.ingest.decode import Decoded
from services.ingest.ports import MovedError, Outcome
from snowmelt.contracts import topics
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import BUCKETS, entity_bucket
from snowmelt.features.rows import Rows
from snowmelt.features.views import CompiledView, CompiledViews
from snowmelt.featurestore.store import BucketWrite, Counters, StateStore
from snowmelt.runtime.kafka.consumer import Place

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
        """The least of each place's 16 fences."""
        found = {}
        for place in places:
            fences = self.store.fences(self._incarnations[place[0]], *place)
            self._fences[place] = [fence or 0 for fence in fences]
            found[place] = self._ends[place] = min(self._fences[place])
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
        """
        rows, deltas = {}, {}
        for place in batch.ends:
            rows[place] = kept.filter(pc.equal(kept["partition"], place[1])) if len(batch.ends) > 1 else kept
            deltas[place] = self._deltas(place, rows[place])

        def write() -> None:
            writes = []
            for place, end in batch.ends.items():
                writes += self._writes(place, end, deltas[place], self._counters(place, batch, decoded, rows[place]))
            self._crash.passing("before_redis")
            self.apply(writes)
            self._crash.passing("after_redis")
            self._ends.update(batch.ends)

        return write

    def apply(self, writes: Sequence[BucketWrite]) -> None:
        """Sends writes and keeps the fences that come back."""
        moved = set()
        for write, fence in zip(writes, self.store.apply(writes), strict=True):
            self._fences[write.topic, write.partition][write.bucket] = fence
            if fence != write.to_offset:
                moved.add((write.topic, write.partition))
        if moved:
            raise MovedError(moved, f"the online store is elsewhere than this process left it: {sorted(moved)}")

    def beat(self) -> None:
        """Moves the fences of idle buckets to the end of what was read."""
        writes = []
        for place, end in self._ends.items():
            writes += [
                BucketWrite(bucket, self._incarnations[place[0]], *place, fence, end)
                for bucket, fence in enumerate(self._fences[place])
                if fence < end and bucket != _counting(place)
            ]
        if writes:
            self.apply(writes)

    def exchanged(self) -> bool:
        """Whether another generation is live. Raises SnowmeltError UNAVAILABLE."""
        return self.store.current_generation() != self.store.generation

    def follow(self) -> None:
        """Moves to the live generation; after a rebuild with other views these are loaded anew.

        Raises:
            SnowmeltError: UNAVAILABLE; FEATURES_MISMATCH where the compiled views are not those of the generation.
        """
        try:
            self.store.follow()
        except SnowmeltError as error:
            if error.reason is not Reason.FEATURES_MISMATCH:
                raise
            self.store.close()
            self.store = self._open()
            self.store.follow()

    def _rows(self, topic: str, table: pa.Table) -> Rows:
        if topic == topics.EVENTS:
            return Rows.from_arrow_events(table, self.views)
        if topic == topics.IMPRESSIONS:
            return Rows.from_arrow_impressions(table, self.views)
        return Rows.from_arrow_catalog(table)

    def _deltas(self, place: Place, table: pa.Table) -> Deltas:
        found: Deltas = defaultdict(list)
        if not len(table):
            return found
        rows, fences = self._rows(place[0], table), np.array(self._fences[place], np.int64)
        replayed = len(rows) and fences.max() > rows.offsets.min()
        for index, view in enumerate(self.views.views.values()):
            if place[0] not in view.topics:
                continue
            folded = view.fold(self._unapplied(view, rows, fences) if replayed else rows)
            for tenant, entity, state in zip(folded.tenants, folded.entities, folded.states, strict=True):
                found[entity_bucket(tenant, entity)].append((index, entity, state))
        return found

    def _unapplied(self, view: CompiledView, rows: Rows, fences: np.ndarray[Any, np.dtype[np.int64]]) -> Rows:
        codes, pairs = rows.pairs(rows.user_words if view.entity == "user" else rows.item_words)
        buckets = np.array([entity_bucket(*pair) for pair in pairs], np.int64)
        return rows.take(rows.offsets >= fences[buckets[codes]])

    def _counters(self, place: Place, batch: Batch, decoded: Decoded, rows: pa.Table) -> Counters:
        """Counts in one bucket of the partition, from its fence on: each record once, whatever is replayed."""
        fence = self._fences[place][_counting(place)]
        mine = (batch.partitions == place[1]) & (batch.offsets >= fence)
        valid = int(mine[decoded.places].sum())
        applied = int((rows["offset"].to_numpy() >= fence).sum())
        return Counters(applied, valid - applied, int(mine.sum()) - valid)

    def _writes(self, place: Place, end: int, deltas: Deltas, counters: Counters) -> list[BucketWrite]:
        counting, fences = _counting(place), self._fences[place]
        return [
            BucketWrite(
                bucket,
                self._incarnations[place[0]],
                *place,
                fences[bucket],
                end,
                deltas.get(bucket, ()),
                counters if bucket == counting else Counters(),
            )
            for bucket in sorted({*deltas, counting})
            if fences[bucket] < end
        ]


def _counting(place: Place) -> int:
    return place[1] % BUCKETS
