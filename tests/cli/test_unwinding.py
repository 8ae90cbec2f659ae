"""A verb with parts of its own that is told to end leaves neither a process nor a folder behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from snowmelt.cli import main as module
from snowmelt.cli.main import UNWOUND, VERBS

CHECKOUT = Path(__file__).parents[2]
TOLD = (signal.SIGTERM, signal.SIGHUP)


def until(holds: Callable[[], bool], otherwise: str, timeout_s: float = 60.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.02)


@pytest.fixture
def _handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in TOLD}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.redis
@pytest.mark.slow
@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("number", TOLD)
def test_a_bench_that_is_told_to_end_ends_its_redis_and_removes_its_folder(
    number: signal.Signals, tmp_path: Path
) -> None:
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # else the bench ignores it where the tests run under nohup
    log, places = tmp_path / "log", tmp_path / "places"
    places.mkdir()
    command = [sys.executable, "-P", "-m", "snowmelt.cli.main", "bench", "features", "--scale", "0.01"]
    environ = {key: value for key, value in os.environ.items() if not key.startswith("SNOWMELT_")}
    environ |= {"SNOWMELT_STATE_DIR": str(tmp_path / "state"), "TMPDIR": str(places)}
    with log.open("wb") as out:
        bench = subprocess.Popen(command, cwd=CHECKOUT, env=environ, stdout=out, stderr=out, start_new_session=True)
    started: list[psutil.Process] = []

    def redis_there() -> bool:
        assert bench.poll() is None, log.read_text()
        started[:] = [child for child in psutil.Process(bench.pid).children() if child.name() == "redis-server"]
        return bool(started) and any(places.glob("snowmelt-bench-*/redis/appendonly*"))

    try:
        until(redis_there, "no redis-server in time")
        bench.send_signal(number)
        assert bench.wait(30) == 128 + number, log.read_text()
        until(lambda: not started[0].is_running(), "its redis-server runs on", 5.0)
        assert not list(places.glob("snowmelt-bench-*"))
        assert "Traceback" not in log.read_text()
    finally:
        bench.kill()
        bench.wait(10)
        for process in started:
            with suppress(psutil.NoSuchProcess):
                process.kill()


@pytest.mark.usefixtures("_handlers")
@pytest.mark.parametrize("number", TOLD)
def test_only_the_first_signal_is_an_exception(number: signal.Signals) -> None:
    for each in TOLD:
        signal.signal(each, signal.SIG_DFL)
    module._unwind_when_told()
    with pytest.raises(SystemExit) as raised:
        signal.raise_signal(number)
    assert raised.value.code == 128 + number
    for each in TOLD:
        signal.raise_signal(each)


@pytest.mark.usefixtures("_handlers")
def test_under_nohup_a_terminal_may_close() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    module._unwind_when_told()
    signal.raise_signal(signal.SIGHUP)


def test_what_is_unwound_are_verbs() -> None:
    assert set(UNWOUND) <= set(VERBS)
