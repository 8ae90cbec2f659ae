"""What the pipeline needs of the world, in its own words."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from services.ingest.batch import I64, Batch
from services.ingest.decode import Decoded
from snowmelt.runtime.kafka.admin import Watermarks
from snowmelt.runtime.kafka.consumer import Place, Polled, Records


class MovedError(Exception):
    """The sink is elsewhere than this process believed: another owner, or a sink that lost its newest writes."""

    def __init__(self, places: Iterable[Place], why: str) -> None:
        super().__init__(why)
        self.places = tuple(places)


@dataclass(frozen=True)
class Outcome:
    """What became of a batch: counts of records."""

    applied: int
    duplicates: int
    dead: int


Marks = Callable[[Sequence[Place]], Mapping[Place, Watermarks]]
"""Where the logs of some places begin and end. Raises SnowmeltError UNAVAILABLE."""


class Source(Protocol):
    """The log; ``poll`` and all that moves it are called from one thread."""

    def poll(self, max_records: int, timeout_s: float) -> Polled:
        """Records as they come. Raises SnowmeltError UNAVAILABLE."""

    def begin(self, offsets: Mapping[Place, int]) -> None:
        """Reads these places too, from these offsets. Raises SnowmeltError UNAVAILABLE."""

    def leave(self, places: Iterable[Place]) -> None:
        """Reads these places no more, where they were read."""

    def pause(self, places: Iterable[Place]) -> None:
        """Brings nothing of these places."""

    def resume(self, places: Iterable[Place]) -> None:
        """Ends ``pause``."""

    def commit(self, offsets: Mapping[Place, int]) -> None:
        """Shows how far the sink is; for displays only."""


class Sink(Protocol):
    """One of the two sinks; it owns the offsets. Raises SnowmeltError UNAVAILABLE where it does not answer."""

    def next_offsets(self, places: Sequence[Place]) -> dict[Place, int]:
        """Where each place goes on; 0 where nothing of it was written."""

    def former(self, places: Sequence[Place]) -> dict[Place, tuple[str, int]]:
        """Of those of which nothing was written, the incarnation before and how far that one was written."""

    def prepare(
        self, batch: Batch, decoded: Decoded, kept: pa.Table, outcomes: Mapping[Place, Outcome]
    ) -> Callable[[], None]:
        """What writes a batch's kept rows and its ends together, to be called once the batch before it is in.

        It raises UNAVAILABLE where the lane pauses for what the batch holds. The returned call may raise MovedError,
        where nothing of a moved place is written, or UNAVAILABLE; it can then be called again.
        """

    def beat(self, places: Sequence[Place]) -> None:
        """Keeps the offsets of idle parts of the sink near the end of the log, of these places alone.

        Others may be another process's by now.
        """

    def fallen(self, places: Sequence[Place]) -> set[Place]:
        """Those of which the sink has lost what it had taken; may be asked while a batch is being written."""

    def exchanged(self) -> bool:
        """Whether the sink was exchanged for another; may be asked while a batch is being written."""

    def follow(self) -> None:
        """Goes to the other; every place begins anew."""

    def event_types(self) -> tuple[str, ...]:
        """The event types that are declared now."""


class Identity(Protocol):
    """Whether a topic is still the one that it was."""

    def ask(self, topic: str) -> Callable[[], None]:
        """Begins to ask; what comes back waits, and raises RemadeError, or SnowmeltError UNAVAILABLE."""


class History(Protocol):
    """What was kept before: for the duplicate windows."""

    def kept(self, column: str, place: Place, start: int, end: int) -> tuple[pa.Array | pa.ChunkedArray, I64, int]:
        """Ids and offsets that the lake holds in [start, end), and the offset up to which the lake has landed."""

    def replay(self, place: Place, start: int, end: int) -> Iterable[Records]:
        """The log's own records in [start, end), where the lake does not reach so far."""
