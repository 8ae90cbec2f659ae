"""The pipeline of a lane: one thread polls and waits for nothing else, one opens places, one writes."""

import logging
import threading
import time
from collections.abc import Iterable, Mapping, Sequence

from services.ingest.buffer import RESUME_AT, Buffer
from services.ingest.lane import Lane
from services.ingest.memory import buffer_bytes, needed_mbytes
from services.ingest.opening import Opening, remade_text
from services.ingest.ports import Marks, Source
from services.ingest.writing import Writing
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.runtime.kafka.consumer import Place, Records
from snowmelt.runtime.kafka.identity import RemadeError
from snowmelt.runtime.metrics import LET_GO_SECONDS, PARTITION_PAUSES, PARTITIONS_PAUSED

_LOG = logging.getLogger(__name__)

POLL_RECORDS = 10_000
PAUSE_AT, PAUSE_ALL_AT = 0.8, 1.25
"""Of the buffer's limit: from where on partitions that crowd it are paused, and from where on all of them."""
SHOW_S = 5.0
DRAIN_S = 5.0
"""How long what was read may take to be written when the process ends; what is not comes again at the next start."""
LET_GO_S = 3.0
"""How long a partition that goes to another process waits for the write that it is in."""


class Intake:
    """Reads places, hands their records to the lane, and keeps both where the sink is.

    Args:
        memory_mbytes: the bound that the buffer's follows; without it the buffer keeps its own.
        accepted_gaps: by place the range [from, to) that may be passed over although its records are lost.
        accepted_topics: by topic the id under which it may begin anew although the sink holds one before it.
        poll_s: how long a poll may gather records.
        flush_rows: of a write at most; it begins when the buffer hands them on.
    """

    def __init__(
        self,
        source: Source,
        marks: Marks,
        lane: Lane,
        buffer: Buffer,
        *,
        memory_mbytes: int | None = None,
        accepted_gaps: Mapping[Place, tuple[int, int]],
        accepted_topics: Mapping[str, str] | None = None,
        poll_s: float,
        flush_rows: int,
    ) -> None:
        self._source = source
        self._lane = lane
        self._crash = lane.crash
        self.buffer = buffer
        self._memory_mbytes = memory_mbytes
        self._poll_s = poll_s
        self._opening = Opening(
            marks,
            lane,
            accepted_gaps=accepted_gaps,
            accepted_topics=accepted_topics or {},
            remade=self._note_remade,
        )
        self._writing = Writing(lane, buffer, flush_rows=flush_rows, moved=self._note_moved, remade=self._note_remade)
        self._mine: set[Place] = set()
        self._reading: set[Place] = set()
        self._paused: set[Place] = set()
        self._cut: set[Place] = set()
        self._read: dict[Place, int] = {}
        self._news = threading.Lock()
        self._moved: set[Place] = set()
        self._remade: dict[str, str] = {}
        self._committed: dict[Place, int] = {}
        self._started = self._has_read = self._beyond = False
        self.ended = False
        self.told = 0.0

    def given(self, places: Sequence[Place]) -> None:
        """These places are this process's from now on; they are read as soon as the sink has said from where."""
        self._mine.update(places)
        self._opening.want(places)
        self._started = True
        self._crash.passing("in_assigned")

    def taken(self, places: Sequence[Place]) -> None:
        """Lets go of places that another process reads from now on."""
        began = time.monotonic()
        self.buffer.hold(places)
        self._crash.passing("in_revoked")
        self._mine.difference_update(places)
        self._unpause(places)
        self._close(places)
        self._opening.drop(places)
        self._lane.forget(places, 0.0 if self.told else LET_GO_S)  # at the end it was waited for already
        took_s = time.monotonic() - began
        LET_GO_SECONDS.labels(self._lane.name).observe(took_s)
        _LOG.info("let go of %d partitions in %.3f s", len(places), took_s)

    @property
    def stopped(self) -> dict[Place, str]:
        """The places that stand still, and why."""
        return self._opening.stopped

    def reasons(self) -> list[str]:
        """Why the lane is not ready, or not whole."""
        waiting = [] if self._started and not self._opening.busy else ["partitions are being opened"]
        return [
            *list(self.stopped.values()),
            *filter(None, [self._writing.trouble, self._opening.trouble]),
            *(waiting if not self._has_read else []),
        ]

    def oldest_ms(self) -> int | None:
        """The Kafka time of the oldest record that was read and is not in the sink; of places that stopped, none is."""
        times = (self._lane.oldest_ms(), self._writing.in_hand_ms, self.buffer.oldest_ms)
        return min((each for each in times if each is not None), default=None)

    def run(self, stop: threading.Event) -> None:
        """Works until ``stop`` is set, then writes what was read.

        Raises:
            SnowmeltError: UNAVAILABLE where Kafka cannot be read at all.
        """
        self._opening.start()
        self._writing.start()
        last = time.monotonic()
        try:
            while not stop.is_set() and self._failure() is None:
                polled = self._source.poll(POLL_RECORDS, self._poll_s)
                self._put(polled.records)
                self._cut.update(polled.out_of_range)
                self._opening.doubt(polled.unknown)
                self._balance()
                self._tend()
                if time.monotonic() - last > SHOW_S:
                    last = time.monotonic()
                    self._show()
        finally:
            self.told = time.monotonic()
            self._crash.passing("draining")
            deadline = self.told + DRAIN_S
            self._opening.tell()
            written = self._writing.end(DRAIN_S)
            self.ended = self._opening.end(max(0.5, deadline - time.monotonic())) and written
            self._show()
        if (failure := self._failure()) is not None:
            raise failure

    def _failure(self) -> BaseException | None:
        return self._writing.failure or self._opening.failure

    def _put(self, records: Sequence[Records]) -> None:
        self.buffer.put(records)
        for each in records:
            if (place := (each.topic, each.partition)) in self._reading:
                self._read[place] = each.offsets[-1] + 1
                self._has_read = True

    def _balance(self) -> None:
        """Pauses partitions that crowd the buffer, then all that have anything in it, then all, until there is room.

        All come last: then Kafka's client sleeps, and takes up to a second to notice that one may be read again.
        """
        fill = self.buffer.fill
        if RESUME_AT <= fill <= PAUSE_AT:
            return
        wanted: set[Place] = set()
        if fill > PAUSE_ALL_AT:
            wanted = set(self._reading)
        elif fill > PAUSE_AT:
            share = PAUSE_AT if fill <= 1 else 0.0
            wanted = (self._paused | self.buffer.crowded(share)) & self._reading
        if paused := wanted - self._paused:
            self._source.pause(paused)
            PARTITION_PAUSES.labels(self._lane.name).inc(len(paused))
        if resumed := (self._paused - wanted) & self._reading:
            self._source.resume(resumed)
        self._paused = wanted
        PARTITIONS_PAUSED.labels(self._lane.name).set(len(wanted))

    def _tend(self) -> None:
        """What the other threads have found out since."""
        with self._news:
            moved, self._moved = self._moved & self._mine, set()
            remade, self._remade = self._remade, {}
        for topic, found in remade.items():
            self._stop_topic(topic, found)
            moved = {place for place in moved if place[0] != topic}
        positions = self._lane.positions() if self._cut else {}
        for place in list(self._cut):
            # What was read before the log was cut is still good, and is written first.
            if place in moved or positions.get(place, 0) >= self._read.get(place, 0):
                self._cut.discard(place)
                moved |= {place} & self._mine
        if moved:
            self.buffer.hold(list(moved))
            self._opening.want(sorted(moved))
        starts = {place: start for place, start in self._opening.found().items() if place in self._mine}
        if starts:
            self._begin(starts)
        if stood := self._reading & self.stopped.keys():
            self._unpause(stood)
            self._source.leave(stood)
            self._close(stood)

    def _begin(self, starts: Mapping[Place, int]) -> None:
        if again := self._reading & starts.keys():
            self._crash.passing("returning")
            self._unpause(again)
            self._source.leave(again)
        try:
            self._source.begin(starts)
        except SnowmeltError:
            self._reading -= again
            self._opening.want(sorted(starts))
            return
        self.buffer.release(starts)
        self._cut.difference_update(starts)
        for place in starts:
            self._read.pop(place, None)
        self._reading.update(starts)

    def _unpause(self, places: Iterable[Place]) -> None:
        """While they are still read: a partition that was paused when it was left stays so when it comes back."""
        if paused := self._paused.intersection(places):
            self._source.resume(paused)
            self._paused -= paused

    def _stop_topic(self, topic: str, found: str) -> None:
        places = [place for place in self._mine if place[0] == topic and place not in self.stopped]
        positions = self._lane.positions()
        self.buffer.hold(places)
        self._opening.drop(places)
        for place in places:
            text = remade_text(place, positions.get(place, 0), self._read.get(place), found)
            self._opening.stop(place, text)

    def _close(self, places: Iterable[Place]) -> None:
        for known in (self._reading, self._cut):
            known.difference_update(places)
        for place in places:
            self._read.pop(place, None)

    def _note_moved(self, places: Iterable[Place]) -> None:
        with self._news:
            self._moved.update(places)

    def _note_remade(self, error: RemadeError) -> None:
        with self._news:
            self._remade[error.topic] = error.found

    def _show(self) -> None:
        if self._memory_mbytes is not None:
            self._bound(self._memory_mbytes, self._lane.window_ids())
        positions = {p: o for p, o in self._lane.positions().items() if p in self._reading and o}
        news = {place: offset for place, offset in positions.items() if self._committed.get(place) != offset}
        if news:
            with self._crash.around("offsets"):
                self._source.commit(news)
            self._committed.update(news)

    def _bound(self, memory_mbytes: int, ids: int) -> None:
        self.buffer.limit_bytes = buffer_bytes(memory_mbytes, ids)
        needed = needed_mbytes(ids)
        if needed > memory_mbytes and not self._beyond:
            _LOG.warning(
                "the duplicate windows of %d partitions hold %d ids: the process will take about %d MB, beyond "
                "SNOWMELT_INGEST_MEMORY_MBYTES=%d; raise it, or let more processes share the partitions",
                len(self._mine),
                ids,
                needed,
                memory_mbytes,
            )
        self._beyond = needed > memory_mbytes
