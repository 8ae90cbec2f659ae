"""A request to train is a file: none is lost to a training that began before it, nor to one of another process."""

import fcntl
import logging
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from services.trainer import server
from services.trainer.config import TrainerSettings
from services.trainer.server import LOCK, REQUEST, TAKEN
from snowmelt.features.defaults import default_views
from snowmelt.training.errors import BadDataError


class Turns(threading.Event):
    """Set after so many waits; nothing is waited for, and ``before`` is done at each."""

    def __init__(self, turns: int, before: Callable[[int], None] = lambda _: None) -> None:
        super().__init__()
        self.turn, self._turns, self._before = 0, turns, before

    def wait(self, timeout: float | None = None) -> bool:
        self._before(self.turn)
        self.turn += 1
        return self.turn > self._turns


def serve(state: Path, turns: Turns) -> None:
    server._serve(TrainerSettings(state_dir=state, ops_address="127.0.0.1:0"), turns)


def names(state: Path) -> set[str]:
    return {path.name for path in state.iterdir()} & {REQUEST, TAKEN}


def test_a_request_laid_during_a_training_is_another_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def train(*_: object) -> None:
        seen.append(names(tmp_path))
        if len(seen) == 1:
            (tmp_path / REQUEST).touch()
        raise BadDataError("nothing there")

    monkeypatch.setattr(server, "train", train)
    (tmp_path / REQUEST).touch()
    serve(tmp_path, Turns(5))
    assert seen == [{TAKEN}, {TAKEN}]
    assert names(tmp_path) == set()


def test_a_training_that_was_stopped_begins_anew_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "train", stopped)
    (tmp_path / REQUEST).touch()
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            serve(tmp_path, Turns(1))
        assert names(tmp_path) == {TAKEN}


def test_a_request_waits_until_the_training_of_another_process_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    default_views().dump(tmp_path / "views.json")
    (tmp_path / REQUEST).touch()
    with (tmp_path / LOCK).open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

        def before(turn: int) -> None:
            if turn in (1, 2):
                assert names(tmp_path) == {TAKEN}
            if turn == 2:
                fcntl.flock(lock, fcntl.LOCK_UN)

        with caplog.at_level(logging.WARNING, "trainer"):
            serve(tmp_path, Turns(3, before))
    assert names(tmp_path) == set()
    said = [record.getMessage() for record in caplog.records if record.name == "trainer"]
    assert len(said) == 2
    assert said[0] == "no release was made: another training runs already; wait for it"
    assert "another training" not in said[1]
