"""``make clean`` removes the state folder that ``make up`` would use, and only once nothing of it runs."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snowmelt.embedded.home import Home
from tests.fixtures.running import runs

ROOT = Path(__file__).parents[2]
NOTER = """
import os, pathlib, subprocess, sys
from snowmelt.embedded.home import Home
child = subprocess.Popen(["sleep", "60"])
home = Home(pathlib.Path(sys.argv[1]))
home.make()
home.record({}, {"collector": child.pid})
os._exit(0)
"""


def clean(*words: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("SNOWMELT_", "MAKE", "MFLAGS")) and k != "STATE"}
    command = ["make", "clean", f"VENV={Path(sys.executable).parents[1]}", *words]
    return subprocess.run(
        command, cwd=ROOT, env={**kept, **environ}, capture_output=True, text=True, check=False, timeout=60
    )


@pytest.fixture
def left(tmp_path: Path) -> Iterator[Home]:
    """A state folder whose supervisor has gone and has left a process."""
    home = Home(tmp_path / "its own")
    subprocess.run([sys.executable, "-c", NOTER, str(home.folder)], cwd=ROOT, check=True)
    run = home.run()
    assert run is not None
    yield home
    if runs(run.children["collector"]):
        os.kill(run.children["collector"], signal.SIGKILL)


def test_what_a_killed_supervisor_left_is_ended_first(left: Home) -> None:
    run = left.run()
    assert run is not None
    assert runs(run.children["collector"])
    done = clean(SNOWMELT_STATE_DIR=str(left.folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "it left running: collector" in done.stdout
    assert not runs(run.children["collector"])
    assert not left.folder.exists()


def test_nothing_is_removed_where_what_runs_cannot_be_stopped(left: Home) -> None:
    assert left.hold()  # as of a start that is about to end what was left
    done = clean(SNOWMELT_STATE_DIR=str(left.folder))
    assert done.returncode != 0
    assert left.run() is not None


@pytest.mark.parametrize("words", [(), ("STATE={named}",)])
def test_it_removes_the_folder_that_is_named(words: tuple[str, ...], tmp_path: Path) -> None:
    other, named = tmp_path / "other", tmp_path / "named"
    other.mkdir()
    named.mkdir()
    done = clean(*[word.format(named=named) for word in words], SNOWMELT_STATE_DIR=str(other))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (other.exists(), named.exists()) == (bool(words), not words)


@pytest.mark.parametrize(("codes", "kept"), [((0,), False), ((1, 0), False), ((1, 1), True), ((69, 69), True)])
def test_what_was_left_undone_is_no_reason_to_keep_it(tmp_path: Path, codes: tuple[int, ...], kept: bool) -> None:
    """`snowmelt down` ends with 1 where it stopped all and lanes were not drained; asked again, nothing runs."""
    state, stand_in, asked = tmp_path / "state", tmp_path / "venv/bin/snowmelt", tmp_path / "asked"
    state.mkdir()
    stand_in.parent.mkdir(parents=True)
    stand_in.write_text(f"#!/bin/sh\n[ -e {asked} ] && exit {codes[-1]}\ntouch {asked}\nexit {codes[0]}\n")
    stand_in.chmod(0o755)
    done = clean(f"VENV={tmp_path / 'venv'}", SNOWMELT_STATE_DIR=str(state))
    assert (state.exists(), done.returncode != 0) == (kept, kept)
