"""The state folder remembers what runs, and a port that is taken is said in one line."""

import socket
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
