"""The order in which everything ends, and that it ends in time whatever hangs."""

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import psutil
import pytest

from snowmelt.embedded import ending
from snowmelt.embedded.ending import LOST, end_in_order, end_leftovers
from snowmelt.embedded.home import Run

NOTER = """
import pathlib, signal, sys
signal.pthread_sigmask(signal.SIG_BLOCK, {15})
print(flush=True)
signal.sigwait({15})
with pathlib.Path(sys.argv[1]).open("a") as ended:
    ended.write(sys.argv[2] + "\\n")
"""
MEMORY = {"SNOWMELT_KAFKA_INCARNATION": "one"}


def start(names: Sequence[str], ended: Path) -> Run:
    """Processes that note when they are told to end, as a supervisor that has gone has left them."""
    children, begun = {}, {}
    for name in names:
        process = subprocess.Popen([sys.executable, "-c", NOTER, str(ended), name], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        children[name], begun[name] = process.pid, psutil.Process(process.pid).create_time()
    return Run(0, psutil.Process().create_time(), MEMORY, children, begun)


def test_leftovers_end_in_order_and_the_lanes_drain_while_broker_and_redis_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = tmp_path / "ended"
    run = start(("redis", "broker", "ingest-lake", "ingest-features", "gateway", "train"), ended)

    asked: list[set[str]] = []

    def drained_by(environ: Mapping[str, str]) -> Callable[[], bool]:
        assert environ is run.environ

        def drained() -> bool:
            asked.append({*ended.read_text().split()})
            return len(asked) > 2

        return drained

    monkeypatch.setattr(ending, "drained_by", drained_by)
    said: list[str] = []
    assert end_leftovers(run, said.append) == ""
    assert asked == [{"gateway", "train"}] * 3
    order = ended.read_text().split()
    assert set(order[:2]) == {"gateway", "train"}
    assert set(order[2:4]) == {"ingest-lake", "ingest-features"}
    assert set(order[4:]) == {"broker", "redis"}
    assert len(said) == 1


def test_a_broker_that_has_gone_too_has_taken_its_records_with_it(tmp_path: Path) -> None:
    run = start(("ingest-lake", "redis"), tmp_path / "ended")
    assert end_leftovers(run, lambda _: None) == LOST
    assert (tmp_path / "ended").read_text() == "ingest-lake\nredis\n"


def test_nobody_elses_process_is_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    started = psutil.Process(child.pid).create_time()
    said: list[str] = []
    # After a restart of the machine a number is somebody else's, who began later than what was noted; or our own.
    others = {"later": child.pid, "gone": _free_pid(), "unknown": child.pid, "myself": os.getpid()}
    noted = {"later": started - 100, "gone": started, "myself": started - 100}
    assert end_leftovers(Run(0, started - 200, {}, others, noted), said.append) == ""
    assert child.poll() is None
    assert said[0].endswith("it left running: nothing")
    assert end_leftovers(Run(0, started - 1, {}, {"x": child.pid}, {"x": started}), said.append) == ""
    child.wait(5)


def test_all_steps_share_one_time_though_every_process_is_deaf_and_the_broker_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert ending.STOP_S < 15
    monkeypatch.setattr(ending, "DOORS_S", 0.1)
    monkeypatch.setattr(ending, "DRAINED_S", 0.4)
    steps: list[tuple[Sequence[str], float]] = []
    hangs = threading.Event()

    def stop(names: Sequence[str], timeout_s: float) -> Sequence[str]:
        steps.append((names, timeout_s))
        return names

    def drained() -> bool:
        return hangs.wait(60)

    said: list[str] = []
    assert not end_in_order(["redis", "gateway", "broker", "ingest-lake"], stop, drained, said.append)
    hangs.set()
    assert [list(names) for names, _ in steps] == [["gateway"], ["ingest-lake"], ["redis", "broker"]]
    for (_, timeout_s), at_most_s in zip(steps, (0.1, ending.LANES_S - 0.4, ending.STOP_S - 0.4), strict=True):
        assert timeout_s <= at_most_s
    assert said[0] == "gateway did not end in time and was killed"


def _free_pid() -> int:
    pid = os.getpid() + 100_000
    while psutil.pid_exists(pid):
        pid += 1
    return pid
