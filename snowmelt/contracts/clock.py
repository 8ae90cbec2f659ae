"""The one clock: now = wall - offset, so that a historical data set can be served as if it were live."""

import time
from collections.abc import Callable

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS
FUTURE_MS = 5 * MINUTE_MS
"""How far ahead of the clock the time of what comes in may lie: clocks of clients differ."""


def wall_ns() -> int:
    """The wall clock itself, for traces alone: they show when the work was done, whatever data is served."""
    return time.time_ns()


def _wall_ms() -> int:
    return wall_ns() // 1_000_000


class Clock:
    """Milliseconds since 1970 UTC; ``offset_ms`` is 0 when live. Nothing else calls the wall clock."""

    def __init__(self, offset_ms: int = 0, wall_ms: Callable[[], int] = _wall_ms) -> None:
        self.offset_ms = offset_ms
        self._wall_ms = wall_ms

    def now_ms(self) -> int:
        """The present instant of the data that is served."""
        return self._wall_ms() - self.offset_ms

    @classmethod
    def ending_at(cls, end_ms: int, wall_ms: Callable[[], int] = _wall_ms) -> "Clock":
        """A clock that shows ``end_ms`` at this moment: what ``load`` sets for a historical data set."""
        return cls(wall_ms() - end_ms, wall_ms)
