"""A feature lane that keeps its fences and counters and drops one change: what only states can show."""

import dataclasses
from collections.abc import Sequence

from services.ingest.aggregate import StateSink
from snowmelt.featurestore.store import BucketWrite
from tests.chaos.broken_sink import run_features


class StateDropped(StateSink):
    """Leaves the first change out of one write."""

    dropped = False

    def apply(self, writes: Sequence[BucketWrite]) -> None:
        some = list(writes)
        for i, write in enumerate(some):
            if len(write.deltas) > 1 and not self.dropped:
                some[i] = dataclasses.replace(write, deltas=list(write.deltas)[1:])
                self.dropped = True
        super().apply(some)


if __name__ == "__main__":
    run_features("broken-states", StateDropped)
