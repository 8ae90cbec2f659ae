"""The trainer's process over a real lake: one training, its outcome as JSON, and its exit codes."""

import fcntl
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pyarrow as pa
import pytest

from snowmelt.api.events.v1.events_pb2 import CatalogChange
from snowmelt.datasets.load import catalogue_records
from snowmelt.datasets.simulated import simulate
from snowmelt.features.defaults import default_views
from snowmelt.lake import Lake
from snowmelt.lake.appending import Range
from snowmelt.lake.schemas import TABLES
from snowmelt.releases.store import ReleaseStore

ROOT = Path(__file__).parents[2]


def land(lake: Lake, table: str, topic: str, columns: dict[str, object]) -> None:
    """Appends rows as one range of one partition; what is not given is null."""
    schema = pa.schema(TABLES[table])
    n = len(columns["offset"])  # type: ignore[arg-type]
    arrays = [pa.array(columns[f.name], f.type) if f.name in columns else pa.nulls(n, f.type) for f in schema]
    lake.append(table, pa.Table.from_arrays(arrays, schema=schema), [Range("i", topic, 0, 0, n)])


def common(n: int, times_ms: list[int]) -> dict[str, object]:
    return {
        "tenant": ["default"] * n,
        "event_time": [t * 1000 for t in times_ms],
        "record_time": [t * 1000 for t in times_ms],
        "incarnation": ["i"] * n,
        "partition": [0] * n,
        "offset": list(range(n)),
    }


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    default_views().dump(tmp_path / "views.json")
    Lake(str(tmp_path / "lake")).create()
    return {
        **os.environ,
        "SNOWMELT_STATE_DIR": str(tmp_path),
        "SNOWMELT_CLOCK_OFFSET_MS": "1000",
        "SNOWMELT_TRAINER_MAX_QUERIES": "160",
        "SNOWMELT_TRAINER_MAX_TEST_QUERIES": "80",
    }


def snowmelt_train(environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "snowmelt.cli.main", "train", "--json"]
    return subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False, timeout=240)


def fill(lake: Lake) -> None:
    """A simulated shop in the lake, enough to learn from."""
    data = simulate(5, users=220, items=160, days=60)
    events = {name: data.events[name].to_pylist() for name in data.events.column_names if name != "event_time_ms"}
    land(lake, "events", "snowmelt.events", events | common(len(data.events), data.events["event_time_ms"].to_pylist()))
    payloads = [value for _, value in catalogue_records(data.catalogue, "default")]
    upserts = [CatalogChange.FromString(payload).upsert for payload in payloads]
    catalogue = {
        "item_id": [u.item_id for u in upserts],
        "change": ["upsert"] * len(upserts),
        "categories": [list(u.categories) for u in upserts],
        "price": [u.price for u in upserts],
        "payload": payloads,
    }
    times = data.catalogue["event_time_ms"].to_pylist()
    land(lake, "catalog", "snowmelt.catalog", catalogue | common(len(upserts), times))


def test_snowmelt_train_publishes_from_a_lake(tmp_path: Path, environ: dict[str, str]) -> None:
    lake = Lake(str(tmp_path / "lake"))
    fill(lake)
    done = snowmelt_train(environ)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    store = ReleaseStore(str(tmp_path / "releases"))
    origin = store.verify(said["release_id"]).origin
    assert said["activated"] == (store.active().release_id == said["release_id"])
    assert origin.lake_versions == lake.versions()
    assert origin.clock_offset_ms == 1000
    assert set(said["differences"]) == {"popularity_7d", "popularity_28d"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_training_that_is_told_to_stop_ends_with_its_process_and_lets_the_next_one_begin(
    tmp_path: Path, environ: dict[str, str], number: signal.Signals
) -> None:
    fill(Lake(str(tmp_path / "lake")))
    command = [sys.executable, "-P", "-m", "snowmelt.cli.main", "train"]
    with subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as training:
        assert training.stdout is not None
        assert training.stderr is not None
        assert training.stdout.readline().startswith(b"  read the lake: ")
        trainers = psutil.Process(training.pid).children()
        assert len(trainers) == 1
        training.send_signal(number)
        assert training.wait(30) == 130
        assert training.stderr.read().startswith(b"snowmelt: the training was stopped; a release is there whole or not")
    assert not trainers[0].is_running()
    with (tmp_path / "train.lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert ReleaseStore(str(tmp_path / "releases")).list() == ()


def test_an_empty_lake_is_65_and_nothing_is_published(tmp_path: Path, environ: dict[str, str]) -> None:
    done = snowmelt_train(environ)
    assert done.returncode == 65
    assert "there are no events; load data first" in done.stderr
    assert not (tmp_path / "releases").exists() or not any((tmp_path / "releases").glob("2*"))


def test_a_wrong_setting_is_78(environ: dict[str, str]) -> None:
    done = snowmelt_train(environ | {"SNOWMELT_TRAINER_KEEPS": "3"})
    assert done.returncode == 78
    assert "did you mean SNOWMELT_TRAINER_KEEP?" in done.stderr
