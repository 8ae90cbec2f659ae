"""The thread that hands what was read to the lane, in writes of a size that the sink takes in about two seconds."""

import logging
import threading
import time
from collections.abc import Callable, Iterable
from itertools import groupby

from services.ingest.buffer import Buffer
from services.ingest.lane import Lane
from services.ingest.ports import MovedError
from snowmelt.contracts.errors import SnowmeltError
from snowmelt.runtime.kafka.consumer import Place, Records
from snowmelt.runtime.kafka.identity import RemadeError

_LOG = logging.getLogger(__name__)

BEAT_S = 5.0
FOLLOW_S = 0.5
RETRY_MAX_S = 2.0
WRITE_S, WRITE_ROWS_LEAST, WRITE_ROWS_FIRST = 2.0, 2_000, 20_000
"""How long a write should take at most where much waits; by it the rows of one are set, from some at the start on.

The more rows, the fewer states: an entity is merged once a write, however often it comes."""


class Writing:
    """Writes until it is told to end, and then what is left.

    Args:
        lane, buffer: to and from.
        flush_rows: of a write at most; it begins when the buffer hands them on.
        moved: is told which places the sink holds otherwise than this process believed.
        remade: is told where a topic is another than it was.
    """

    def __init__(
        self,
        lane: Lane,
        buffer: Buffer,
        *,
        flush_rows: int,
        moved: Callable[[Iterable[Place]], None],
        remade: Callable[[RemadeError], None],
    ) -> None:
        self._lane = lane
        self._buffer = buffer
        self._flush_rows = flush_rows
        self._write_rows = min(flush_rows, WRITE_ROWS_FIRST)
        self._moved = moved
        self._remade = remade
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._guarded, name="writer", daemon=True)
        self.in_hand_ms: int | None = None
        self.trouble = ""
        self.failure: BaseException | None = None

    def start(self) -> None:
        """Begins to work."""
        self._thread.start()

    def end(self, seconds: float) -> bool:
        """Writes what is left, and ends the thread; whether that came about in time."""
        self._ending.set()
        self._buffer.close()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _guarded(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 - the polling thread raises it
            self.failure = error

    def _work(self) -> None:
        beaten = followed = time.monotonic()
        while True:
            ending = self._ending.is_set()
            records = self._buffer.take(self._write_rows, 0.1)
            self.in_hand_ms = min((each.times_ms[0] for each in records), default=None)
            now = time.monotonic()
            if now - followed > FOLLOW_S:
                followed = now
                self._try(self._lane.follow)
            records.sort(key=lambda each: each.topic)
            for i, (_, group) in enumerate(groupby(records, key=lambda each: each.topic)):
                if i:
                    self._lane.crash.passing("between_topics")
                self._write_topic(list(group))
            self.in_hand_ms = None
            self._pace(sum(len(each.offsets) for each in records), time.monotonic() - now)
            if ending or now - beaten > BEAT_S:
                beaten = now
                self._try(self._lane.beat)
            elif not records:
                self._try(self._lane.settle)
            if ending and not len(self._buffer):
                return

    def _pace(self, rows: int, took_s: float) -> None:
        if rows >= self._write_rows // 2 > 0:
            wanted = (self._write_rows + int(rows / max(took_s, 0.001) * WRITE_S)) // 2
            self._write_rows = min(self._flush_rows, max(wanted, WRITE_ROWS_LEAST))

    def _write_topic(self, records: list[Records]) -> None:
        wait_s = 0.05
        while not self._try(lambda: self._lane.take(records, self._buffer.current)):
            if self.trouble and self._ending.wait(wait_s):
                return
            wait_s = min(RETRY_MAX_S, wait_s * 2)

    def _try(self, work: Callable[[], object]) -> bool:
        trouble = ""
        try:
            work()
        except MovedError as error:
            _LOG.warning("going back to the sink's offsets: %s", error)
            self._buffer.hold(error.places)
            self._moved(error.places)
        except RemadeError as error:
            self._remade(error)
        except SnowmeltError as error:
            trouble = error.detail
            if self.trouble != trouble:
                _LOG.error("the sink does not take records: %s", trouble)
        else:
            self.trouble = ""
            return True
        self.trouble = trouble
        return False
