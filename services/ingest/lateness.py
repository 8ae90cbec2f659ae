"""Late events: further behind the newest event of their partition than is allowed; stored, applied and flagged."""

import numpy as np
import pyarrow as pa

from services.ingest.batch import Batch, Mask
from snowmelt.contracts.clock import DAY_MS
from snowmelt.runtime.kafka.consumer import Place

ALLOWED_MS = DAY_MS


class Lateness:
    """The watermarks of the places that this process reads: the newest event time of the rows that the lake holds.

    Asking again about the same range gives the same answer, so that a write may be tried again.
    """

    def __init__(self, allowed_ms: int = ALLOWED_MS) -> None:
        self._allowed_ms = allowed_ms
        self._watermarks: dict[Place, dict[int, int]] = {}

    def begin(self, place: Place, offset: int, watermark_ms: int) -> None:
        """A place goes on at an offset."""
        self._watermarks[place] = {offset: watermark_ms}

    def flag(self, batch: Batch, kept: pa.Table) -> tuple[pa.Table, dict[Place, int]]:
        """The rows with their column ``late``, and each place's watermark at its end."""
        times_ms = kept["event_time"].combine_chunks().view(pa.int64()).to_numpy() // 1000
        partitions = kept["partition"].to_numpy()
        late: Mask = np.zeros(len(kept), np.bool_)
        ends: dict[Place, int] = {}
        for place, end in batch.ends.items():
            start = batch.starts[place]
            before = self._watermarks.get(place, {}).get(start, 0)
            mine = np.flatnonzero(partitions == place[1])
            watermarks = np.maximum.accumulate(np.concatenate(([before], times_ms[mine])))
            late[mine] = times_ms[mine] < watermarks[:-1] - self._allowed_ms
            ends[place] = int(watermarks[-1])
            self._watermarks[place] = {start: before, end: ends[place]}
        at = kept.schema.get_field_index("late")
        return kept.set_column(at, kept.schema.field(at), pa.array(late)), ends
