"""Since when the first record of each partition waits that a reader has not read yet."""

import time
from collections.abc import Mapping

from snowmelt.runtime.kafka.consumer import Consumer, Place

_LOOK_S = 2.0
"""How long the first records may take to be read."""


def first_times_ms(bootstrap: str, starts: Mapping[Place, int]) -> dict[Place, int]:
    """The Kafka time of the first record of each place from an offset on; absent where none could be read in time.

    Args:
        bootstrap: Kafka's addresses.
        starts: by place the offset, which its log must hold.

    Raises:
        SnowmeltError: UNAVAILABLE where the client cannot go on.
    """
    found: dict[Place, int] = {}
    if not starts:
        return found
    consumer = Consumer(bootstrap, "snowmelt.look")
    deadline = time.monotonic() + _LOOK_S
    try:
        consumer.assign(starts)
        while len(found) < len(starts) and time.monotonic() < deadline:
            fresh: dict[Place, int] = {}
            for each in consumer.poll(10_000, 0.2).records:
                fresh.setdefault((each.topic, each.partition), each.times_ms[0])
            consumer.pause(fresh)  # whatever more one has waiting must not keep the others from being heard
            found = fresh | found
    finally:
        consumer.close()
    return found
