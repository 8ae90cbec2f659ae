"""Runs a feature lane with a sink that is wrong on purpose."""

import threading
from collections.abc import Mapping

from services.ingest.aggregate import StateSink
from services.ingest.config import IngestSettings
from services.ingest.crash import CrashPoints
from services.ingest.server import run
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.store import PartitionRange, StateStore
from snowmelt.runtime.lifecycle import run as run_process


def stored_fence(store: StateStore, each: PartitionRange, bucket: int) -> int:
    """Where the bucket is, whatever a writer believes."""
    return store.fence_table.of([each.partition])[each.partition][bucket] or 0


def run_features(name: str, sink: type[StateSink]) -> None:
    """The process of that name, from start to end."""

    def make(settings: IngestSettings, incarnations: Mapping[str, str], crash: CrashPoints) -> StateSink:
        return sink(
            lambda: StateStore(settings.redis_url, CompiledViews.load(settings.views_path)), incarnations, crash
        )

    def main(stop: threading.Event) -> None:
        run(IngestSettings.load(), stop, make)

    run_process(name, main)
