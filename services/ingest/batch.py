"""Records of one topic as columns, whatever their partitions, in the order of each partition's log."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.runtime.kafka.consumer import Place, Records

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Batch:
    """n records.

    Attributes:
        partitions: int32[n], offsets: int64[n], times_ms: int64[n], the record's own Kafka time.
        keys, values, headers: n each; None where the record has none.
        starts: where each partition's range begins, in its log without a gap after what was taken before.
        ends: the offset after the last record of each partition.
    """

    topic: str
    partitions: npt.NDArray[np.int32]
    offsets: I64
    times_ms: I64
    keys: list[bytes | None]
    values: list[bytes | None]
    headers: list[list[tuple[str, bytes]] | None]
    starts: dict[Place, int]
    ends: dict[Place, int]

    def __len__(self) -> int:
        return len(self.values)


def batch_of(records: Sequence[Records], starts: dict[Place, int]) -> Batch:
    """One batch of a topic's records, without those before a partition's start."""
    parts = [trimmed for each in records if (trimmed := _from(each, starts[each.topic, each.partition])).offsets]
    ends: dict[Place, int] = {}
    for part in parts:
        ends[part.topic, part.partition] = part.offsets[-1] + 1
    return Batch(
        topic=records[0].topic,
        partitions=np.repeat(
            np.array([p.partition for p in parts], np.int32), np.array([len(p.offsets) for p in parts], np.int64)
        ),
        offsets=np.array([offset for p in parts for offset in p.offsets], np.int64),
        times_ms=np.array([time for p in parts for time in p.times_ms], np.int64),
        keys=[key for p in parts for key in p.keys],
        values=[value for p in parts for value in p.values],
        headers=[headers for p in parts for headers in p.headers],
        starts={place: starts[place] for place in ends},
        ends=ends,
    )


def _from(records: Records, start: int) -> Records:
    if not records.offsets or records.offsets[0] >= start:
        return records
    skip = int(np.searchsorted(records.offsets, start))
    return Records(
        records.topic,
        records.partition,
        records.offsets[skip:],
        records.times_ms[skip:],
        records.keys[skip:],
        records.values[skip:],
        records.headers[skip:],
    )
