"""A lake lane on a real Kafka pauses before a topic that has gone bad, says so, and goes on when it is told to."""

import json
import os
import signal
import urllib.error
import urllib.request
from typing import Any

import pytest

from snowmelt.chaos.rig import Rig, free_port, until
from snowmelt.cli import deadletters
from snowmelt.cli.status import look
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.errors import ExitCode
from snowmelt.contracts.ids import record_key
from snowmelt.contracts.topics import EVENTS
from snowmelt.embedded.places import ask_lanes
from snowmelt.runtime.config import Settings
from snowmelt.runtime.kafka.producer import Producer
from tests.ingest.fakes import NOW, event

pytestmark = [pytest.mark.kafka, pytest.mark.redis, pytest.mark.slow]
GOOD, BAD = 50, 150


def test_a_paused_lane_says_so_and_goes_on_where_the_bad_records_are_accepted(
    rig: Rig, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    producer = Producer(rig.bootstrap)
    for number in range(GOOD):
        producer.post(EVENTS, record_key("default", "ann"), event(number), NOW)
    for number in range(BAD):
        producer.post(EVENTS, record_key("default", "ann"), b"\xff" if number % 3 else event(GOOD + number), NOW)
    producer.close()
    address = f"127.0.0.1:{free_port()}"
    monkeypatch.setenv("SNOWMELT_LANES_OPS", f"lake={address}")

    lake, features = rig.start("lake", ops_address=address), rig.start("features")
    until(lambda: any("paused" in said for said in told()), 60, "the lane does not say that it has paused")
    until(lambda: rig.drained("features"), 60, "the feature lane waits for the lake lane")
    (said,) = [each for each in told() if "paused" in each]
    assert f"snowmelt deadletters accept {EVENTS}" in said
    assert f"{100} are bad, more than 20%" in said
    assert unready(address) == [said]
    # An idle bucket hears within seconds how far its partition is.
    until(lambda: waiting(look(Settings.load()), "features") == (0, False), 30, "the feature lane counts as behind")
    shown = look(Settings.load())
    assert not shown["ready"]
    assert f"the lake lane: {said}" in shown["reasons"]
    assert shown["notes"][0] == "the features lane is not asked (SNOWMELT_LANES_OPS): judged by log and sink alone"
    assert waiting(shown, "lake") == (GOOD + BAD, True)
    assert not any("features" in reason for reason in shown["reasons"])
    assert (rig.lake.rows("events"), rig.lake.rows("dead_letters")) == (0, 0)

    lake.terminate()
    assert lake.wait(20) == ExitCode.OK
    assert any(f"nothing answers at {address}" in reason for reason in look(Settings.load())["reasons"])
    monkeypatch.setenv("SNOWMELT_LANES_OPS", "")
    assert any("the lake lane: the oldest record" in reason for reason in look(Settings.load())["reasons"])
    monkeypatch.setenv("SNOWMELT_LANES_OPS", f"lake={address}")
    rig.start("lake", ops_address=address)
    until(lambda: any("paused" in said for said in told()), 60, "the lane forgets that it has paused")
    deadletters.accept(EVENTS, as_json=True)
    assert sum(json.loads(capsys.readouterr().out)["before"].values()) == GOOD + BAD
    until(lambda: rig.drained("lake"), 30, "the lane does not go on")
    assert (rig.lake.rows("events"), rig.lake.rows("dead_letters")) == (100, 100)
    counts = rig.store.fence_table.counters()[EVENTS]
    assert (counts.applied, counts.dead) == (100, 100)
    assert features.poll() is None
    os.kill(features.pid, signal.SIGTERM)


def told() -> list[str]:
    return [reason for told in ask_lanes(Settings.load()) for reason in told.reasons]


def waiting(shown: dict[str, Any], lane: str) -> tuple[int, bool]:
    """How many events wait for the lane, and whether the oldest is as old as its Kafka time says."""
    (flow,) = [each for each in shown["flows"] if (each["topic"], each["lane"]) == (EVENTS, lane)]
    years = (Clock().now_ms() - NOW) / 1000
    return flow["behind_events"], flow["behind_seconds"] == pytest.approx(years, abs=120)


def unready(address: str) -> list[str]:
    try:
        with urllib.request.urlopen(f"http://{address}/readyz", timeout=5):
            return []
    except urllib.error.HTTPError as error:
        reasons: list[str] = json.loads(error.read())["reasons"]
        return reasons
