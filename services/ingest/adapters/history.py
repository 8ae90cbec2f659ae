"""What was kept before, out of the lake, and out of Kafka where the lake does not reach so far."""

import time
from collections.abc import Iterator, Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from services.ingest.batch import I64
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.lake import TOPIC_TABLES, Lake
from snowmelt.runtime.kafka.consumer import Consumer, Place, Records

REPLAY_S = 60.0
"""How long the log may give nothing of what it should hold."""


class LakeThenKafka:
    """Reads the ids of a place's newest records back."""

    def __init__(self, lake: Lake, bootstrap: str, incarnations: Mapping[str, str]) -> None:
        self._lake = lake
        self._bootstrap = bootstrap
        self._incarnations = incarnations

    def kept(self, column: str, place: Place, start: int, end: int) -> tuple[pa.Array | pa.ChunkedArray, I64, int]:
        """Ids and offsets that the lake holds in [start, end), and the offset up to which the lake has landed."""
        topic, partition = place
        incarnation, table = self._incarnations[topic], TOPIC_TABLES[topic]
        key = (incarnation, topic, partition)
        try:
            landed = self._lake.progress(table, [key]).get(key)
        except SnowmeltError as error:
            if error.reason is Reason.NOT_FOUND:
                return _nothing()
            raise
        if landed is None:
            return _nothing()
        rows = self._lake.since(table, [column, "offset"], {(incarnation, partition): start})
        rows = rows.filter(pc.less(rows["offset"], end))
        return rows[column], rows["offset"].to_numpy(), landed.next_offset

    def replay(self, place: Place, start: int, end: int) -> Iterator[Records]:
        """The log's own records in [start, end).

        Raises:
            SnowmeltError: UNAVAILABLE where the log does not hold them any more, or not in time.
        """
        consumer = Consumer(self._bootstrap, "snowmelt-history")
        try:
            consumer.assign({place: start})
            position, deadline = start, time.monotonic() + REPLAY_S
            while position < end:
                polled = consumer.poll(min(10_000, end - position), 0.1)
                if polled.out_of_range or time.monotonic() > deadline:
                    name = f"{place[0]}/{place[1]}"
                    detail = (
                        f"{name}: [{position}, {end}) cannot be read again: let the lake lane catch up, its gaps first"
                    )
                    raise SnowmeltError(Reason.UNAVAILABLE, detail)
                for records in polled.records:
                    deadline = time.monotonic() + REPLAY_S
                    position = records.offsets[-1] + 1
                    keep = sum(offset < end for offset in records.offsets)
                    yield records.cut(keep)[0]
        finally:
            consumer.close()


def _nothing() -> tuple[pa.Array, I64, int]:
    return pa.array([], pa.string()), np.empty(0, np.int64), 0
