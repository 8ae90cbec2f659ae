"""The README's commands, given as they stand, and those that ``make up`` prints when it is ready."""

import os
import re
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.docs.pages import fences
from tests.e2e.conftest import CHECKOUT, eventually

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

READY_S = 600.0
"""With the default data set, on a machine that does other things too."""
PROCESSES = 9
"""Broker, Redis, collector, two lanes of ingest, retrieval, ranker, gateway, trainer."""


def test_the_two_commands_and_what_they_print(tmp_path: Path) -> None:
    state, log = tmp_path / "state", tmp_path / "up.log"
    with log.open("wb") as out:
        command = ["make", "up", f"STATE={state}"]
        up = subprocess.Popen(command, cwd=CHECKOUT, stdout=out, stderr=out, env=_environ(), start_new_session=True)
    try:
        eventually(lambda: _ready(up, log), READY_S, log.read_text)
        processes = psutil.Process(up.pid).children(recursive=True)
        assert len(processes) >= PROCESSES
        try_these = log.read_text().split("\ntry\n")[1]
        tries = re.findall(rf"^  (SNOWMELT_STATE_DIR={state} \.venv/bin/snowmelt .+)$", try_these, flags=re.M)
        assert len(tries) >= 5
        shown = [line.removeprefix("$ ") for line in fences(CHECKOUT / "README.md") if line.startswith("$ ")]
        assert shown
        for command in tries:
            assert _said(command).strip(), command
        for command in shown:
            assert _said(f"SNOWMELT_STATE_DIR={state} {command}").strip(), command
        assert f"`SNOWMELT_STATE_DIR={state} make down`" in try_these
        assert _said(f"SNOWMELT_STATE_DIR={state} make down")
        assert up.wait(20) == 0, log.read_text()
    finally:
        if up.poll() is None:
            up.send_signal(signal.SIGTERM)
            up.wait(30)
    assert not [each for each in processes if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]
    _said(f"make clean STATE={state}")
    assert not state.exists()


def _ready(up: "subprocess.Popen[bytes]", log: Path) -> bool:
    said = log.read_text()
    assert up.poll() is None, said
    return "\nready\n" in said and "Ctrl-C" in said


def _said(command: str) -> str:
    done = subprocess.run(
        ["sh", "-c", command], cwd=CHECKOUT, env=_environ(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    return done.stdout


def _environ() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if not key.startswith(("SNOWMELT_", "MAKE", "MFLAGS"))}
