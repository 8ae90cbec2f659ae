"""A fork of a nursery is a process like any other: its environment, its output, its end."""

import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowmelt.chaos.nursery import Nursery
from snowmelt.chaos.rig import until

PRELOAD = "json"
MODULE = "tests.chaos.raised"


@pytest.fixture
def nursery() -> Iterator[Nursery]:
    made = Nursery(PRELOAD)
    yield made
    made.close()


def test_it_has_the_environment_that_it_was_given_and_writes_to_its_log(nursery: Nursery, tmp_path: Path) -> None:
    log = tmp_path / "log"
    codes = [nursery.start(MODULE, {"SAYS": says, "CODE": "3"}, log).wait(30) for says in ("one", "two")]
    assert codes == [3, 3]
    assert log.read_text() == "one\none, an error\ntwo\ntwo, an error\n"


def test_its_exit_code_is_the_signal_that_ended_it(nursery: Nursery, tmp_path: Path) -> None:
    process = nursery.start(MODULE, {"SAYS": "up", "WAITS": "1"}, tmp_path / "log")
    assert process.poll() is None
    process.kill()
    assert process.wait(30) == process.poll() == process.returncode == -signal.SIGKILL


def test_one_that_is_stopped_has_not_ended(nursery: Nursery, tmp_path: Path) -> None:
    log = tmp_path / "log"
    process = nursery.start(MODULE, {"SAYS": "up", "WAITS": "1"}, log)
    until(lambda: log.exists() and "up" in log.read_text(), 30, "it did not start")
    process.send_signal(signal.SIGSTOP)
    until(lambda: "\nState:\tT" in Path(f"/proc/{process.pid}/status").read_text(), 30, "it was not stopped")
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.1)
    process.send_signal(signal.SIGCONT)
    process.terminate()
    assert process.wait(30) == 7


def test_many_at_once_end_each_with_its_own_code(nursery: Nursery, tmp_path: Path) -> None:
    started = [nursery.start(MODULE, {"SAYS": "x", "CODE": str(n)}, tmp_path / "log") for n in range(20)]
    assert [process.wait(30) for process in started] == list(range(20))
