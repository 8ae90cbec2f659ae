"""The benchmark of the rebuild at a small size: real parts, and the same states both ways."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from snowmelt.runtime.kafka.jars import Distribution

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow, pytest.mark.long]
CHECKOUT = Path(__file__).parents[2]


def test_live_lane_and_rebuild_come_to_the_same(kafka_distribution: Distribution) -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "snowmelt.cli.main", "bench", "rebuild", "--events", "2000", "--json"],
        env={"SNOWMELT_CACHE_DIR": str(CHECKOUT / ".cache"), **os.environ},
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["differing"] == []
    assert figures["states"] > 2000
    assert figures["ratio"] == pytest.approx(figures["rebuild"]["events_per_s"] / figures["live"]["events_per_s"])
    assert [floor["figure"] for floor in figures["floors"]] == [figures["ratio"]]
    assert min(figures[way]["events_per_cpu_s"] for way in ("live", "rebuild")) > 0
