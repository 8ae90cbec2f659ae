"""A data set on its way through Kafka, no faster than both lanes take it."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime

import pyarrow as pa

from snowmelt.contracts.clock import FUTURE_MS, Clock
from snowmelt.contracts.ids import DEFAULT_TENANT
from snowmelt.datasets import rules
from snowmelt.datasets.data_set import DataSet, Progress
from snowmelt.datasets.load import Loaded, load
from snowmelt.embedded.lanes import Lanes, Place
from snowmelt.features.views import CompiledViews
from snowmelt.lake import Lake
from snowmelt.lake.schemas import DEAD_LETTERS
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.admin import Admin
from snowmelt.runtime.kafka.producer import Delivery, Producer
from snowmelt.training.errors import BadDataError

MAX_WAITING = 100_000
MAX_WAITING_PARTITION = 6_000
MAX_WAITING_BYTES = 2 * 1_048_576
"""Of a partition. The embedded broker keeps 5 MiB of one and then drops its oldest batch, of up to 1 MB, in silence;
between two looks the loader sends 1 MiB more."""
PATIENCE_S = 180.0
STUCK = "; `snowmelt status` says where each lane is, `snowmelt deadletters list` what it could not use"

Until = Callable[[Callable[[], bool], float, str], None]
"""Waits until something holds; raises where it does not within so many seconds, with the words that are given."""


def refuse_unfit(data: DataSet, settings: Settings) -> None:
    """Refuses what every edge behind this one would make dead letters of: undeclared types, times that are to come.

    Raises:
        BadDataError: names the first row of a type; or says when the data ends and what time it is here.
        SnowmeltError: FEATURES_MISMATCH where there are no compiled views.
    """
    rules.declared(data.first_rows, CompiledViews.load(settings.views_path).event_types)
    now_ms = Clock(settings.clock_offset_ms).now_ms()
    if data.end_ms > now_ms + FUTURE_MS:
        ends, now = (datetime.fromtimestamp(ms // 1000, UTC).isoformat() for ms in (data.end_ms, now_ms))
        raise BadDataError(
            f"{data.name}: it ends at {ends}, but here it is {now} (the end of what was loaded first): "
            "load it into a state folder of its own (SNOWMELT_STATE_DIR), or after `make clean`"
        )


def send(data: DataSet, settings: Settings, progress: Progress, until: Until) -> Loaded:
    """Sends what the lake does not hold yet, and returns when both lanes have taken all of it.

    Raises:
        BadDataError: as ``refuse_unfit`` says.
        SnowmeltError: UNAVAILABLE; and what ``until`` raises.
    """
    refuse_unfit(data, settings)
    lake = Lake(settings.lake_url)
    before = lake.rows(DEAD_LETTERS)
    lanes = Lanes(settings, Admin.at_once(settings.kafka_bootstrap))
    producer = Producer(settings.kafka_bootstrap, "loader")
    try:
        loaded = load(
            data,
            producer,
            tenant=DEFAULT_TENANT,
            clock=Clock(settings.clock_offset_ms),
            landed=_InLake(lake),
            pace=Throttle(lanes.waiting, until),
            progress=progress,
        )
        until(lanes.drained, PATIENCE_S, f"the lanes have not taken the whole data set{STUCK}")
    finally:
        producer.close()
        lanes.close()
    return replace(loaded, dead_lettered=lake.rows(DEAD_LETTERS) - before)


class Throttle:
    """Lets a load go on while what waits for the lanes is little, in records and in bytes of each partition.

    Args:
        waiting: by partition, how many of its newest records a lane does not hold yet.
    """

    def __init__(self, waiting: Callable[[], Mapping[Place, int]], until: Until) -> None:
        self._waiting = waiting
        self._until = until
        self._sizes: dict[Place, deque[int]] = {}
        """By partition the bytes of the newest records, as many as may still wait."""

    def delivered(self, place: Delivery, size_bytes: int) -> None:
        """Counts a record that now waits in its partition."""
        self._sizes.setdefault((place.topic, place.partition), deque()).append(size_bytes)

    def wait(self) -> None:
        """Returns when there is room for another step of the loader."""
        self._until(self._room, PATIENCE_S, f"the lanes do not keep up with the loader{STUCK}")

    def _room(self) -> bool:
        waiting = self._waiting()
        for place, sizes in self._sizes.items():
            while len(sizes) > waiting.get(place, 0):
                sizes.popleft()
        return (
            sum(waiting.values()) <= MAX_WAITING
            and max(waiting.values(), default=0) <= MAX_WAITING_PARTITION
            and max(map(sum, self._sizes.values()), default=0) <= MAX_WAITING_BYTES
        )


class _InLake:
    def __init__(self, lake: Lake) -> None:
        self._lake = lake

    def ids(self, table: str, column: str) -> pa.Array:
        """The values of an id column; empty where nothing has landed."""
        found = self._lake.read(table, columns=[column])[column]
        return pa.concat_arrays(found.chunks) if found.num_chunks else pa.array([], pa.string())
