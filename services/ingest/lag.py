"""Shows every two seconds how far the lane is behind, where it stands still too."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.runtime.kafka.admin import Admin
from snowmelt.runtime.kafka.consumer import Place
from snowmelt.runtime.metrics import LAG_EVENTS, LAG_SECONDS

EVERY_S = 2.0
_LOG = logging.getLogger(__name__)

FirstTimes = Callable[[Mapping[Place, int]], Mapping[Place, int]]
"""The Kafka time of the first record of some places from an offset on, as far as known. Raises UNAVAILABLE."""


def watch(
    lane: str,
    topics: Sequence[str],
    admin: Admin,
    *,
    clock: Clock,
    positions: Callable[[], Mapping[Place, int]],
    oldest_ms: Callable[[], int | None],
    stopped: Container[Place],
    first_times_ms: FirstTimes,
    stop: threading.Event,
) -> None:
    """Sets the lane's lag metrics until ``stop``; of the places that are this process's.

    ``oldest_ms`` knows of what was read. Where a place has stopped nothing is, and its first record is looked up.
    """
    standing = _Standing(first_times_ms)
    while not stop.wait(EVERY_S):
        try:
            marks, done = admin.watermarks(topics), positions()
            behind_at = {p: max(at, marks[p].low) for p, at in done.items() if p in marks and at < marks[p].high}
            standing.look({place: at for place, at in behind_at.items() if place in stopped})
        except SnowmeltError as error:
            _LOG.warning("no lag: %s", error.detail)
            continue
        behind: Counter[str] = Counter(dict.fromkeys(topics, 0))
        for place in behind_at:
            behind[place[0]] += marks[place].high - done[place]
        for topic, events in behind.items():
            LAG_EVENTS.labels(lane, topic).set(events)
        oldest = min((each for each in (oldest_ms(), standing.oldest_ms) if each is not None), default=None)
        LAG_SECONDS.labels(lane).set(0.0 if oldest is None else max(0.0, (clock.now_ms() - oldest) / 1000))


class _Standing:
    """The first record of each place that stands still, looked up once."""

    def __init__(self, first_times_ms: FirstTimes) -> None:
        self._first_times_ms = first_times_ms
        self._known: dict[Place, tuple[int, int]] = {}

    def look(self, starts: Mapping[Place, int]) -> None:
        """Knows of these places, and of no others, from now on. Raises SnowmeltError UNAVAILABLE."""
        self._known = {place: known for place, known in self._known.items() if starts.get(place) == known[0]}
        if fresh := {place: at for place, at in starts.items() if place not in self._known}:
            found = self._first_times_ms(fresh)
            self._known |= {place: (fresh[place], time_ms) for place, time_ms in found.items()}

    @property
    def oldest_ms(self) -> int | None:
        """The Kafka time of the oldest of them."""
        return min((time_ms for _, time_ms in self._known.values()), default=None)
