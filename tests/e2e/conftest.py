"""The whole system, as ``snowmelt up`` starts it, on a seeded simulated shop brought as a folder."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snowmelt.client import Client, token_of
from snowmelt.datasets.simulated import simulate
from snowmelt.embedded.home import Home
from snowmelt.runtime.auth import Role

CHECKOUT = Path(__file__).parents[2]
READY_S = 200.0
POSITIVES = "SNOWMELT_TRAINER_POSITIVES"
"""What a test may say to the training."""


def eventually(holds: Callable[[], bool], timeout_s: float, otherwise: str | Callable[[], str]) -> None:
    """Asks again and again until it holds; fails after the time."""
    deadline = time.monotonic() + timeout_s
    while not holds():
        if time.monotonic() > deadline:
            pytest.fail(otherwise if isinstance(otherwise, str) else otherwise())
        time.sleep(0.05)


@dataclass
class System:
    """What runs."""

    home: Home
    process: subprocess.Popen[bytes]
    log: Path

    @property
    def environ(self) -> dict[str, str]:
        run = self.home.run()
        assert run is not None
        return run.environ

    def client(self) -> Client:
        token = token_of(self.environ["SNOWMELT_TOKENS_PATH"], Role.PUBLIC)
        return Client(self.environ["SNOWMELT_GATEWAY_GRPC_ADDRESS"], token=token)

    def pid(self, argument: str) -> int:
        """The process with this argument; 0 where there is none."""
        for child in psutil.Process(self.process.pid).children():
            if argument in child.cmdline():
                return child.pid
        return 0

    def printed(self, *words: str) -> str:
        done = self._run(words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def verb(self, *words: str) -> dict[str, object]:
        said: dict[str, object] = json.loads(self.printed(*words))
        return said

    def status(self) -> dict[str, object]:
        """What ``snowmelt status`` says, ready or not."""
        said: dict[str, object] = json.loads(self._run(("status", "--json")).stdout)
        return said

    def _run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-P", "-m", "snowmelt.cli.main", *words]
        return subprocess.run(command, env=_environ(self.home.folder), capture_output=True, text=True, check=False)

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)


def _environ(state: Path) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith("SNOWMELT_") or key == POSITIVES}
    return {**kept, "SNOWMELT_STATE_DIR": str(state)}


def start(state: Path, shop: Path) -> System:
    """``snowmelt up``, not waited for."""
    log = state.with_suffix(f".{time.monotonic_ns()}.log")
    command = [sys.executable, "-P", "-m", "snowmelt.cli.main", "up", "--free-ports", "--data", str(shop)]
    with log.open("wb") as out:
        # As from a terminal of its own: what gives way in it gives way to the rest of it, and not to other tests.
        process = subprocess.Popen(
            command, env=_environ(state), stdout=out, stderr=out, cwd=CHECKOUT, start_new_session=True
        )
    return System(Home(state), process, log)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    data = simulate(seed=7, users=400, items=300, days=60)
    pq.write_table(dated(data.catalogue), folder / "catalogue.parquet")
    pq.write_table(dated(data.events), folder / "events.parquet")
    return folder


def dated(table: pa.Table) -> pa.Table:
    """The table with the columns that docs/data.md asks for."""
    times = table["event_time_ms"].cast(pa.timestamp("ms", "UTC"))
    kept = [name for name in table.column_names if name not in ("event_time_ms", "available_from_ms", "attributes")]
    return table.select(kept).append_column("event_time", times)


@pytest.fixture(scope="session")
def system(shop: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    running = start(tmp_path_factory.mktemp("run") / "state", shop)

    def ready() -> bool:
        assert running.process.poll() is None, running.log.read_text()
        return "\nready\n" in running.log.read_text()

    try:
        eventually(ready, READY_S, "not ready in time")
        yield running
    finally:
        children = psutil.Process(running.process.pid).children() if running.process.poll() is None else []
        code = running.stop() if running.process.poll() is None else None
    assert code == 0, running.log.read_text()
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
