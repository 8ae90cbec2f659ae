"""How far a reader is behind: in records by partition, and since when the first of them waits."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from snowmelt.runtime.kafka.admin import Admin
from snowmelt.runtime.kafka.consumer import Consumer, Place

_LOOK_S = 2.0
"""How long the first records may take to be read."""


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


def first_times_ms(bootstrap: str, starts: Mapping[Place, int]) -> dict[Place, int]:
    """The Kafka time of the first record of each place from an offset on; absent where none could be read in time.

    Args:
        bootstrap: Kafka's addresses.
        starts: by place the offset, which its log must hold.

    Raises:
        SnowmeltError: UNAVAILABLE where the client cannot go on.
    """
    found: dict[Place, int] = {}
    if not starts:
        return found
    consumer = Consumer(bootstrap, "snowmelt.look")
    deadline = time.monotonic() + _LOOK_S
    try:
        consumer.assign(starts)
        while len(found) < len(starts) and time.monotonic() < deadline:
            fresh: dict[Place, int] = {}
            for each in consumer.poll(10_000, 0.2).records:
                fresh.setdefault((each.topic, each.partition), each.times_ms[0])
            consumer.pause(fresh)  # whatever more one has waiting must not keep the others from being heard
            found = fresh | found
    finally:
        consumer.close()
    return found
