"""A feature lane that keeps its fences and counters and drops a state now and then: what only states can show."""

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
from snowmelt.runtime.lifecycle import run as run_process


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


def make(settings: IngestSettings, incarnations: dict[str, str], crash: CrashPoints) -> Sink:
    return StateDropped(
        lambda: StateStore(settings.redis_url, CompiledViews.load(settings.views_path)), incarnations, crash
    )


def main(stop: threading.Event) -> None:
    run(IngestSettings.load(), stop, make)


if __name__ == "__main__":
    run_process("broken-states", main)
