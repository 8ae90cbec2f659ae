"""Where both lanes are, place by place: the log, each sink's own offset, what Kafka shows, and what has stopped."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.topics import LANE_TOPICS
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.fences import Partition
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import TOPIC_TABLES, Lake
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.admin import Admin, Watermarks
from snowmelt.runtime.kafka.consumer import Consumer

TIMEOUT_S = 5.0
_LOOK_S = 2.0
"""How long the oldest waiting records may take to be read."""

Place = tuple[str, int]


@dataclass(frozen=True)
class Where:
    """One place of one lane.

    Attributes:
        begin, end: of the log.
        sink, sink_max: the next offset that the sink keeps; of the online store the least and the most of its buckets.
        committed: what Kafka shows for the lane's group; None where nothing is.
        behind_seconds: the age of the first record that the sink lacks; None where it could not be read in time.
        stopped: why the lane does not go on here, and how to; empty where it does.
    """

    lane: str
    topic: str
    partition: int
    incarnation: str
    begin: int
    end: int
    sink: int
    sink_max: int
    committed: int | None
    behind_records: int
    behind_seconds: float | None
    stopped: str


class Places:
    """Asks Kafka, the sinks and the lanes' ops listeners; nothing here joins a group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._admin = Admin(settings.kafka_bootstrap, TIMEOUT_S)

    def look(self, lane: str) -> list[Where]:
        """Every place of a lane, by topic and partition.

        Raises:
            SnowmeltError: UNAVAILABLE, naming the part; NOT_FOUND where there is no lake.
            ConfigError: the settings cannot be used.
        """
        topics = LANE_TOPICS[lane]
        marks = self._admin.watermarks(topics)
        incarnations = self._admin.incarnations(topics, self._settings.kafka_incarnation)
        committed = self._admin.committed(f"snowmelt-{lane}")
        places = sorted(marks, key=lambda place: (topics.index(place[0]), place[1]))
        sinks = (self._lake if lane == "lake" else self._store)(places, incarnations)
        ages = self._ages({place: sinks[place][0] for place in places}, marks)
        said = stopped_places(ask_lanes(self._settings).get(lane) or [])
        return [
            Where(
                lane,
                *place,
                incarnations[place[0]],
                marks[place].low,
                marks[place].high,
                *sinks[place],
                committed.get(place),
                max(0, marks[place].high - sinks[place][0]),
                ages.get(place),
                said.get(place) or _misfit(place, sinks[place], marks[place]),
            )
            for place in places
        ]

    def _lake(self, places: Sequence[Place], incarnations: Mapping[str, str]) -> dict[Place, tuple[int, int]]:
        lake = Lake(self._settings.lake_url)
        found = dict.fromkeys(places, (0, 0))
        for topic in incarnations:
            keys = [(incarnations[topic], *place) for place in places if place[0] == topic]
            for key, end in lake.ends(TOPIC_TABLES[topic], keys).items():
                found[key[1:]] = (end, end)
        return found

    def _store(self, places: Sequence[Place], incarnations: Mapping[str, str]) -> dict[Place, tuple[int, int]]:
        store = StateStore(self._settings.redis_url, CompiledViews.load(self._settings.views_path))
        store.follow()
        known = store.fence_table.all()
        store.close()
        found = {}
        for place in places:
            fences = [fence or 0 for fence in known.get(Partition(incarnations[place[0]], *place), [0])]
            found[place] = (min(fences), max(fences))
        return found

    def _ages(self, sinks: Mapping[Place, int], marks: Mapping[Place, Watermarks]) -> dict[Place, float]:
        """How old the first missing record of each place is, seconds; 0 where none is missing."""
        found = {place: 0.0 for place in sinks if sinks[place] >= marks[place].high}
        waiting = {place: max(sinks[place], marks[place].low) for place in sinks if place not in found}
        if not waiting:
            return found
        now_ms = Clock(self._settings.clock_offset_ms).now_ms()
        consumer = Consumer(self._settings.kafka_bootstrap, "snowmelt.offsets")
        deadline = time.monotonic() + _LOOK_S
        try:
            consumer.assign(waiting)
            while len(found) < len(sinks) and time.monotonic() < deadline:
                for records in consumer.poll(10_000, 0.2).records:
                    age = max(0.0, (now_ms - records.times_ms[0]) / 1000)
                    found.setdefault((records.topic, records.partition), age)
        finally:
            consumer.close()
        return found


def _misfit(place: Place, sink: tuple[int, int], mark: Watermarks) -> str:
    """Why no lane can go on here, from the offsets alone."""
    name = f"{place[0]}/{place[1]}"
    if sink[0] < mark.low:
        gap = f"SNOWMELT_INGEST_ACCEPT_GAPS={name}:{sink[0]}-{mark.low}"
        return f"{name}: records [{sink[0]}, {mark.low}) are lost; to go on without them, start the lane with {gap}"
    if sink[1] > mark.high:
        return f"{name}: the sink is at {sink[1]}, but the log ends at {mark.high}"
    return ""


def ask_lanes(settings: Settings) -> dict[str, list[str] | None]:
    """By lane why it is not ready; None where nothing answers at its ops address."""
    found: dict[str, list[str] | None] = {}
    for part in filter(None, settings.lanes_ops.split(",")):
        lane, _, address = part.partition("=")
        said = _reasons(address)
        known = found.get(lane)
        found[lane] = said if known is None else known + (said or [])
    return found


def stopped_places(reasons: Sequence[str]) -> dict[Place, str]:
    """The reasons that begin with a place, as ``topic/partition:``."""
    found: dict[Place, str] = {}
    for reason in reasons:
        topic, _, number = reason.partition(":")[0].rpartition("/")
        if topic and number.isdecimal():
            found[topic, int(number)] = reason
    return found


def _reasons(address: str) -> list[str] | None:
    try:
        document = _readiness(address)
    except (OSError, ValueError):
        return None
    return [str(reason) for reason in document.get("reasons", [])]


def _readiness(address: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=2.0) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        found = json.load(error)
    return found
