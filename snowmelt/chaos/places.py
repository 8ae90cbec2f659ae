"""Where a record stands in Kafka as one number, so that a million of them are compared by numpy."""

from typing import Any

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.topics import LAKE_TOPICS

I64 = npt.NDArray[np.int64]

OFFSET_BITS, PARTITION_BITS = 40, 16


def place(topic: str, partition: int, offset: int) -> int:
    """Topic, partition and offset of a record in one number; those of a partition rise with the offset."""
    return (LAKE_TOPICS.index(topic) << PARTITION_BITS | partition) << OFFSET_BITS | offset


def places(topic: str, partitions: npt.NDArray[Any], offsets: npt.NDArray[Any]) -> I64:
    """``place`` of n records of a topic: int64[n]."""
    return (partitions.astype(np.int64) << OFFSET_BITS) + offsets.astype(np.int64) + place(topic, 0, 0)
