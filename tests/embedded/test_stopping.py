"""Real parts and lanes: what is told to stop drains, what dies is said, and nothing is left running."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.contracts.clock import Clock
from snowmelt.contracts.ids import record_key
from snowmelt.contracts.topics import EVENTS
from snowmelt.embedded.home import Home, Run
from snowmelt.lake import Lake
from snowmelt.runtime.kafka.producer import Producer
from tests.fixtures.running import runs

pytestmark = [pytest.mark.redis, pytest.mark.slow]
ROOT = Path(__file__).parents[2]
COUNT = 2_000
LANES = ("ingest-lake", "ingest-features")


def until(holds: Callable[[], bool], otherwise: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


@dataclass
class Alone:
    """What runs."""

    home: Home
    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def run(self) -> Run:
        found = self.home.run()
        assert found is not None
        return found

    @property
    def said(self) -> str:
        return self.log.read_text()

    def send(self) -> None:
        """Events that are acknowledged."""
        now_ms = Clock(0).now_ms()
        producer = Producer(self.run.environ["SNOWMELT_KAFKA_BOOTSTRAP"])
        for n in range(COUNT):
            user = f"u{n % 97}"
            event = pb.Event(
                event_id=f"e{n}", tenant="default", user_id=user, item_id="i", type="click", event_time_ms=now_ms
            )
            producer.post(EVENTS, record_key("default", user), event.SerializeToString(), now_ms)
        producer.close()

    def signal_lanes(self, number: signal.Signals) -> None:
        for name in LANES:
            os.kill(self.run.children[name], number)

    def landed(self) -> int:
        return Lake(str(self.home.folder / "lake")).rows("events")

    def down(self) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-P", "-m", "snowmelt.cli.main", "down"]
        environ = {**os.environ, "SNOWMELT_STATE_DIR": str(self.home.folder)}
        return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=60)


Start = Callable[[str], Alone]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Alone] = []

    def begin(hurry: str = "") -> Alone:
        log = tmp_path / "said"
        command = [sys.executable, "-m", "tests.embedded.lanes_alone", str(tmp_path / "state"), hurry]
        with log.open("wb") as out:
            process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out)
        alone = Alone(Home(tmp_path / "state"), process, log)
        made.append(alone)
        until(lambda: "ready\n" in alone.said or process.poll() is not None, "not ready in time")
        assert process.poll() is None, alone.said
        return alone

    yield begin
    for alone in made:
        run = alone.home.run()
        alone.process.kill()
        alone.process.wait()
        for pid in run.children.values() if run is not None else ():
            if runs(pid):
                os.kill(pid, signal.SIGKILL)


def test_the_embedded_broker_died_is_said_and_everything_ends(start: Start) -> None:
    alone = start("")
    children = alone.run.children
    assert set(children) == {"redis", "collector", "broker", *LANES}
    os.kill(children["broker"], signal.SIGKILL)
    until(lambda: alone.process.poll() is not None, "it does not stop")
    assert alone.process.returncode == 1, alone.said
    assert "broker ended by signal 9 (log: " in alone.said
    assert "those that the lanes had not taken are lost; everything stops, and the next start goes on" in alone.said
    assert not any(map(runs, children.values()))
    assert "those that the lanes had not taken are lost" in alone.run.left
    down = alone.down()
    assert (down.returncode, down.stdout) == (0, "nothing runs here\n")


def test_down_drains_what_a_killed_supervisor_left_the_restarted_too(start: Start) -> None:
    alone = start("")
    first = alone.run.children["collector"]
    os.kill(first, signal.SIGKILL)
    until(lambda: alone.run.children.get("collector", first) != first, "the restarted process is not noted")
    children = alone.run.children
    alone.process.kill()
    alone.process.wait()
    alone.signal_lanes(signal.SIGSTOP)
    alone.send()
    alone.signal_lanes(signal.SIGCONT)
    down = alone.down()
    assert down.returncode == 0, down.stdout + down.stderr
    assert "has gone; it left running: redis, collector, broker, ingest-lake, ingest-features" in down.stdout
    assert alone.landed() == COUNT
    assert not any(map(runs, children.values()))
    assert alone.home.run() is None


def test_what_was_not_drained_is_said_by_both_commands(start: Start) -> None:
    alone = start("hurry")
    children = alone.run.children
    alone.signal_lanes(signal.SIGSTOP)
    alone.send()
    down = alone.down()
    assert down.returncode == 1
    assert "the rest is lost with the embedded broker" in down.stderr
    assert "drained" not in down.stdout
    assert alone.process.wait(10) == 1
    assert "the rest is lost with the embedded broker" in alone.said
    assert "ingest-lake did not end in time and was killed" in alone.said
    assert not any(map(runs, children.values()))
