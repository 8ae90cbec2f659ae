"""What was read and not yet written: bounded in bytes, handed on by size or by each topic's time, fairly."""

import threading
import time
from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from snowmelt.runtime.kafka.consumer import Place, Records

OVERHEAD_BYTES = 200
"""Of a record's Python objects beside its value."""
WRITE_SHARE = 0.5
"""Of the limit that one write takes at most."""
RESUME_AT = 0.4
"""Below this share of the limit whoever reads has to go on; above it, what waits is handed on without lingering."""


@dataclass
class _Waiting:
    records: deque[Records] = field(default_factory=deque)
    size_bytes: int = 0
    rows: int = 0


@dataclass(frozen=True)
class Linger:
    """How long records gather before they are handed on, in seconds: those of some topics longer than others."""

    usual_s: float = 0.0
    of_topics: Mapping[str, float] = field(default_factory=dict)

    def of(self, topic: str) -> float:
        """How long a topic's records gather."""
        return self.of_topics.get(topic, self.usual_s)


class Buffer:
    """Between the thread that reads and the one that writes.

    Args:
        limit_bytes: what it should hold; it takes what it is given, and whoever reads has to look at ``fill``.
        place_rows: records of one partition that one write takes at most, so that a crowded one does not make all wait.
        linger: how long records gather where few come.
    """

    def __init__(self, limit_bytes: int, place_rows: int = 1_000_000, linger: Linger | None = None) -> None:
        self.limit_bytes = limit_bytes
        self._place_rows = place_rows
        self._linger = linger or Linger()
        self._waiting: dict[Place, _Waiting] = {}
        self._bytes = 0
        self._rows = 0
        self._since: dict[str, float] = {}
        self._held: set[Place] = set()
        self._stale: set[Place] = set()
        self._changed = threading.Condition()
        self._closed = False

    def put(self, records: Iterable[Records]) -> None:
        """Adds records, but for places that are held."""
        with self._changed:
            for each in records:
                place = (each.topic, each.partition)
                if place in self._held:
                    continue
                self._since.setdefault(each.topic, time.monotonic())
                waiting = self._waiting.setdefault(place, _Waiting())
                waiting.records.append(each)
                self._count(waiting, each, 1)
            self._changed.notify()

    def take(self, max_rows: int, timeout_s: float) -> list[Records]:
        """All topics' records where there are many, else those that have gathered; none after ``timeout_s``.

        There are many from ``max_rows`` or RESUME_AT on: of partitions that are paused nothing more would come.

        Each partition gets its share of a write, whatever another has waiting.
        """
        deadline = time.monotonic() + timeout_s
        with self._changed:
            while not (topics := self._due(max_rows)) and not self._closed:
                if (now := time.monotonic()) >= deadline:
                    break
                due = min([deadline, *(since + self._linger.of(topic) for topic, since in self._since.items())])
                self._changed.wait(max(0.0, due - now))
            taken = self._taken(max_rows, topics)
            self._note_gone(lingers_again=topics)
            self._stale.clear()
            return taken

    def _due(self, max_rows: int) -> set[str]:
        if self._closed or self._rows >= max_rows or self.fill >= RESUME_AT:
            return set(self._since)
        now = time.monotonic()
        return {topic for topic, since in self._since.items() if since + self._linger.of(topic) <= now}

    def current(self, records: Iterable[Records]) -> list[Records]:
        """Those of the last ``take`` whose places were not held since: what else is in hand begins beyond a hole."""
        with self._changed:
            return [each for each in records if (each.topic, each.partition) not in self._stale]

    def hold(self, places: Sequence[Place]) -> None:
        """Drops what there is of these places, and takes nothing more of them until ``release``."""
        with self._changed:
            self._held.update(places)
            self._stale.update(places)
            for place in self._held & set(self._waiting):
                waiting = self._waiting.pop(place)
                for each in waiting.records:
                    self._count(waiting, each, -1)
            self._note_gone()

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
        return self._bytes / self.limit_bytes

    def crowded(self, share: float) -> set[Place]:
        """The places that hold more than their part of ``share`` of the limit."""
        with self._changed:
            part = share * self.limit_bytes / max(len(self._waiting), 1)
            return {place for place, waiting in self._waiting.items() if waiting.size_bytes > part}

    @property
    def oldest_ms(self) -> int | None:
        """The Kafka time of the oldest record."""
        with self._changed:
            return min((waiting.records[0].times_ms[0] for waiting in self._waiting.values()), default=None)

    def __len__(self) -> int:
        return self._rows

    def _note_gone(self, lingers_again: Container[str] = ()) -> None:
        now, left = time.monotonic(), {topic for topic, _ in self._waiting}
        self._since = {t: now if t in lingers_again else since for t, since in self._since.items() if t in left}

    def _taken(self, max_rows: int, topics: Container[str]) -> list[Records]:
        """What has least waiting comes first, and nobody gets more than those with more could have had."""
        taken: list[Records] = []
        enough = self._bytes / self._rows * max_rows if self._rows else 0
        rows = min(max_rows, int(max_rows * WRITE_SHARE * self.limit_bytes / enough) + 1 if enough else max_rows)
        due = [place for place in self._waiting if place[0] in topics]
        places = sorted(due, key=lambda place: self._waiting[place].rows)
        for number, place in enumerate(places):
            room = min(self._place_rows, -(-rows // (len(places) - number)))
            while room > 0 and place in self._waiting:
                taken.append(self._head(place, room))
                room -= len(taken[-1].offsets)
                rows -= len(taken[-1].offsets)
        return taken

    def _head(self, place: Place, max_rows: int) -> Records:
        waiting = self._waiting[place]
        head = waiting.records.popleft()
        if len(head.offsets) > max_rows:
            head, tail = head.cut(max_rows)
            waiting.records.appendleft(tail)
        self._count(waiting, head, -1)
        if not waiting.records:
            del self._waiting[place]
        return head

    def _count(self, waiting: _Waiting, records: Records, sign: int) -> None:
        size_bytes = records.size_bytes + OVERHEAD_BYTES * len(records.offsets)
        waiting.size_bytes += sign * size_bytes
        waiting.rows += sign * len(records.offsets)
        self._bytes += sign * size_bytes
        self._rows += sign * len(records.offsets)
