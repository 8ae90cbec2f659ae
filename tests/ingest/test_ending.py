"""A process that is told to stop ends in time, also while it waits for an answer that does not come."""

import os
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from services.ingest import ending
from services.ingest.ending import END_S, await_all, unless_told
from snowmelt.chaos.rig import free_port
from snowmelt.contracts.errors import ExitCode
from snowmelt.features.defaults import default_views


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """Something that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(60)
        yield server


def test_the_answer_is_what_the_work_comes_to() -> None:
    assert unless_told(lambda: 7, threading.Event()) == 7
    with pytest.raises(KeyError):
        unless_told(lambda: {}["missing"], threading.Event())


def test_who_is_told_to_stop_still_has_an_answer_that_comes_soon() -> None:
    stop, going = threading.Event(), threading.Event()

    def work() -> int:
        stop.set()
        going.wait(0.1)
        return 7

    assert unless_told(work, stop) == 7


def test_threads_that_go_on_are_not_waited_for_beyond_the_deadline() -> None:
    end = threading.Event()
    one, other = threading.Thread(target=end.wait, daemon=True), threading.Thread(target=bool, daemon=True)
    one.start()
    other.start()
    assert not await_all([one, other], time.monotonic() + 0.05)
    end.set()
    assert await_all([one, other], time.monotonic() + 5)


@pytest.mark.parametrize("error", [None, ValueError("the writer broke")])
def test_who_leaves_for_an_error_says_it_and_has_failed(
    error: ValueError | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def left(code: int) -> None:
        raise SystemExit(code)

    monkeypatch.setattr(ending.os, "_exit", left)
    monkeypatch.setattr(ending.logging, "shutdown", lambda: None)
    with pytest.raises(SystemExit) as ended:  # noqa: PT012
        try:
            if error is not None:
                raise error
        finally:
            ending.leave("something hangs")
    assert ended.value.code == (ExitCode.OK if error is None else ExitCode.FAILED)
    assert ("the writer broke" in caplog.text) == (error is not None)


@pytest.mark.parametrize("lane", ["lake", "features"])
def test_a_lane_whose_kafka_does_not_answer_ends_when_told(lane: str, silent: socket.socket, tmp_path: Path) -> None:
    default_views().dump(tmp_path / "views.json")
    ops = f"127.0.0.1:{free_port()}"
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SNOWMELT_")} | {
        "SNOWMELT_STATE_DIR": str(tmp_path),
        "SNOWMELT_KAFKA_BOOTSTRAP": f"127.0.0.1:{silent.getsockname()[1]}",
        "SNOWMELT_INGEST_LANE": lane,
        "SNOWMELT_INGEST_OPS_ADDRESS": ops,
    }
    log = tmp_path / "log"
    with log.open("wb") as end:
        process = subprocess.Popen([sys.executable, "-P", "-m", "services.ingest"], env=environ, stdout=end, stderr=end)
    try:
        deadline = time.monotonic() + 60
        while not asked(ops):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        asking, _ = silent.accept()
        told = time.monotonic()
        process.terminate()
        assert process.wait(60) == ExitCode.OK
        asking.close()
        assert time.monotonic() - told < END_S
    finally:
        process.kill()
        process.wait()
    assert "told to stop before anything was read" in log.read_text()


def asked(ops: str) -> bool:
    """Whether the process answers, and says that it is not ready."""
    try:
        with urllib.request.urlopen(f"http://{ops}/readyz", timeout=5):
            raise AssertionError("a lane without Kafka says that it is ready")
    except urllib.error.HTTPError as error:
        return error.code == 503
    except OSError:
        return False
