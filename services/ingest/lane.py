"""What both lanes do with records of one topic: decode, judge, drop duplicates, write with the offsets' ends."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager

import numpy as np

from services.ingest.batch import Batch, batch_of
from services.ingest.crash import NEVER, CrashPoints
from services.ingest.decode import Decoded, decode
from services.ingest.past import read_back
from services.ingest.ports import History, Identity, MovedError, Outcome, Sink
from services.ingest.traces import Traces
from services.ingest.window import WINDOW_OFFSETS, Window
from services.ingest.write import Write, confirmed, traced
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.kafka.consumer import Place, Records
from snowmelt.runtime.kafka.identity import RemadeError
from snowmelt.runtime.metrics import RECORDS
from snowmelt.runtime.stages import timed

_RECORDED = {"applied": "applied", "duplicate": "duplicates", "dead": "dead"}


class Lane:
    """Positions and duplicate windows of the places that this process reads; safe to call from two threads.

    One batch may be on its way into the sink while the next is decoded. Whatever it comes to is told by the next call:
    places that have moved are dropped here until they ``begin`` again.
    """

    def __init__(
        self,
        name: str,
        sink: Sink,
        history: History,
        incarnations: Mapping[str, str],
        window_offsets: int = WINDOW_OFFSETS,
    ) -> None:
        self.name = name
        self._window_offsets = window_offsets
        self.sink = sink
        self._history = history
        self._incarnations = incarnations
        self.crash: CrashPoints = NEVER
        self.identity: Identity | None = None
        self._lock = threading.Lock()
        self._marks = threading.Lock()
        self._beginning: set[Place] = set()
        self._forgotten: set[Place] = set()
        self._exchanges = 0
        self._remade: RemadeError | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="sink")
        self._write: Write | None = None
        self._moved: set[Place] = set()
        self._positions: dict[Place, int] = {}
        self._taken: dict[Place, int] = {}
        self._windows: dict[Place, Window] = {}

    def begin(self, places: Sequence[Place]) -> dict[Place, int]:
        """Reads from the sink where each place goes on, and its duplicate window back, while others are written.

        Places that are forgotten meanwhile are left out.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        with self._lock:
            self._drop_forgotten()
            with self._marks:
                self._beginning.update(places)
            self._settle_quietly()
            found, exchanges = self.sink.next_offsets(places), self._exchanges
        self.crash.passing("positions_read")
        windows = {place: self._read_back(place, offset) for place, offset in found.items()}
        with self._lock:
            if self._exchanges != exchanges:
                raise SnowmeltError(Reason.UNAVAILABLE, "the sink was exchanged for another: going over to it")
            with self._marks:
                begun = {place: offset for place, offset in found.items() if place in self._beginning}
                self._beginning.difference_update(places)
            for place, offset in begun.items():
                self._windows[place] = windows[place]
                self._positions[place] = self._taken[place] = offset
            self._moved.difference_update(begun)
            return begun

    def former(self, places: Sequence[Place]) -> dict[Place, tuple[str, int]]:
        """Of places at their very beginning, the incarnation before and how far the sink holds that one.

        Raises:
            SnowmeltError: UNAVAILABLE.
        """
        with self._lock:
            self._settle_quietly()
            return self.sink.former(places)

    def incarnation(self, topic: str) -> str:
        """What the topic was when this process began."""
        return self._incarnations[topic]

    def positions(self) -> dict[Place, int]:
        """The next offset of each place in the sink."""
        # Without the lock: who polls must not wait for a write.
        return {place: offset for place, offset in self._positions.copy().items() if place not in self._forgotten}

    def window_ids(self) -> int:
        """How many ids the duplicate windows hold."""
        return sum(len(window) for window in list(self._windows.values()))

    def oldest_ms(self) -> int | None:
        """The Kafka time of the first record that is on its way into the sink."""
        write = self._write
        return None if write is None else write.oldest_ms

    def forget(self, places: Sequence[Place], wait_s: float = 0.0) -> None:
        """Lets go of places that another process reads now.

        Waits for what is on its way at most so long: the other would find the sink moved, and begin twice. It may still
        come after that: then one of the two is refused by the sink.
        """
        with self._marks:
            self._forgotten.update(places)
            self._beginning.difference_update(places)
        write = self._write
        future = None if write is None else write.future
        if write is not None and future is not None and wait_s and not write.ends.keys().isdisjoint(places):
            wait([future], wait_s)

    def take(self, records: Sequence[Records], current: Callable[[Sequence[Records]], list[Records]] = list) -> None:
        """Decodes records of one topic and begins to write them, once the batch before them is in.

        Passes over those before a place's position and those of others' places.

        Args:
            records: a place's without a hole, from its position on.
            current: leaves out those of places that have begun anew since the records were read. It is asked where no
                place can begin, as beyond that a place's records might be taken for those at its new position.

        Raises:
            MovedError: the sink is elsewhere: ``begin`` these places again, and give the records of others again.
            SnowmeltError: UNAVAILABLE; the same records can be given again.
        """
        with self._lock:
            self._drop_forgotten()
            mine = [each for each in current(records) if (each.topic, each.partition) in self._taken]
            batch = batch_of(mine, self._taken) if mine else None
            if batch is None or not len(batch):
                return
            confirm = self.identity.ask(batch.topic) if self.identity else confirmed
            with ExitStack() as opened:
                traces = opened.enter_context(Traces(self.name, batch))
                with timed("ingest.decode"):
                    decoded = decode(batch, self._incarnations[batch.topic], self.sink.event_types())
                    outcomes, kept = self._judge(batch, decoded)
                with timed("ingest.prepare"):
                    work = self.sink.prepare(batch, decoded, kept, outcomes)
                self._settle()
                work = traced(confirm, work, traces, opened.pop_all())
                self._write = Write(batch.topic, batch.ends, outcomes, work, int(batch.times_ms[0]))
                self._write.future = self._writer.submit(self._write.work)
            self._taken.update(batch.ends)

    def settle(self) -> None:
        """Waits until everything taken is in the sink. Raises as ``take`` does."""
        with self._lock:
            self._settle()

    def beat(self) -> None:
        """Keeps the offsets of idle parts of the sink near the end of the log. Raises as ``take`` does."""
        with self._lock:
            self._drop_forgotten()
            self._settle()
            with self._dropping():
                self.sink.beat(list(self._positions))

    def follow(self) -> None:
        """Goes to the other sink where this one was exchanged for it, and back where this one has lost its newest.

        Raises:
            MovedError: the places that begin again.
            SnowmeltError: UNAVAILABLE.
        """
        with self._lock:
            if not self.sink.exchanged():
                with self._dropping():
                    if fallen := self.sink.fallen(list(self._positions)):
                        raise MovedError(fallen, f"the sink has lost its newest writes: {sorted(fallen)}")
                return
            self._settle()
            self.sink.follow()
            self._exchanges += 1
            with self._dropping():
                raise MovedError(self._positions, "the sink was exchanged for another")

    def _settle(self) -> None:
        with self._dropping():
            if self._moved:
                places, self._moved = self._moved, set()
                raise MovedError(places, f"the sink is elsewhere: {sorted(places)}")
            if self._remade is not None:
                remade, self._remade = self._remade, None
                raise remade
            if self._write is None:
                return
            write = self._write
            write.future = write.future or self._writer.submit(write.work)
            try:
                write.future.result()
            except MovedError as error:
                self._write = None
                self._written(write, set(error.places))
                raise
            except RemadeError:
                self._write = None
                raise
            except BaseException:
                write.future = None
                raise
            self._write = None
            self._written(write, set())

    def _written(self, write: Write, moved: set[Place]) -> None:
        """What a write has brought in, but for the places that had moved."""
        ends = {place: end for place, end in write.ends.items() if place not in moved}
        self._positions.update({place: end for place, end in ends.items() if place in self._positions})
        for outcome, count in _RECORDED.items():
            number = sum(getattr(write.outcomes[place], count) for place in ends)
            RECORDS.labels(self.name, write.topic, outcome).inc(number)

    @contextmanager
    def _dropping(self) -> Iterator[None]:
        try:
            yield
        except MovedError as error:
            self._drop(error.places)
            raise
        except RemadeError as error:  # positions stay: they say what was lost
            for place in [place for place in self._taken if place[0] == error.topic]:
                del self._taken[place], self._windows[place]
            raise

    def _settle_quietly(self) -> None:
        """What came of the write is told by the next call that takes records."""
        try:
            self._settle()
        except MovedError as error:
            self._moved.update(error.places)
        except RemadeError as error:
            self._remade = error

    def _drop_forgotten(self) -> None:
        with self._marks:
            forgotten, self._forgotten = self._forgotten, set()
        self._drop(list(forgotten))
        self._moved -= forgotten

    def _drop(self, places: Sequence[Place]) -> None:
        for place in places:
            for known in (self._positions, self._taken, self._windows):
                known.pop(place, None)

    def _judge(self, batch: Batch, decoded: Decoded) -> tuple[dict[Place, Outcome], object]:
        kept = np.ones(len(decoded.rows), np.bool_)
        partitions = batch.partitions[decoded.places]
        outcomes = {}
        for place in batch.ends:
            mine = np.flatnonzero(partitions == place[1])
            if decoded.keys is not None and len(mine):
                offsets = batch.offsets[decoded.places[mine]]
                kept[mine] = self._windows[place].keep(decoded.keys[mine], offsets)
            applied = int(kept[mine].sum())
            total = int((batch.partitions == place[1]).sum())
            outcomes[place] = Outcome(applied, len(mine) - applied, total - len(mine))
        return outcomes, decoded.rows if kept.all() else decoded.rows.filter(kept)

    def _read_back(self, place: Place, position: int) -> Window:
        window = read_back(
            self._history,
            place,
            position,
            window=Window(self._window_offsets),
            incarnation=self._incarnations[place[0]],
            event_types=self.sink.event_types(),
        )
        self.crash.passing("window_read")
        return window
