"""Kills at the four named points lose nothing and repeat nothing; the same harness sees two broken variants."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowmelt.chaos.kills import drill
from snowmelt.chaos.rig import Rig
from snowmelt.runtime.kafka.jars import Distribution

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]
CACHE = Path(os.environ.get("SNOWMELT_CACHE_DIR") or Path(__file__).resolve().parents[2] / ".cache")


@pytest.fixture
def rig(tmp_path: Path, kafka_distribution: Distribution) -> Iterator[Rig]:
    with Rig(tmp_path, partitions=4, cache=CACHE) as made:
        yield made


def test_twenty_kills_lose_nothing_and_repeat_nothing(rig: Rig) -> None:
    report = drill(rig, kills=20, events=4000)
    assert set(report.kills) == {"before_commit", "after_commit", "before_redis", "after_redis"}
    assert sum(report.kills.values()) == 20
    assert report.landed == report.applied > 3000
    assert report.problems == []


def test_broken_lanes_are_seen(rig: Rig) -> None:
    modules = {"lake": "tests.chaos.broken_lake", "features": "tests.chaos.broken_features"}
    report = drill(rig, kills=4, events=1500, modules=modules)
    assert report.lost > 0
    assert report.applied > report.acknowledged * 0.95
    assert any(problem.startswith("online: applied") for problem in report.problems)
