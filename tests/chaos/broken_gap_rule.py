"""A feature lane that goes on where its foremost bucket is, and writes to the others from there: a hole in each."""

import dataclasses
import threading
from collections.abc import Sequence

from services.ingest.aggregate import StateSink
from services.ingest.config import IngestSettings
from services.ingest.crash import CrashPoints
from services.ingest.ports import Sink
from services.ingest.server import run
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.store import BucketWrite, StateStore
from snowmelt.runtime.kafka.consumer import Place
from snowmelt.runtime.lifecycle import run as run_process


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
        stored = self.store.fences(write.incarnation, write.topic, write.partition)[write.bucket] or 0
        return dataclasses.replace(write, from_offset=stored)


def make(settings: IngestSettings, incarnations: dict[str, str], crash: CrashPoints) -> Sink:
    return GapRuleOff(
        lambda: StateStore(settings.redis_url, CompiledViews.load(settings.views_path)), incarnations, crash
    )


def main(stop: threading.Event) -> None:
    run(IngestSettings.load(), stop, make)


if __name__ == "__main__":
    run_process("broken-gap-rule", main)
