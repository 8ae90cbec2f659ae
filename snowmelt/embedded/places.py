"""Where both lanes are, place by place: the log, each sink's own offset, what Kafka shows, and what has stopped."""

import http.client
import json
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
from snowmelt.runtime.kafka.lag import first_times_ms

TIMEOUT_S = 5.0

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
        self._admin = Admin.at_once(settings.kafka_bootstrap, TIMEOUT_S)

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
        ages = ages_seconds(self._settings, {place: sinks[place][0] for place in places}, marks)
        said = stopped_places([why for told in ask_lanes(self._settings) if told.part == lane for why in told.reasons])
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


def ages_seconds(
    settings: Settings, sinks: Mapping[Place, int], marks: Mapping[Place, Watermarks]
) -> dict[Place, float]:
    """How old the first record is that each place's sink lacks, seconds: 0 where it lacks none.

    Absent where that record could not be read in time.

    Raises:
        SnowmeltError: UNAVAILABLE.
    """
    found = {place: 0.0 for place in sinks if sinks[place] >= marks[place].high}
    waiting = {place: max(sinks[place], marks[place].low) for place in sinks if place not in found}
    times_ms = first_times_ms(settings.kafka_bootstrap, waiting)
    now_ms = Clock(settings.clock_offset_ms).now_ms()
    return found | {place: max(0.0, (now_ms - time_ms) / 1000) for place, time_ms in times_ms.items()}


def _misfit(place: Place, sink: tuple[int, int], mark: Watermarks) -> str:
    """Why no lane can go on here, from the offsets alone."""
    name = f"{place[0]}/{place[1]}"
    if sink[0] < mark.low:
        gap = f"SNOWMELT_INGEST_ACCEPT_GAPS={name}:{sink[0]}-{mark.low}"
        return f"{name}: records [{sink[0]}, {mark.low}) are lost; to go on without them, start the lane with {gap}"
    if sink[1] > mark.high:
        return f"{name}: the sink is at {sink[1]}, but the log ends at {mark.high}"
    return ""


@dataclass(frozen=True)
class Told:
    """What a process says of itself.

    Attributes:
        part: of which lane it is, or which service.
        answers: whether it says anything.
        reasons: why it is not ready; where it says nothing, that it does not.
    """

    part: str
    answers: bool
    reasons: list[str]


def ask_lanes(settings: Settings) -> list[Told]:
    """Each process of a lane that SNOWMELT_LANES_OPS names."""
    parts = (part.strip().partition("=") for part in settings.lanes_ops.split(",") if part.strip())
    return [ask(lane, address) for lane, _, address in parts]


def ask(part: str, address: str) -> Told:
    """What the process whose ops listener is at ``address`` says of itself."""
    try:
        document = _readiness(address)
        return Told(part, True, [str(reason) for reason in document["reasons"]])
    except (OSError, ValueError, http.client.HTTPException):
        return Told(part, False, [f"nothing answers at {address}: it is down, or elsewhere (SNOWMELT_LANES_OPS)"])
    except (KeyError, TypeError):
        return Told(part, False, [f"what answers at {address} is no lane (SNOWMELT_LANES_OPS)"])


def stopped_places(reasons: Sequence[str]) -> dict[Place, str]:
    """The reasons that begin with a place, as ``topic/partition:``."""
    found: dict[Place, str] = {}
    for reason in reasons:
        topic, _, number = reason.partition(":")[0].rpartition("/")
        if topic and number.isdecimal():
            found[topic, int(number)] = reason
    return found


def _readiness(address: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=2.0) as answer:
            found: dict[str, Any] = json.load(answer)
    except urllib.error.HTTPError as error:
        found = json.load(error)
    return found
