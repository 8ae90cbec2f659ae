"""A breaker a backend: one that does not answer is left alone, so that it does not cost its deadline every time."""

import math
import time
from collections.abc import Callable

FAILURES_TO_OPEN = 3
SILENT_S = 0.25
"""Who answered somebody since then is late, not down: to leave it alone would cost answers and save nothing."""
OPEN_S = 0.4
FAIR_TIMEOUT_S = 0.02
"""A call that was given less says nothing about the backend when it is late."""


class Breaker:
    """Closed: calls pass. Open: none does for 0.4 s, then one is tried; its success closes, its failure opens again."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._failures = 0
        self._answered_at = -math.inf
        self._opens_at: float | None = None

    @property
    def open(self) -> bool:
        """Whether the backend is being left alone."""
        return self._opens_at is not None

    def admits(self) -> bool:
        """Whether a call may be made now; a trial call moves the next trial 0.4 s on."""
        if self._opens_at is None:
            return True
        if self._now() < self._opens_at:
            return False
        self._opens_at = self._now() + OPEN_S
        return True

    def succeeded(self) -> None:
        """A call was answered."""
        self._failures, self._answered_at, self._opens_at = 0, self._now(), None

    def failed(self, timeout_s: float) -> None:
        """A call that was given ``timeout_s`` was not answered."""
        if timeout_s < FAIR_TIMEOUT_S:
            return
        self._failures += 1
        now = self._now()
        if self._failures >= FAILURES_TO_OPEN and now - self._answered_at >= SILENT_S:
            self._opens_at = now + OPEN_S
