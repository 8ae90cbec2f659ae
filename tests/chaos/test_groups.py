"""Processes of a lane that share partitions: zombies write nothing, who comes and goes loses nothing; in short."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from snowmelt.chaos import scale, zombies
from snowmelt.chaos.rig import Rig
from snowmelt.runtime.kafka.jars import Distribution
from tests.fixtures.kafka import CACHE

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]


@pytest.fixture
def rig(tmp_path: Path, kafka_distribution: Distribution) -> Iterator[Rig]:
    with Rig(tmp_path, partitions=4, cache=CACHE) as made:
        yield made


def test_a_zombie_brings_in_nothing(rig: Rig) -> None:
    report = zombies.drill(rig, trials=2)
    assert report.problems == []
    assert report.tried == {"lake": 2, "features": 2}
    assert (report.lost, report.twice, report.misplaced) == (0, 0, 0)
    assert report.landed > 500


@pytest.mark.long
def test_a_zombie_that_ignores_the_fence_is_seen(rig: Rig) -> None:
    report = zombies.drill(rig, trials=1, module="tests.chaos.broken_features", lane="features")
    assert report.tried["lake"] == 1
    assert any(problem.startswith("features lane, snowmelt.events: applied") for problem in report.problems)
    assert not any(problem.startswith("lake") for problem in report.problems)


def test_processes_come_and_go_and_every_record_counts_once(rig: Rig) -> None:
    report = scale.drill(rig, seconds=20, every_s=2.0)
    assert report.problems == []
    assert (report.lost, report.twice, report.misplaced) == (0, 0, 0)
    assert report.most > 1
    assert report.added > 0
    assert report.landed > 500
