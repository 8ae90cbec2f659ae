"""What both lanes do with records of one topic: decode, judge, drop duplicates, write with the offsets' ends."""

import threading
from collections.abc import Mapping, Sequence

import numpy as np

from services.ingest.batch import Batch, batch_of
from services.ingest.decode import ID_COLUMNS, Decoded, decode
from services.ingest.ports import History, Outcome, Sink
from services.ingest.traces import Traces
from services.ingest.window import WINDOW_OFFSETS, Window
from snowmelt.contracts.ids import DEFAULT_TENANT, item_keys
from snowmelt.runtime.kafka.consumer import Place, Records
from snowmelt.runtime.metrics import RECORDS


class Lane:
    """Positions and duplicate windows of the places that this process reads; safe to call from two threads."""

    def __init__(self, name: str, sink: Sink, history: History, incarnations: Mapping[str, str]) -> None:
        self.name = name
        self.sink = sink
        self._history = history
        self._incarnations = incarnations
        self._lock = threading.Lock()
        self._positions: dict[Place, int] = {}
        self._windows: dict[Place, Window] = {}

    def begin(self, places: Sequence[Place]) -> dict[Place, int]:
        """Reads from the sink where each place goes on, and its duplicate window back."""
        with self._lock:
            found = self.sink.next_offsets(places)
            for place, offset in found.items():
                self._windows[place] = self._read_back(place, offset)
                self._positions[place] = offset
            return found

    def positions(self) -> dict[Place, int]:
        """The next offset of each place."""
        with self._lock:
            return dict(self._positions)

    def forget(self, places: Sequence[Place]) -> None:
        """Drops what belongs to places that another process reads now."""
        with self._lock:
            for place in places:
                self._positions.pop(place, None)
                self._windows.pop(place, None)

    def take(self, records: Sequence[Records]) -> Batch | None:
        """Writes records of one topic, passing over those before a place's position and those of others' places.

        Raises:
            MovedError: the sink is elsewhere: ``begin`` the places again.
            SnowmeltError: UNAVAILABLE; the same records can be given again.
        """
        with self._lock:
            mine = [each for each in records if (each.topic, each.partition) in self._positions]
            batch = batch_of(mine, self._positions) if mine else None
            if batch is None or not len(batch):
                return None
            with Traces(self.name, batch) as traces:
                decoded = decode(batch, self._incarnations[batch.topic], self.sink.event_types())
                outcomes, kept = self._judge(batch, decoded)
                with traces.writing():
                    self.sink.write(batch, decoded, kept, outcomes)
            self._positions.update(batch.ends)
        for name in ("applied", "duplicates", "dead"):
            label = {"duplicates": "duplicate"}.get(name, name)
            RECORDS.labels(self.name, batch.topic, label).inc(sum(getattr(each, name) for each in outcomes.values()))
        return batch

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
        window = Window()
        column = ID_COLUMNS.get(place[0])
        if column is None or position == 0:
            return window
        start = max(0, position - WINDOW_OFFSETS)
        ids, offsets, landed = self._history.kept(column, place, start, position)
        window.remember(item_keys(DEFAULT_TENANT, ids), np.array(offsets, np.int64))
        reached = max(start, min(landed, position))
        for records in self._history.replay(place, reached, position) if reached < position else ():
            batch = batch_of([records], {place: reached})
            decoded = decode(batch, self._incarnations[place[0]], self.sink.event_types())
            if decoded.keys is not None:
                window.keep(decoded.keys, batch.offsets[decoded.places])
        return window
