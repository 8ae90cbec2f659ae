"""The lake lane: a topic's rows and its offsets in one commit; its dead letters in one before it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from services.ingest.batch import Batch
from services.ingest.crash import CrashPoints
from services.ingest.decode import Decoded
from services.ingest.ports import MovedError, Outcome
from services.ingest.verdicts import dead_rows
from snowmelt.lake import DEAD_LETTERS, TOPIC_TABLES, FencedError, Lake, Range
from snowmelt.runtime.kafka.consumer import Place


class LakeSink:
    """Delta as a sink.

    Dead letters are committed first: a crash between the two commits repeats the range, and their own offset then
    leaves out what is there already.
    """

    def __init__(
        self, lake: Lake, incarnations: Mapping[str, str], types: Callable[[], tuple[str, ...]], crash: CrashPoints
    ) -> None:
        self._lake = lake
        self._incarnations = incarnations
        self._types = types
        self._crash = crash

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
            found |= {key[1:]: progress[key].next_offset if key in progress else 0 for key in mine}
        return found

    def prepare(
        self, batch: Batch, decoded: Decoded, kept: Any, outcomes: Mapping[Place, Outcome]
    ) -> Callable[[], None]:
        """What commits the batch.

        The returned call raises MovedError where another writer has moved a partition (nothing was written), and
        SnowmeltError UNAVAILABLE.
        """
        incarnation = self._incarnations[batch.topic]
        ranges = [
            Range(incarnation, *place, batch.starts[place], end, outcomes[place].duplicates, outcomes[place].dead)
            for place, end in batch.ends.items()
        ]
        dead = dead_rows(batch, decoded.verdicts, incarnation) if decoded.verdicts else None
        return lambda: self._write(TOPIC_TABLES[batch.topic], kept, dead, ranges)

    def _write(self, table: str, kept: Any, dead: Any, ranges: list[Range]) -> None:
        try:
            if dead is not None:
                self._lake.append(DEAD_LETTERS, dead, ranges)
            self._crash.passing("before_commit")
            self.commit(table, kept, ranges)
            self._crash.passing("after_commit")
        except FencedError as error:
            places = [(each.topic, each.partition) for each in ranges]
            raise MovedError(places, f"another writer is at work: {error}") from error

    def commit(self, table: str, rows: Any, ranges: list[Range]) -> None:
        """Rows and the ends of their ranges, together or not at all."""
        self._lake.append(table, rows, ranges)

    def beat(self) -> None:
        """Delta has no idle parts."""

    def exchanged(self) -> bool:
        """The lake is never exchanged."""
        return False

    def follow(self) -> None:
        """There is no other lake."""
