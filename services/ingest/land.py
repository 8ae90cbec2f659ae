"""The lake lane: a topic's rows and its offsets in one commit; its dead letters in one before it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow.compute as pc

from services.ingest.batch import Batch
from services.ingest.crash import CrashPoints
from services.ingest.decode import Decoded
from services.ingest.guard import Guard
from services.ingest.lateness import Lateness
from services.ingest.memory import give_back
from services.ingest.ports import MovedError, Outcome
from services.ingest.verdicts import dead_rows
from snowmelt.contracts.topics import EVENTS
from snowmelt.lake import DEAD_LETTERS, TOPIC_TABLES, FencedError, Lake, Range
from snowmelt.lake.lake import Progress
from snowmelt.runtime.kafka.consumer import Place
from snowmelt.runtime.metrics import LATE


class LakeSink:
    """Delta as a sink.

    Dead letters are committed first: a crash between the two commits repeats the range, and their own offset then
    leaves out what is there already.
    """

    def __init__(
        self,
        lake: Lake,
        incarnations: Mapping[str, str],
        types: Callable[[], tuple[str, ...]],
        crash: CrashPoints,
        *,
        lateness: Lateness | None = None,
        guard: Guard | None = None,
    ) -> None:
        self._lateness = lateness or Lateness()
        self._guard = guard or Guard()
        self._lake = lake
        self._incarnations = incarnations
        self._types = types
        self._crash = crash
        self._ends: dict[Place, int] = {}
        self._versions: dict[str, int] = {}

    def event_types(self) -> tuple[str, ...]:
        """The event types that are declared now."""
        return self._types()

    def next_offsets(self, places: Sequence[Place]) -> dict[Place, int]:
        """Where each place goes on."""
        found: dict[Place, int] = {}
        for topic in {topic for topic, _ in places}:
            incarnation = self._incarnations[topic]
            mine = [(incarnation, topic, partition) for name, partition in places if name == topic]
            progress = self._lake.progress(TOPIC_TABLES[topic], mine)
            for key in mine:
                done = progress.get(key, Progress(0, 0, 0))
                found[key[1:]] = self._ends[key[1:]] = done.next_offset
                self._lateness.begin(key[1:], done.next_offset, done.watermark_ms)
        return found

    def former(self, places: Sequence[Place]) -> dict[Place, tuple[str, int]]:
        """Of those of which nothing was written, the incarnation before and how far that one was written."""
        found: dict[Place, tuple[str, int]] = {}
        for topic in {topic for topic, _ in places}:
            for (incarnation, _, partition), end in self._lake.next_offsets(TOPIC_TABLES[topic]).items():
                if end and incarnation != self._incarnations[topic] and (topic, partition) in places:
                    found[topic, partition] = (incarnation, end)
        return found

    def prepare(
        self, batch: Batch, decoded: Decoded, kept: Any, outcomes: Mapping[Place, Outcome]
    ) -> Callable[[], None]:
        """What commits the batch.

        Raises:
            SnowmeltError: UNAVAILABLE where so much of the topic is bad that the lane pauses.

        The returned call raises MovedError where another writer has moved a partition (nothing was written), and
        SnowmeltError UNAVAILABLE.
        """
        self._guard.check(batch, decoded.verdicts)
        incarnation = self._incarnations[batch.topic]
        watermarks: dict[Place, int] = {}
        if batch.topic == EVENTS:
            kept, watermarks = self._lateness.flag(batch, kept)
        ranges = []
        for place, end in batch.ends.items():
            counts = (outcomes[place].duplicates, outcomes[place].dead, watermarks.get(place, 0))
            ranges.append(Range(incarnation, *place, batch.starts[place], end, *counts))
        dead = dead_rows(batch, decoded.verdicts, incarnation) if decoded.verdicts else None
        return lambda: self._write(TOPIC_TABLES[batch.topic], kept, dead, ranges)

    def _write(self, table: str, kept: Any, dead: Any, ranges: list[Range]) -> None:
        try:
            if dead is not None:
                with self._crash.around("dead"):
                    self._lake.append(DEAD_LETTERS, dead, ranges)
            with self._crash.around("commit"):
                self.commit(table, kept, ranges)
            self._ends.update({(each.topic, each.partition): each.end for each in ranges})
        except FencedError as error:
            places = [(each.topic, each.partition) for each in ranges]
            raise MovedError(places, f"another writer is at work: {error}") from error

    def commit(self, table: str, rows: Any, ranges: list[Range]) -> None:
        """Rows and the ends of their ranges, together or not at all."""
        self._lake.append(table, rows, ranges)
        if table == TOPIC_TABLES[EVENTS]:
            LATE.inc(pc.sum(rows["late"]).as_py() or 0)

    def beat(self, places: Sequence[Place]) -> None:
        """Looks whether somebody has taken the lake back to a time, where nothing comes that would show it.

        Gives back what the writes before have freed.

        Raises:
            MovedError: these places begin again.
        """
        give_back()
        back: set[Place] = set()
        mine = {place: self._ends[place] for place in places if place in self._ends}
        for topic in {topic for topic, _ in mine}:
            table, incarnation = TOPIC_TABLES[topic], self._incarnations[topic]
            version = self._lake.version(table)
            if self._versions.get(table) == version:
                continue
            keys = [(incarnation, *place) for place in mine if place[0] == topic]
            ends = self._lake.ends(table, keys)
            back |= {key[1:] for key in keys if ends[key] < mine[key[1:]]}
            self._versions[table] = version
        for place in back:
            del self._ends[place]
        if back:
            raise MovedError(back, f"the lake was taken back to a time: {sorted(back)}")

    def fallen(self, places: Sequence[Place]) -> set[Place]:  # noqa: ARG002
        """The lake forgets nothing."""
        return set()

    def exchanged(self) -> bool:
        """The lake is never exchanged."""
        return False

    def follow(self) -> None:
        """There is no other lake."""
