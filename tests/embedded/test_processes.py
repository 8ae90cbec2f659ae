"""The supervisor restarts what dies, says so, and leaves no orphan."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from snowmelt.embedded import processes
from snowmelt.embedded.processes import Spec, StartError, Supervisor

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)",
]


def until(holds: Callable[[], bool], timeout_s: float = 10.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, "not in time"
        time.sleep(0.02)


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def supervisor(tmp_path: Path, said: list[str]) -> Iterator[Supervisor]:
    made = Supervisor(tmp_path, said.append)
    yield made
    made.close()


def test_a_killed_process_is_started_again_and_that_is_said(supervisor: Supervisor, said: list[str]) -> None:
    supervisor.start(Spec("sleeper", SLEEPER, os.environ))
    first = supervisor.pids()["sleeper"]
    os.kill(first, signal.SIGKILL)
    until(lambda: supervisor.pids().get("sleeper", first) != first)
    assert said[0].startswith("sleeper ended by signal 9; it starts again in 0.2 s")


def test_each_start_is_told_and_one_that_cannot_be_started_is_tried_again(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "BACKOFF_S", (0.1,))
    told: list[dict[str, int]] = []
    supervisor = Supervisor(tmp_path, said.append, lambda: told.append(supervisor.pids()))
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\nexec sleep 60\n")
    program.chmod(0o700)
    supervisor.launch(Spec("sleeper", [str(program)], os.environ))
    first = told[0]["sleeper"]
    program.rename(tmp_path / "away")
    os.kill(first, signal.SIGKILL)
    until(lambda: any("sleeper cannot be started: " in line for line in said))
    (tmp_path / "away").rename(program)
    until(lambda: len(told) == 2)
    assert told[1] == supervisor.pids() != told[0]
    supervisor.close()
    assert supervisor.pids() == {}


def test_whoever_answers_in_the_place_of_one_that_has_ended_does_not_make_it_ready(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "BACKOFF_S", (60.0,))
    supervisor.launch(Spec("twin", [sys.executable, "-c", "raise SystemExit('its port is taken')"], os.environ))
    until(lambda: not supervisor.pids())
    with pytest.raises(StartError, match="twin ended with exit code 1: its port is taken"):
        supervisor.wait_ready("twin")


def test_one_that_cannot_be_started_again_is_said_and_not_started(supervisor: Supervisor, said: list[str]) -> None:
    lost = threading.Event()
    log = Path("the.log")
    supervisor.run("broker", log, lambda: subprocess.Popen(SLEEPER), lost=lost.set)
    os.kill(supervisor.pids()["broker"], signal.SIGKILL)
    assert lost.wait(10)
    assert said == ["broker ended by signal 9 (log: the.log)"]
    assert supervisor.pids() == {}


def test_a_process_that_ends_at_once_is_named_with_its_last_words(supervisor: Supervisor) -> None:
    argv = [sys.executable, "-c", "import sys; sys.exit('no such index')"]
    with pytest.raises(StartError, match="broken ended with exit code 1: no such index"):
        supervisor.start(Spec("broken", argv, os.environ, lambda: False))


def test_one_that_is_never_ready_is_given_up(supervisor: Supervisor) -> None:
    with pytest.raises(StartError, match="not ready after 0 s"):
        supervisor.start(Spec("sleeper", SLEEPER, os.environ, lambda: False), timeout_s=0.2)


def test_who_gives_up_does_not_wait_for_what_is_not_ready(tmp_path: Path) -> None:
    def go_on() -> None:
        raise InterruptedError

    made = Supervisor(tmp_path, lambda _: None, go_on=go_on)
    with pytest.raises(InterruptedError):
        made.start(Spec("sleeper", SLEEPER, os.environ, lambda: False))
    pid = made.pids()["sleeper"]
    made.close()
    assert not psutil.pid_exists(pid)


def test_stop_kills_what_does_not_listen_and_leaves_nothing(supervisor: Supervisor, tmp_path: Path) -> None:
    supervisor.launch(Spec("deaf", DEAF, os.environ))
    supervisor.launch(Spec("sleeper", SLEEPER, os.environ))
    until(lambda: (tmp_path / "deaf.log").read_text() == "1\n")
    pids = supervisor.pids().values()
    assert supervisor.stop(["deaf", "sleeper"], 0.5) == ["deaf"]
    assert not any(psutil.pid_exists(pid) for pid in pids)
    assert supervisor.pids() == {}


def test_a_process_gives_way_and_shares_our_session(supervisor: Supervisor) -> None:
    supervisor.start(Spec("sleeper", SLEEPER, os.environ, niceness=7))
    pid = supervisor.pids()["sleeper"]
    assert os.getpriority(os.PRIO_PROCESS, pid) == min(19, os.getpriority(os.PRIO_PROCESS, 0) + 7)
    assert (os.getsid(pid), os.getpgid(pid)) == (os.getsid(0), pid)
