"""Lanes whose sinks take nothing any more: told to stop, they are gone in time, and what they had read comes again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from snowmelt.chaos.flood import Flood
from snowmelt.chaos.group import GAVE_UP
from snowmelt.chaos.rig import LANES, Rig, until
from snowmelt.contracts.topics import EVENTS
from snowmelt.runtime.kafka.jars import Distribution
from tests.fixtures.kafka import CACHE

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]
SENT = 2_000
GONE_S = 10.0


@pytest.fixture
def rig(tmp_path: Path, kafka_distribution: Distribution) -> Iterator[Rig]:
    with Rig(tmp_path, partitions=2, cache=CACHE) as made:
        yield made


def test_a_lane_that_is_told_to_stop_while_its_sink_hangs_is_gone_and_its_records_come_again(rig: Rig) -> None:
    stalls = {lane: rig.folder / f"{lane}.stall" for lane in LANES}
    for lane, stall in stalls.items():
        stall.touch()
        rig.start(lane, stall_file=str(stall))
    for lane in LANES:
        rig.wait_ready(lane)
    flood = Flood(rig.bootstrap)
    flood.send(SENT)
    flood.close()
    for lane, stall in stalls.items():
        until(Path(f"{stall}.held").exists, 20, f"{lane} does not write")
        rig.stop(lane, GONE_S)
        assert GAVE_UP in rig.log(lane)
    assert sum(rig.positions("lake", [EVENTS]).values()) == sum(rig.positions("features", [EVENTS]).values()) == 0
    for lane in LANES:
        rig.start(lane)
        until(lambda lane=lane: rig.drained(lane), 60, f"{lane} did not catch up")  # type: ignore[misc]
    assert rig.lake.rows("events") == rig.store.fence_table.counters()[EVENTS].applied == SENT
