"""Bad records among good ones: each a letter once, no good one lost; the same harness sees a lane that errs."""

import pytest

from snowmelt.chaos.poison import drill
from snowmelt.chaos.rig import Rig
from tests.chaos.test_kills import rig

__all__ = ["rig"]
pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]


def test_each_bad_record_is_a_letter_once_through_kills(rig: Rig) -> None:
    report = drill(rig, bad_count=200, records=5000, kills=2)
    assert report.problems == []
    assert (report.dead_letters, sum(report.kills.values())) == (200, 2)
    assert len(report.reasons) == 11
    assert sum(report.stored.values()) == 4800 - report.duplicates
    assert report.duplicates > 10


def test_a_lane_that_errs_is_seen(rig: Rig) -> None:
    report = drill(rig, bad_count=200, records=2000, kills=0, module="tests.chaos.broken_judge")
    assert any("that were not to be stored" in problem for problem in report.problems)
    assert any("is no dead letter" in problem for problem in report.problems)
    assert any(problem.startswith("lake lane, snowmelt.events") for problem in report.problems)
