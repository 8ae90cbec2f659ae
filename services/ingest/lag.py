"""Shows every two seconds how far the lane is behind."""

import logging
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.runtime.kafka.admin import Admin
from snowmelt.runtime.kafka.consumer import Place
from snowmelt.runtime.metrics import LAG_EVENTS, LAG_SECONDS

EVERY_S = 2.0
_LOG = logging.getLogger(__name__)


def watch(
    lane: str,
    topics: Sequence[str],
    admin: Admin,
    *,
    clock: Clock,
    positions: Callable[[], Mapping[Place, int]],
    oldest_ms: Callable[[], int | None],
    stop: threading.Event,
) -> None:
    """Sets the lane's lag metrics until ``stop``; of the places that this process reads."""
    while not stop.wait(EVERY_S):
        try:
            marks = admin.watermarks(topics)
        except SnowmeltError as error:
            _LOG.warning("no lag: %s", error.detail)
            continue
        behind: Counter[str] = Counter(dict.fromkeys(topics, 0))
        for place, offset in positions().items():
            if place in marks:
                behind[place[0]] += max(0, marks[place].high - offset)
        for topic, events in behind.items():
            LAG_EVENTS.labels(lane, topic).set(events)
        oldest = oldest_ms()
        LAG_SECONDS.labels(lane).set(0.0 if oldest is None else max(0.0, (clock.now_ms() - oldest) / 1000))
