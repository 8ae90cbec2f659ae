"""Kills at every named point lose nothing and repeat nothing; the same harness sees lanes that are wrong on purpose."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from services.ingest.crash import points_of
from snowmelt.chaos import victims
from snowmelt.chaos.bad_records import SHARES
from snowmelt.chaos.check import Report, check
from snowmelt.chaos.kills import KillReport, drill
from snowmelt.chaos.plan import HITS, POINTS, RANDOM, plan
from snowmelt.chaos.rig import Rig
from snowmelt.chaos.traffic import Traffic
from snowmelt.runtime.kafka.jars import Distribution
from tests.fixtures.kafka import CACHE

PAIRS = {f"{lane}/{point}" for lane in POINTS for point in POINTS[lane]}
BETWEEN = {"lake": ("after_commit",), "features": ("after_redis",)}
"""Where the lanes that are wrong on purpose are killed: half way through what should be one."""


@pytest.fixture
def rig(tmp_path: Path, kafka_distribution: Distribution) -> Iterator[Rig]:
    with Rig(tmp_path, partitions=4, cache=CACHE) as made:
        yield made


def test_the_plan_knows_every_point_that_ingest_names() -> None:
    assert {lane: set(points_of(lane)) for lane in ("lake", "features")} == {lane: set(POINTS[lane]) for lane in POINTS}


@pytest.mark.parametrize(("kills", "each", "left"), [(10, 0, 0), (60, 1, 25), (300, 6, 90), (1000, HITS, 300)])
def test_every_point_is_hit_as_often(kills: int, each: int, left: int) -> None:
    hits = [f"{lane}/{hit.point}" for lane, some in plan(kills).items() for hit in some]
    assert len(hits) == kills
    assert sum(name.endswith(RANDOM) for name in hits) == left
    assert {hits.count(name) for name in PAIRS} == ({each} if each else {0, 1})


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.timeout(240)
def test_sixty_kills_at_every_point_lose_nothing_and_repeat_nothing(rig: Rig) -> None:
    report = drill(rig, kills=60, events=12_000)
    assert report.problems == []
    assert set(report.kills) >= PAIRS
    assert sum(report.kills.values()) == 60
    assert (report.lost, report.twice, report.misplaced) == (0, 0, 0)
    assert report.landed > 10_000
    assert report.dead_letters > 100
    assert report.versions > 60  # how many there are depends on how soon the kills come
    assert report.joined > 0


def broken(rig: Rig, lake: str, features: str, points: dict[str, tuple[str, ...]] | None = None) -> KillReport:
    modules = {"lake": f"tests.chaos.{lake}", "features": f"tests.chaos.{features}"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(victims, "PASSINGS", 1)  # it passes these points half way as well as at the end
        return drill(rig, kills=6, events=3_000, modules=modules, points=points or BETWEEN)


def seen(report: KillReport, beginning: str) -> bool:
    return any(problem.startswith(beginning) for problem in report.problems)


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.slow
def test_offsets_before_rows_and_an_ignored_fence_are_seen(rig: Rig) -> None:
    report = broken(rig, "broken_lake", "broken_features")
    assert report.lost > 0
    assert report.twice == 0
    assert seen(report, "reader: ")
    assert seen(report, "features lane, snowmelt.")
    assert report.applied > report.acknowledged * 0.9


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.slow
def test_rows_before_offsets_and_a_gap_that_is_passed_over_are_seen(rig: Rig) -> None:
    report = broken(rig, "broken_rows_first", "broken_gap_rule")
    assert report.twice > 0
    assert report.lost == 0
    assert seen(report, "reader: ")
    assert seen(report, "features lane, snowmelt.")


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.slow
def test_a_duplicate_window_that_is_forgotten_is_seen(rig: Rig) -> None:
    report = broken(
        rig, "broken_window", "broken_window", {"lake": ("before_offsets",), "features": ("before_offsets",)}
    )
    assert report.twice > 0
    assert report.lost == 0
    assert seen(report, "reader: ")
    assert seen(report, "features lane, snowmelt.")


@pytest.mark.kafka
@pytest.mark.redis
@pytest.mark.slow
def test_one_change_that_is_left_out_is_seen_in_the_states_alone(rig: Rig) -> None:
    traffic, report = Traffic(rig.bootstrap, 7, SHARES), Report({}, 0)
    traffic.send(1_000)
    traffic.close()
    rig.finish({"features": "tests.chaos.broken_states"})
    check(rig, traffic.acknowledged, report)
    assert report.problems
    assert all(problem.startswith("online: ") for problem in report.problems), report.problems
