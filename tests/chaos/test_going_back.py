"""Lanes go back to a time while they run and events come: nothing lost, nothing twice, the same state."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from snowmelt.chaos.bad_records import NOW_MS
from snowmelt.chaos.check import Report, check
from snowmelt.chaos.rig import Rig, until
from snowmelt.chaos.traffic import Traffic
from snowmelt.contracts.topics import EVENTS
from snowmelt.runtime.kafka.jars import Distribution
from tests.fixtures.kafka import CACHE

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]
CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.fixture
def rig(tmp_path: Path, kafka_distribution: Distribution) -> Iterator[Rig]:
    with Rig(tmp_path, partitions=2, cache=CACHE) as made:
        yield made


def snowmelt(rig: Rig, *words: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the document of ``--json``, and what was said on stderr."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SNOWMELT_")}
    environ = {
        "SNOWMELT_STATE_DIR": str(rig.folder),
        "SNOWMELT_KAFKA_BOOTSTRAP": rig.bootstrap,
        "SNOWMELT_REDIS_URL": rig.redis_url,
        "SNOWMELT_LANES_OPS": ",".join(f"{lane}={address}" for lane, address in rig._ops.items()),
    }
    done = subprocess.run(
        [sys.executable, "-P", "-m", "snowmelt.cli.main", *words, "--json"],
        env=kept | environ, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def shown(rig: Rig) -> tuple[int, list[str], set[int]]:
    """Exit code, what has stopped, and how far places are behind, as ``offsets show`` says it."""
    code, said, _ = snowmelt(rig, "offsets", "show")
    return code, said["stopped"], {each["behind_records"] for each in said["places"]}


def caught_up(rig: Rig) -> None:
    rig.store.follow()
    until(lambda: rig.drained("lake") and rig.drained("features"), 60, "the lanes did not catch up")


def test_lanes_go_back_while_they_run_and_refuse_what_kafka_lost(rig: Rig) -> None:
    traffic = Traffic(rig.bootstrap, 11)
    traffic.send(3000)
    lanes = [rig.start(lane, flush_rows=200, flush_seconds=0.1) for lane in ("lake", "features")]
    caught_up(rig)
    before = {place: end for place, end in rig.positions("lake", [EVENTS]).items() if end}

    code, said, _ = snowmelt(rig, "offsets", "replay", "--from", str(NOW_MS + 1000))
    assert (code, said["done"]) == (0, False)
    assert {(step["topic"], step["partition"]): step["position"] for step in said["steps"]} == before
    assert sum(step["rows"] for step in said["steps"]) > 1500
    assert all(step["rows"] + step["letters"] <= step["position"] - step["target"] for step in said["steps"])
    assert rig.positions("lake", [EVENTS]) == before

    # nothing comes that would show an idle lane that it was taken back
    code, said, wrong = snowmelt(rig, "offsets", "replay", "--from", str(NOW_MS + 1000), "--lane", "lake", "--yes")
    assert (code, said.get("done"), said.get("generation")) == (0, True, None), wrong

    stop = threading.Event()
    # A commit holds 200 records here: more than some hundred a second would only pile up.
    sender = threading.Thread(target=lambda: [traffic.send(20) for _ in iter(lambda: stop.wait(0.1), True)])
    sender.start()
    code, said, wrong = snowmelt(rig, "offsets", "replay", "--from", str(NOW_MS + 1000), "--yes")
    stop.set()
    sender.join()
    assert (code, said.get("done")) == (0, True), wrong
    assert said["generation"].startswith("2-")
    caught_up(rig)
    assert rig.store.generation == said["generation"]
    until(lambda: shown(rig) == (0, [], {0}), 40, "idle buckets do not follow")
    traffic.close()
    report = Report({}, len(traffic.acknowledged.first))
    check(rig, traffic.acknowledged, report)
    assert report.problems == []

    admin, rows = AdminClient({"bootstrap.servers": rig.bootstrap}), rig.lake.rows("events")
    for future in admin.delete_records([TopicPartition(EVENTS, 0, 40)]).values():
        future.result(30)
    code, said, wrong = snowmelt(rig, "offsets", "replay", "--from", str(NOW_MS), "--yes")
    assert (code, said["done"]) == (1, False)
    assert said["lost"] == [f"{EVENTS}/0: records [0, 40) are in the lake and not in Kafka any more"]
    assert "nothing was changed: go back to 2024-05-01T00:00:00." in wrong
    assert rig.lake.rows("events") == rows
    later = wrong.split()[-3]
    code, said, wrong = snowmelt(rig, "offsets", "replay", "--from", later, "--lane", "lake")
    assert (code, said["lost"]) == (0, []), wrong
    for lane in lanes:
        lane.terminate()
        assert lane.wait(15) == 0
