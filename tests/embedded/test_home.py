"""The state folder remembers what runs, and a port that is taken is said in one line."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from snowmelt.embedded import home as module
from snowmelt.embedded.home import Home, PortTaken, choose_ports


def test_a_run_is_found_again_and_known_to_live(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    home.make()
    assert home.run() is None
    home.record({"SNOWMELT_X": "1"}, {"redis": 1})
    run = home.run()
    assert run is not None
    assert run.alive
    assert run.environ == {"SNOWMELT_X": "1"}
    home.forget()
    assert home.run() is None


def test_the_folder_is_its_owners_alone(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    home.make()
    home.set_clock_offset_ms(5)
    assert home.folder.stat().st_mode & 0o077 == 0
    assert (home.folder / "clock.json").stat().st_mode & 0o077 == 0
    assert home.clock_offset_ms() == 5


def test_a_taken_port_is_named_with_its_use(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(module, "PORTS", {"gateway_rest": port})
        with pytest.raises(PortTaken, match=rf"port {port} \(gateway rest\) is taken"):
            choose_ports(free=False)
        assert choose_ports(free=True)["gateway_rest"] != port


def test_what_a_run_left_undone_is_found_by_others_and_nothing_runs(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    home.make()
    home.record({"SNOWMELT_X": "1"}, {"redis": 1})
    home.forget("the rest is lost")
    run = home.run()
    assert run is not None
    assert (run.left, run.alive, run.children) == ("the rest is lost", False, {})


def test_the_note_of_another_run_is_not_removed(tmp_path: Path) -> None:
    noter = (
        "import sys, pathlib; from snowmelt.embedded.home import Home; Home(pathlib.Path(sys.argv[1])).record({}, {})"
    )
    home = Home(tmp_path)
    other = subprocess.Popen([sys.executable, "-c", noter, str(tmp_path)], cwd=Path(__file__).parents[2])
    assert other.wait(30) == 0
    home.forget()
    home.forget("the rest is lost")
    run = home.run()
    assert run is not None
    assert (run.pid, run.left) == (other.pid, "")
    home.forget(pid=other.pid)
    assert home.run() is None


HOLDER = """
import pathlib, subprocess, sys
from snowmelt.embedded.home import Home
print(Home(pathlib.Path(sys.argv[1])).hold(), flush=True)
subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL, stdout=sys.stderr)
print("started", flush=True)
sys.stdin.read()
"""


def test_one_process_holds_the_folder_until_it_is_gone_whatever_it_has_started(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(home.folder)], cwd=Path(__file__).parents[2], process_group=0, **pipes
    )
    assert other.stdout is not None
    try:
        assert [other.stdout.readline() for _ in range(2)] == [b"True\n", b"started\n"]
        assert not home.hold()
        other.kill()
        other.wait()
        assert home.hold()
        assert home.hold()
        assert not Home(home.folder).hold()
    finally:
        os.killpg(other.pid, signal.SIGKILL)
