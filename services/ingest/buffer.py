"""What was read and not yet written: bounded in bytes, handed on by size or by time."""

import threading
import time
from collections import deque
from collections.abc import Iterable, Sequence

from snowmelt.runtime.kafka.consumer import Place, Records

_OVERHEAD_BYTES = 200
"""Of a record's Python objects beside its value."""


class Buffer:
    """Between the thread that reads and the one that writes."""

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._queue: deque[Records] = deque()
        self._bytes = 0
        self._rows = 0
        self._since = 0.0
        self._held: set[Place] = set()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, records: Iterable[Records]) -> None:
        """Adds records, but for places that are held."""
        with self._changed:
            for each in records:
                if (each.topic, each.partition) in self._held:
                    continue
                if not self._queue:
                    self._since = time.monotonic()
                self._queue.append(each)
                self._count(each, 1)
            self._changed.notify()

    def take(self, max_rows: int, linger_s: float, timeout_s: float) -> list[Records]:
        """Records once there are ``max_rows`` or the oldest has waited ``linger_s``; none after ``timeout_s``."""
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not self._closed and self._rows < max_rows:
                now = time.monotonic()
                due = self._since + linger_s if self._queue else deadline
                if due <= now:
                    break
                self._changed.wait(due - now)
            taken: list[Records] = []
            rows = 0
            while self._queue and rows < max_rows:
                taken.append(self._queue.popleft())
                rows += len(taken[-1].offsets)
                self._count(taken[-1], -1)
            self._since = time.monotonic()
            return taken

    def hold(self, places: Sequence[Place]) -> None:
        """Drops what there is of these places, and takes nothing more of them until ``release``."""
        with self._changed:
            self._held.update(places)
            kept = [each for each in self._queue if (each.topic, each.partition) not in self._held]
            self._queue.clear()
            self._bytes = self._rows = 0
            for each in kept:
                self._queue.append(each)
                self._count(each, 1)

    def release(self, places: Iterable[Place]) -> None:
        """Ends ``hold``."""
        with self._changed:
            self._held.difference_update(places)

    def close(self) -> None:
        """Hands on what is left without waiting."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    @property
    def fill(self) -> float:
        """The share of the limit that is taken."""
        return self._bytes / self._limit_bytes

    @property
    def oldest_ms(self) -> int | None:
        """The Kafka time of the oldest record."""
        with self._changed:
            return self._queue[0].times_ms[0] if self._queue else None

    def __len__(self) -> int:
        return self._rows

    def _count(self, records: Records, sign: int) -> None:
        self._bytes += sign * (records.size_bytes + _OVERHEAD_BYTES * len(records.offsets))
        self._rows += sign * len(records.offsets)
