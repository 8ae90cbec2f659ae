"""``snowmelt up`` stops what it has started, however it ends and whoever asks for it."""

import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowmelt.cli import up as module
from snowmelt.embedded.up import Up

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture(autouse=True)
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_each_signal_asks_to_stop(number: signal.Signals) -> None:
    stop = threading.Event()
    signal.signal(number, signal.SIG_DFL)
    module._listen(stop)
    assert signal.getsignal(number) is not signal.SIG_DFL
    signal.raise_signal(number)
    assert stop.wait(5)


def test_under_nohup_a_terminal_may_close() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    stop = threading.Event()
    module._listen(stop)
    signal.raise_signal(signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    assert not stop.is_set()


def test_a_fault_of_ours_stops_what_was_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stopped: list[Up] = []

    def start(self: Up, data: Path | None) -> None:
        found = self.home.run()
        assert found is not None, "who asks to stop does not find it"
        assert found.alive
        raise ZeroDivisionError

    monkeypatch.setenv("SNOWMELT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setattr(Up, "start", start)
    whole = Up.stop
    monkeypatch.setattr(Up, "stop", lambda self: (stopped.append(self), whole(self)))
    with pytest.raises(ZeroDivisionError):
        module.up(None, broker="embedded", free_ports=True)
    assert len(stopped) == 1
    assert stopped[0].home.run() is None


def test_commands_for_another_terminal_name_the_state_folder_where_it_is_not_the_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for given in (".snowmelt", "its own"):
        monkeypatch.setenv("SNOWMELT_STATE_DIR", given)  # as `make up` does
        home = Path(given).resolve()
        assert module._where(home) == ("" if given == ".snowmelt" else f"SNOWMELT_STATE_DIR='{home}' ")
