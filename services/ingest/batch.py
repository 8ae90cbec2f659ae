"""Records of one topic as columns, whatever their partitions, in the order of each partition's log."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
import numpy.typing as npt

from snowmelt.runtime.kafka.consumer import Place, Records

I64 = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]
_chain = chain.from_iterable


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
    size = sum(len(part.offsets) for part in parts)
    ends: dict[Place, int] = {}
    for part in parts:
        ends[part.topic, part.partition] = part.offsets[-1] + 1
    return Batch(
        topic=records[0].topic,
        partitions=np.repeat(
            np.array([p.partition for p in parts], np.int32), np.array([len(p.offsets) for p in parts], np.int64)
        ),
        offsets=np.fromiter(_chain(p.offsets for p in parts), np.int64, size),
        times_ms=np.fromiter(_chain(p.times_ms for p in parts), np.int64, size),
        keys=list(_chain(p.keys for p in parts)),
        values=list(_chain(p.values for p in parts)),
        headers=list(_chain(p.headers for p in parts)),
        starts={place: starts[place] for place in ends},
        ends=ends,
    )


def _from(records: Records, start: int) -> Records:
    if not records.offsets or records.offsets[0] >= start:
        return records
    return records.cut(int(np.searchsorted(records.offsets, start)))[1]
