"""The pressure drill in short: it pauses, holds its memory, loses nothing; a bound that cannot hold goes red."""

from pathlib import Path

import pytest

from snowmelt.chaos import pressure
from snowmelt.chaos.rig import Rig
from snowmelt.runtime.kafka.jars import Distribution
from tests.fixtures.kafka import CACHE

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]


def test_pressure_costs_neither_memory_nor_events(
    tmp_path: Path, kafka_distribution: Distribution, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pressure, "WARM_EVENTS", 5_000)
    with Rig(tmp_path, partitions=4, cache=CACHE, forked=False) as rig:
        report = pressure.drill(rig, stall_s=3, burst_s=2, memory_mbytes=384, least_events=100_000)
    assert report.problems == []
    assert report.burst["features"].pauses > 0
    assert report.burst["lake"].rss_mbytes > 100
