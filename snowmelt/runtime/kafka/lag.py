"""How far a reader is behind: in records by partition, from its own positions and the log's ends."""

from collections.abc import Mapping
from dataclasses import dataclass

from snowmelt.runtime.kafka.admin import Admin


@dataclass(frozen=True)
class Lag:
    """One partition's distance: ``next_offset`` is the reader's, ``low`` and ``high`` are the log's."""

    topic: str
    partition: int
    next_offset: int
    low: int
    high: int

    @property
    def events(self) -> int:
        """Records produced and not yet read."""
        return max(0, self.high - self.next_offset)

    @property
    def lost(self) -> int:
        """Records that the log dropped before they were read."""
        return max(0, self.low - self.next_offset)


def lag(admin: Admin, positions: Mapping[tuple[str, int], int]) -> list[Lag]:
    """The lag of each partition of the topics that ``positions`` ((topic, partition) -> next offset) names.

    A partition without a position counts from offset 0.

    Raises:
        SnowmeltError: UNAVAILABLE.
    """
    marks = admin.watermarks(sorted({topic for topic, _ in positions}))
    return [Lag(t, p, positions.get((t, p), 0), mark.low, mark.high) for (t, p), mark in sorted(marks.items())]
