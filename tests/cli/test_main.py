"""What the command line says to what it cannot do: one line, what to do about it, and the right exit code."""

import json
import os
import socket
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from snowmelt.cli.main import VERBS
from snowmelt.embedded.home import Home, Run

CHECKOUT = Path(__file__).parents[2]


def run(*words: str, state: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SNOWMELT_")}
    return subprocess.run(
        [sys.executable, "-P", "-m", "snowmelt.cli.main", *words],
        env={**kept, "COLUMNS": "80", "SNOWMELT_STATE_DIR": str(state), **environ},
        cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip


TABLE = [
    (("staus",), 2, "staus is not a verb; did you mean status?"),
    (("trace",), 2, "Missing argument"),
    (("trace", "0" * 32), 1, "no span of trace"),
    (("recommend", "1", "--kk", "3"), 2, "No such option"),
    (("recommend", "1"), 78, "start the gateway once"),
    (("event", "i1", "--user", "u1"), 78, "start the gateway once"),
    (("status",), 69, "nothing listens at"),
    (("rebuild", "offline"), 2, "did you mean online?"),
    (("rebuild", "online"), 1, "run `feast apply`"),
    (("topics", "check"), 69, "Kafka does not answer (start it, or mend SNOWMELT_KAFKA_BOOTSTRAP): nothing listens"),
    (("topics", "create", "--partitions", "0"), 2, "--partitions"),
    (("offsets", "show"), 69, "nothing listens at"),
    (("deadletters", "accept", "snowmelt.events"), 69, "nothing listens at"),
    (("offsets", "show", "--lane", "online"), 2, "--lane"),
    (("offsets", "replay"), 2, "--from"),
    (("offsets", "replay", "--from", "yesterday"), 1, "is no time: say 2024-05-01T12:00 (UTC)"),
    (("offsets", "replay", "--from", "0"), 1, "is no time"),
    (("offsets", "replay", "--from", "2024-05-01"), 69, "nothing listens at"),
    (("load",), 69, "nothing listens at"),
    (("load", "nowhere.parquet"), 65, "nowhere.parquet: there is no such file or folder"),
    (("up", "--broker", "rabbit"), 2, "rabbit"),
    (("evaluate", "retail-week"), 2, ""),
    (("bench", "serve", "--json"), 69, "`make up` in another terminal first"),
]


@pytest.mark.parametrize(
    ("words", "code", "said"), TABLE, ids=lambda value: " ".join(value) if isinstance(value, tuple) else ""
)
def test_what_cannot_be_done(words: tuple[str, ...], code: int, said: str, tmp_path: Path) -> None:
    done = run(*words, state=tmp_path / "state")
    assert done.returncode == code, done.stdout + done.stderr
    assert said in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_setting_is_refused_with_the_nearest(tmp_path: Path) -> None:
    done = run("status", state=tmp_path, SNOWMELT_KAFKA_BOOTSTRP="x")
    assert done.returncode == 78
    assert "SNOWMELT_KAFKA_BOOTSTRP is not a setting; did you mean SNOWMELT_KAFKA_BOOTSTRAP?" in done.stderr


def test_a_taken_port_is_one_line(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", 14317))
        taken.listen()
        done = run("up", state=tmp_path / "state")
    assert done.returncode == 69
    assert len(done.stderr.splitlines()) == 1
    assert "is taken by another process" in done.stderr


def test_a_second_start_in_one_state_folder_is_one_line_and_harms_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "state")
    assert home.hold()
    done = run("up", "--free-ports", state=home.folder)
    assert (done.returncode, done.stderr) == (69, "snowmelt: it runs already; `make down` stops it\n")
    home.record({}, {"redis": os.getpid()})
    done = run("up", "--free-ports", state=home.folder)
    assert done.returncode == 69
    assert done.stderr == f"snowmelt: it runs already, as process {os.getpid()}; `make down` stops it\n"
    found = home.run()
    assert found is not None
    assert found.children == {"redis": os.getpid()}


def test_what_a_start_is_about_to_end_is_left_to_it(tmp_path: Path) -> None:
    gone = Run(os.getpid(), 1.0, children={"redis": 1})
    (tmp_path / "run.json").write_text(json.dumps(asdict(gone)))
    home = Home(tmp_path)
    assert home.hold()
    done = run("down", state=tmp_path)
    assert done.returncode == 69
    assert "`make up` has just begun here" in done.stderr
    assert home.run() == gone


def test_nothing_running_is_no_error_to_stop(tmp_path: Path) -> None:
    done = run("down", state=tmp_path)
    assert (done.returncode, done.stdout) == (0, "nothing runs here\n")


def test_help_names_every_verb_within_80_columns(tmp_path: Path) -> None:
    done = run("--help", state=tmp_path)
    assert done.returncode == 0
    assert all(f"\n  {verb} " in done.stdout for verb in VERBS)
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, tmp_path: Path) -> None:
    done = run(verb, "--help", state=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"snowmelt {verb}" in done.stdout
