"""How a process ends, seen from outside."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import logging, sys
from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.runtime.bind import AddressTaken
from snowmelt.runtime.config import ConfigError
from snowmelt.runtime.lifecycle import run, run_async
{body}
"""
RAISES = "def main(stop):\n    raise {what}\nrun('thing', main)"


def _run(body: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", SCRIPT.format(body=body)]
    return subprocess.run(argv, check=False, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("ConfigError('KEY: mend it')", 78, "thing: KEY: mend it\n"),
        ("AddressTaken('127.0.0.1:1 cannot be bound')", 69, "thing: 127.0.0.1:1 cannot be bound\n"),
        ("SnowmeltError(Reason.NO_RELEASE, 'train one')", 1, "thing: train one\n"),
    ],
)
def test_what_the_operator_can_mend_is_one_line(what: str, code: int, said: str) -> None:
    done = _run(RAISES.format(what=what))
    assert (done.returncode, done.stderr) == (code, said)


def test_a_fault_of_ours_is_logged_as_json() -> None:
    done = _run(RAISES.format(what="KeyError('x')"))
    assert done.returncode == 1
    line = json.loads(done.stderr.splitlines()[-1])
    assert (line["service"], line["level"]) == ("thing", "error")
    assert "KeyError" in line["exception"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "body",
    [
        "def main(stop):\n    print('up', flush=True)\n    stop.wait()\n    print('down')\nrun('thing', main)",
        (
            "async def main(stop):\n    print('up', flush=True)\n    await stop.wait()\n    print('down')\n"
            "run_async('thing', main)"
        ),
    ],
    ids=["sync", "async"],
)
def test_a_signal_ends_it_in_order(body: str, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", SCRIPT.format(body=body)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "up\n"
    process.send_signal(number)
    out, _ = process.communicate(timeout=20)
    assert (out, process.returncode) == ("down\n", 0)


def test_a_collector_that_is_not_there_holds_nothing_up(tmp_path: Path) -> None:
    body = f"""
import os, time
os.environ['OTEL_EXPORTER_OTLP_ENDPOINT'] = 'http://127.0.0.1:9'
from snowmelt.runtime import telemetry
from snowmelt.runtime.config import Settings
def main(stop):
    telemetry.setup('thing', Settings(state_dir={str(tmp_path)!r}))
    start = time.perf_counter()
    for _ in range(2000):
        with telemetry.span('work'):
            pass
    took = time.perf_counter() - start
    assert took < 1.0, took
    print(telemetry.trace_id() == '')
start = time.perf_counter()
try:
    run('thing', main)
finally:
    assert time.perf_counter() - start < 12
"""
    done = _run(body)
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr
