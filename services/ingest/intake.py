"""The pipeline of a lane: one thread polls and is never held up by a write, another writes."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import groupby

from services.ingest.buffer import Buffer
from services.ingest.lane import Lane
from services.ingest.memory import buffer_bytes
from services.ingest.ports import MovedError, Source
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.runtime.kafka.consumer import Place, Records
from snowmelt.runtime.metrics import PARTITION_PAUSES, PARTITIONS_PAUSED

_LOG = logging.getLogger(__name__)

POLL_RECORDS = 10_000
PAUSE_AT, RESUME_AT = 0.8, 0.4
BEAT_S = 5.0
FOLLOW_S = 0.5
RETRY_MAX_S = 2.0
WRITE_S, WRITE_ROWS_LEAST, WRITE_ROWS_FIRST = 1.0, 2_000, 20_000
"""How long a write should take at most where much waits; by it the rows of one are set, from some at the start on."""
DRAIN_S = 8.0


class Intake:
    """Reads places, hands their records to the lane, and keeps both where the sink is.

    Args:
        memory_mbytes: the bound that the buffer's follows; without it the buffer keeps its own.
        accepted_gaps: by place the range [from, to) that may be passed over although its records are lost.
        poll_s: how long a poll may gather records.
        flush_rows, flush_s: a write begins at so many records, or this long after the first.
    """

    def __init__(
        self,
        source: Source,
        lane: Lane,
        buffer: Buffer,
        *,
        memory_mbytes: int | None = None,
        accepted_gaps: Mapping[Place, tuple[int, int]],
        poll_s: float,
        flush_rows: int,
        flush_s: float,
    ) -> None:
        self._source = source
        self._lane = lane
        self._crash = lane.crash
        self.buffer = buffer
        self._memory_mbytes = memory_mbytes
        self._accepted = accepted_gaps
        self._poll_s = poll_s
        self._flush_rows, self._flush_s = flush_rows, flush_s
        self._write_rows = min(flush_rows, WRITE_ROWS_FIRST)
        self._places: set[Place] = set()
        self._paused: set[Place] = set()
        self._moved: set[Place] = set()
        self._moved_lock = threading.Lock()
        self._ending = threading.Event()
        self._failure: BaseException | None = None
        self._committed: dict[Place, int] = {}
        self._in_hand_ms: int | None = None
        self.trouble = ""
        self.stopped: dict[Place, str] = {}

    def assigned(self, places: Sequence[Place]) -> dict[Place, int]:
        """Where to read these places from; those with a gap are left out, with an alarm."""
        found: dict[Place, int] = {}
        for place, position in self._lane.begin(places).items():
            start = self._start(place, position)
            if start is not None:
                found[place] = start
        self._places |= set(found)
        self._paused -= set(found)
        self.buffer.release(found)
        self._crash.passing("in_assigned")
        return found

    def revoked(self, places: Sequence[Place]) -> None:
        """Lets go of places that another process reads now."""
        self.buffer.hold(places)
        self._crash.passing("in_revoked")
        self._places -= set(places)
        self._paused -= set(places)
        for place in places:
            self.stopped.pop(place, None)
        self._lane.forget(places)

    def oldest_ms(self) -> int | None:
        """The Kafka time of the oldest record that was read and is not in the sink."""
        times = (self._lane.oldest_ms(), self._in_hand_ms, self.buffer.oldest_ms)
        return min((each for each in times if each is not None), default=None)

    def run(self, stop: threading.Event) -> None:
        """Works until ``stop`` is set, then writes what was read.

        Raises:
            SnowmeltError: UNAVAILABLE where Kafka cannot be read at all.
        """
        writer = threading.Thread(target=self._write_guarded, name="writer", daemon=True)
        writer.start()
        last = time.monotonic()
        try:
            while not stop.is_set() and self._failure is None:
                polled = self._source.poll(POLL_RECORDS, self._poll_s)
                for place in polled.out_of_range:
                    self._lost(place)
                self.buffer.put(polled.records)
                self._balance()
                self._return_to_sink()
                if time.monotonic() - last > BEAT_S:
                    last = time.monotonic()
                    self._show()
        finally:
            self._ending.set()
            self._crash.passing("draining")
            self.buffer.close()
            writer.join(DRAIN_S)
            self._show()
        if self._failure is not None:
            raise self._failure

    def _start(self, place: Place, position: int) -> int | None:
        marks = self._source.watermarks(place)
        if marks.low <= position <= marks.high:
            self.stopped.pop(place, None)
            return position
        name = f"{place[0]}/{place[1]}"
        if position > marks.high:
            self._alarm(place, f"{name}: the sink is at {position}, but the log ends at {marks.high}")
            return None
        if self._accepted.get(place) == (position, marks.low):
            _LOG.warning("%s: records [%d, %d) are lost; passed over as told", name, position, marks.low)
            return marks.low
        gap = f"{name}:{position}-{marks.low}"
        self._alarm(place, f"{name}: records [{position}, {marks.low}) are lost; to go on, accept the gap {gap}")
        return None

    def _lost(self, place: Place) -> None:
        position = self._lane.positions().get(place, 0)
        marks = self._source.watermarks(place)
        name = f"{place[0]}/{place[1]}"
        self._alarm(place, f"{name}: the log was cut while it was read: it holds [{marks.low}, {marks.high}), the sink "
                    f"is at {position}")  # fmt: skip

    def _alarm(self, place: Place, text: str) -> None:
        self.stopped[place] = text
        self._places.discard(place)
        _LOG.error("stopped: %s", text)

    def _balance(self) -> None:
        """Pauses the partitions that crowd the buffer, all of them where that is not enough, until there is room."""
        fill = self.buffer.fill
        if RESUME_AT <= fill <= PAUSE_AT:
            return
        wanted: set[Place] = set()
        if fill > 1:
            wanted = set(self._places)
        elif fill > PAUSE_AT:
            wanted = (self._paused | self.buffer.crowded(PAUSE_AT)) & self._places
        if paused := wanted - self._paused:
            self._source.pause(paused)
            PARTITION_PAUSES.labels(self._lane.name).inc(len(paused))
        if resumed := (self._paused - wanted) & self._places:
            self._source.resume(resumed)
        self._paused = wanted
        PARTITIONS_PAUSED.labels(self._lane.name).set(len(wanted))

    def _return_to_sink(self) -> None:
        with self._moved_lock:
            moved, self._moved = self._moved & self._places, set()
        if not moved:
            return
        try:
            begun = self._lane.begin(sorted(moved))
        except SnowmeltError as error:
            self.trouble = error.detail
            with self._moved_lock:
                self._moved |= moved
            return
        self._crash.passing("returning")
        starts = {}
        for place, position in begun.items():
            start = self._start(place, position)
            if start is not None:
                starts[place] = start
        self._source.seek(starts)
        self.buffer.release(starts)

    def _show(self) -> None:
        if self._memory_mbytes is not None:
            self.buffer.limit_bytes = buffer_bytes(self._memory_mbytes, self._lane.window_ids())
        positions = {p: o for p, o in self._lane.positions().items() if p in self._places and o}
        news = {place: offset for place, offset in positions.items() if self._committed.get(place) != offset}
        if news:
            with self._crash.around("offsets"):
                self._source.commit(news)
            self._committed.update(news)

    def _write_guarded(self) -> None:
        try:
            self._write_all()
        except BaseException as error:  # noqa: BLE001 - the polling thread raises it
            self._failure = error

    def _write_all(self) -> None:
        beaten = followed = time.monotonic()
        while True:
            ending = self._ending.is_set()
            records = self.buffer.take(self._write_rows, self._flush_s, 0.1)
            self._in_hand_ms = min((each.times_ms[0] for each in records), default=None)
            now = time.monotonic()
            if now - followed > FOLLOW_S:
                followed = now
                self._try(self._lane.follow)
            records.sort(key=lambda each: each.topic)
            for i, (_, group) in enumerate(groupby(records, key=lambda each: each.topic)):
                if i:
                    self._crash.passing("between_topics")
                self._write_topic(list(group))
            self._in_hand_ms = None
            self._pace(sum(len(each.offsets) for each in records), time.monotonic() - now)
            if ending or now - beaten > BEAT_S:
                beaten = now
                self._try(self._lane.beat)
            elif not records:
                self._try(self._lane.settle)
            if ending and not len(self.buffer):
                return

    def _pace(self, rows: int, took_s: float) -> None:
        if rows >= self._write_rows // 2 > 0:
            wanted = (self._write_rows + int(rows / max(took_s, 0.001) * WRITE_S)) // 2
            self._write_rows = min(self._flush_rows, max(wanted, WRITE_ROWS_LEAST))

    def _write_topic(self, records: list[Records]) -> None:
        wait_s = 0.05
        while not self._try(lambda: self._lane.take(records, self.buffer.current)):
            if self.trouble and self._ending.wait(wait_s):
                return
            wait_s = min(RETRY_MAX_S, wait_s * 2)

    def _try(self, work: Callable[[], object]) -> bool:
        try:
            work()
        except MovedError as error:
            _LOG.warning("going back to the sink's offsets: %s", error)
            self.buffer.hold(error.places)
            with self._moved_lock:
                self._moved |= set(error.places)
            self.trouble = ""
            return False
        except SnowmeltError as error:
            if self.trouble != error.detail:
                _LOG.error("the sink does not take records: %s", error.detail)
            self.trouble = error.detail
            return False
        self.trouble = ""
        return True
