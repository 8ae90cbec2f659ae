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

    def write(self, batch: Batch, decoded: Decoded, kept: Any, outcomes: Mapping[Place, Outcome]) -> None:
        """Commits the batch.

        Raises:
            MovedError: another writer has moved a partition; nothing was written.
            SnowmeltError: UNAVAILABLE.
        """
        incarnation = self._incarnations[batch.topic]
        starts = {place: int(batch.starts[place]) for place in batch.ends}
        ranges = [
            Range(incarnation, *place, starts[place], end, outcomes[place].duplicates, outcomes[place].dead)
            for place, end in batch.ends.items()
        ]
        try:
            if decoded.verdicts:
                self._lake.append(DEAD_LETTERS, dead_rows(batch, decoded.verdicts, incarnation), ranges)
            self._crash.passing("before_commit")
            self.commit(TOPIC_TABLES[batch.topic], kept, ranges)
            self._crash.passing("after_commit")
        except FencedError as error:
            raise MovedError(batch.ends, f"another writer is at work: {error}") from error

    def commit(self, table: str, rows: Any, ranges: list[Range]) -> None:
        """Rows and the ends of their ranges, together or not at all."""
        self._lake.append(table, rows, ranges)

    def beat(self) -> None:
        """Delta has no idle parts."""

    def follow(self) -> bool:
        """The lake is never exchanged."""
        return False
