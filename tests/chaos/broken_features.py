"""A feature lane that believes its own memory instead of the fence: what the checker must see."""

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from services.ingest.aggregate import StateSink
from services.ingest.config import IngestSettings
from snowmelt.featurestore.store import BucketWrite
from snowmelt.runtime.kafka.consumer import Place
from tests.chaos.broken_sink import run_features, stored_fence


class FenceIgnored(StateSink):
    """Keeps its positions in a file, written after the state, and lets every write through the fence."""

    @property
    def memory(self) -> Path:
        """The file, in this lane's folder."""
        return IngestSettings.load().state_dir / "positions.json"

    def next_offsets(self, places: Sequence[Place]) -> dict[Place, int]:
        super().next_offsets(places)
        known = json.loads(self.memory.read_text()) if self.memory.exists() else {}
        found = {place: known.get(f"{place[0]}/{place[1]}", 0) for place in places}
        self._fences.update({place: [offset] * 16 for place, offset in found.items()})
        self._ends.update(found)
        return found

    def apply(self, writes: Sequence[BucketWrite]) -> None:
        known = json.loads(self.memory.read_text()) if self.memory.exists() else {}
        through = []
        for write in writes:
            ranges = []
            for each in write.ranges:
                (topic, partition), end = (each.partition.topic, each.partition.partition), each.to_offset
                stored = stored_fence(self.store, each, write.bucket)
                ranges.append(dataclasses.replace(each, from_offset=stored, to_offset=max(end, stored)))
                self._fences[topic, partition][write.bucket] = known[f"{topic}/{partition}"] = end
            through.append(dataclasses.replace(write, ranges=ranges))
        self.store.apply(through)
        self._crash.passing("after_redis")
        self.memory.write_text(json.dumps(known))

    def fallen(self, places: Sequence[Place]) -> set[Place]:
        """Looks at no fence."""
        return set()

    def beat(self, places: Sequence[Place]) -> None:
        """Would only hide the fault."""


if __name__ == "__main__":
    run_features("broken-features", FenceIgnored)
