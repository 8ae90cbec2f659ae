"""How far both lanes are, against what was produced: asked by the loader, by draining and by ``snowmelt status``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snowmelt.contracts.topics import FEATURE_TOPICS, LAKE_TOPICS
from snowmelt.embedded.places import ages_seconds
from snowmelt.features.views import CompiledViews
from snowmelt.featurestore.fences import TopicCounters
from snowmelt.featurestore.store import StateStore
from snowmelt.lake import TOPIC_TABLES, Lake
from snowmelt.lake.lake import Partition, Progress
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.admin import COMPACTED, Admin, Watermarks

Place = tuple[str, int]


@dataclass(frozen=True)
class Flow:
    """What became of a topic's records in one lane, over all lives of the topic.

    ``produced`` counts the present life by Kafka's own ends, and earlier lives by what the lake had taken when they
    were drained; the other figures are kept by the sink itself, in the write that they describe. ``behind_seconds`` is
    the age of the oldest record that the sink lacks; None where that record could not be read in time.
    """

    topic: str
    lane: str
    produced: int
    taken: int
    duplicates: int
    dead_lettered: int
    behind_events: int
    behind_seconds: float | None

    @property
    def balanced(self) -> bool:
        """Whether every record is accounted for: all where nothing is to come, else no fewer than must be in.

        An online bucket without records of its own hears late how far its partition is, so that ``behind_events`` may
        name records that others have taken.
        """
        return self.produced - self.behind_events <= self._accounted <= self.produced

    def fault(self, accepted: int = 0) -> str:
        """What no record that waits explains; empty where there is nothing.

        Args:
            accepted: so many records may be missing, as the operator knows that they are lost.
        """
        if self._accounted > self.produced:
            return f"{self.topic}: it holds {self._accounted - self.produced} records more than were produced"
        missing = self.produced - self.behind_events - self._accounted
        if missing <= accepted or self.topic in COMPACTED:  # of those Kafka itself drops what is out of date
            return ""
        return (
            f"{self.topic}: {missing} records are neither in it nor counted as duplicates or dead letters, "
            f"beside {self.behind_events} that wait"
        )

    @property
    def _accounted(self) -> int:
        return self.taken + self.duplicates + self.dead_lettered


class Lanes:
    """Reads the log's ends and both sinks' own offsets; nothing here is a consumer."""

    def __init__(self, settings: Settings, admin: Admin | None = None) -> None:
        self._settings = settings
        self._admin = admin or Admin(settings.kafka_bootstrap)
        self._lake = Lake(settings.lake_url)
        self._store = StateStore(settings.redis_url, CompiledViews.load(settings.views_path))

    def produced(self) -> dict[Place, int]:
        """The next offset of each partition."""
        return {place: marks.high for place, marks in self._admin.watermarks(LAKE_TOPICS).items()}

    def landed(self) -> dict[Place, int]:
        """The lake's next offsets in the topics' present incarnations."""
        incarnations = self._incarnations()
        landed: dict[Place, int] = {}
        for name, count in self._admin.partitions(LAKE_TOPICS).items():
            wanted = [(incarnations[name], name, partition) for partition in range(count)]
            found = self._lake.progress(TOPIC_TABLES[name], wanted)
            landed |= {(topic, partition): each.next_offset for (_, topic, partition), each in found.items()}
        return landed

    def applied(self) -> dict[Place, int]:
        """The online store's next offsets in the topics' present incarnations, the least of a partition's buckets."""
        self._store.follow()
        incarnations = self._incarnations()
        return {
            (p.topic, p.partition): min(offset or 0 for offset in offsets)
            for p, offsets in self._store.fence_table.all().items()
            if p.incarnation == incarnations.get(p.topic)
        }

    def waiting(self) -> dict[Place, int]:
        """By partition, how many records were produced that the slower of its lanes does not hold yet."""
        produced, landed, applied = self.produced(), self.landed(), self.applied()
        waiting = {}
        for place, high in produced.items():
            sinks = (landed, applied) if place[0] in FEATURE_TOPICS else (landed,)
            waiting[place] = max(0, *(high - done.get(place, 0) for done in sinks))
        return waiting

    def drained(self) -> bool:
        """Whether both sinks hold everything that was produced."""
        return not any(self.waiting().values())

    def sinks_agree(self) -> bool:
        """Whether lake and online store have taken the same records of the topics' earlier lives.

        What is missing of the present life comes from Kafka; of an earlier one it can only come from the lake.
        """
        self._store.follow()
        present = set(self._incarnations().values())
        applied = {
            (p.incarnation, p.topic, p.partition): max(offset or 0 for offset in offsets)
            for p, offsets in self._store.fence_table.all().items()
        }
        landed: dict[tuple[str, str, int], int] = {}
        for topic in FEATURE_TOPICS:
            landed |= self._lake.next_offsets(TOPIC_TABLES[topic])
        return _earlier(applied, present) == _earlier(landed, present)

    def flows(self) -> list[Flow]:
        """Each topic in each of its lanes; the log's ends are read last, so that a sink is never ahead of them."""
        incarnations, landed, applied = self._incarnations(), self.landed(), self.applied()
        counters = self._store.fence_table.counters()
        tables = {topic: self._table(topic) for topic in LAKE_TOPICS}
        marks = self._admin.watermarks(LAKE_TOPICS)
        in_lake, in_state = self._ages(LAKE_TOPICS, landed, marks), self._ages(FEATURE_TOPICS, applied, marks)
        flows: list[Flow] = []
        for topic, (progress, rows) in tables.items():
            present = {place: mark for place, mark in marks.items() if place[0] == topic}
            earlier = sum(p.next_offset for key, p in progress.items() if key[0] != incarnations[topic])
            produced = earlier + sum(mark.high for mark in present.values())
            twice, dead = sum(p.duplicates for p in progress.values()), sum(p.dead for p in progress.values())
            flows.append(Flow(topic, "lake", produced, rows, twice, dead, *_lag(present, landed, in_lake)))
            if topic in FEATURE_TOPICS:
                taken = counters.get(topic, TopicCounters())
                figures = (taken.applied, taken.duplicates, taken.dead)
                flows.append(Flow(topic, "features", produced, *figures, *_lag(present, applied, in_state)))
        return flows

    def _table(self, topic: str) -> tuple[dict[Partition, Progress], int]:
        table = TOPIC_TABLES[topic]
        progress = self._lake.progress(table, list(self._lake.next_offsets(table)))
        return progress, self._lake.rows(table)

    def _ages(
        self, topics: Sequence[str], done: Mapping[Place, int], marks: Mapping[Place, Watermarks]
    ) -> dict[Place, float]:
        sinks = {place: done.get(place, 0) for place in marks if place[0] in topics}
        return ages_seconds(self._settings, sinks, marks)

    def _incarnations(self) -> dict[str, str]:
        return self._admin.incarnations(LAKE_TOPICS, self._settings.kafka_incarnation)

    def close(self) -> None:
        """Gives the connections back."""
        self._store.close()


def _lag(
    marks: Mapping[Place, Watermarks], done: Mapping[Place, int], ages: Mapping[Place, float]
) -> tuple[int, float | None]:
    """Records of these places that a sink does not hold yet, and how old the oldest is, where that is known of all."""
    events = sum(max(0, mark.high - done.get(place, 0)) for place, mark in marks.items())
    known = [ages[place] for place in marks if place in ages]
    return events, max(known, default=0.0) if len(known) == len(marks) else None


def _earlier(offsets: Mapping[tuple[str, str, int], int], present: set[str]) -> dict[tuple[str, str, int], int]:
    return {place: offset for place, offset in offsets.items() if offset and place[0] not in present}
