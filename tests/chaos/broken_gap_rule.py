"""A feature lane that goes on where its foremost bucket is, and writes to the others from there: a hole in each."""

import dataclasses
from collections.abc import Sequence

from services.ingest.aggregate import StateSink
from snowmelt.featurestore.store import BucketWrite
from snowmelt.runtime.kafka.consumer import Place
from tests.chaos.broken_sink import run_features, stored_fence


class GapRuleOff(StateSink):
    """Says of every write that it begins where the bucket is, whatever lies between; half of the buckets come first."""

    def next_offsets(self, places: Sequence[Place]) -> dict[Place, int]:
        super().next_offsets(places)
        found = {place: max(self._fences[place]) for place in places}
        self._ends.update(found)
        return found

    def apply(self, writes: Sequence[BucketWrite]) -> None:
        super().apply([self._without_gap(write) for write in writes if write.bucket % 2])
        self._crash.passing("after_redis")
        super().apply([self._without_gap(write) for write in writes if not write.bucket % 2])

    def _without_gap(self, write: BucketWrite) -> BucketWrite:
        ranges = [
            dataclasses.replace(each, from_offset=stored_fence(self.store, each, write.bucket)) for each in write.ranges
        ]
        return dataclasses.replace(write, ranges=ranges)


if __name__ == "__main__":
    run_features("broken-gap-rule", GapRuleOff)
