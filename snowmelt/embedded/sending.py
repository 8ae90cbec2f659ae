"""A data set on its way through Kafka, no faster than both lanes take it."""

from collections.abc import Callable

import pyarrow as pa

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.datasets.data_set import DataSet, Progress
from snowmelt.datasets.load import Loaded, load
from snowmelt.embedded.lanes import Lanes
from snowmelt.lake import Lake
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.producer import Producer

MAX_BEHIND = 100_000
MAX_BEHIND_PARTITION = 6_000
"""Records of some 300 bytes that a partition of the embedded broker holds with room to spare (5 MiB)."""
PATIENCE_S = 180.0

Until = Callable[[Callable[[], bool], float, str], None]
"""Waits until something holds; raises where it does not within so many seconds, with the words that are given."""


def send(data: DataSet, settings: Settings, progress: Progress, until: Until) -> Loaded:
    """Sends what the lake does not hold yet, and returns when both lanes have taken all of it.

    Raises:
        SnowmeltError: UNAVAILABLE; and what ``until`` raises.
    """
    lanes, producer = Lanes(settings), Producer(settings.kafka_bootstrap, "loader")

    def room() -> bool:
        behind = lanes.behind()
        return behind.total <= MAX_BEHIND and behind.worst_partition <= MAX_BEHIND_PARTITION

    try:
        loaded = load(
            data,
            producer,
            tenant=DEFAULT_TENANT,
            clock=Clock(settings.clock_offset_ms),
            landed=_InLake(Lake(settings.lake_url)),
            wait=lambda: until(room, PATIENCE_S, "the lanes do not keep up with the loader"),
            progress=progress,
        )
        until(lanes.drained, PATIENCE_S, "the lanes have not taken the whole data set")
    finally:
        producer.close()
        lanes.close()
    return loaded


class _InLake:
    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def ids(self, table: str, column: str) -> pa.Array:
        """The values of an id column; empty where nothing has landed."""
        found = self._lake.read(table, columns=[column])[column]
        return pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], pa.string())
