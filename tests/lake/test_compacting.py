"""Small files are joined by one process at a time: delta-rs alone would let two double every row."""

import fcntl
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from deltalake import DeltaTable

from snowmelt.lake import Lake
from tests.lake.test_lake import rows, span


@pytest.fixture
def scattered(tmp_path: Path) -> Lake:
    lake = Lake(str(tmp_path / "lake"))
    lake.create()
    for start in range(8):
        lake.append("events", rows("events", start, start + 1), [span(start, start + 1)])
    return lake


def test_delta_doubles_rows_that_are_joined_twice(scattered: Lake) -> None:
    one, other = (DeltaTable(f"{scattered.url}/events") for _ in range(2))
    one.optimize.compact()
    other.optimize.compact()
    assert scattered.rows("events") == 16  # where this is 8, the lock is not needed any more


def test_nobody_joins_while_another_does(scattered: Lake) -> None:
    with Path(scattered.url, ".events.compaction").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert scattered.compact("events", 2) == 0
    assert scattered.compact("events", 2) == 8
    assert scattered.rows("events") == 8


def test_many_at_once_join_once(scattered: Lake) -> None:
    with ThreadPoolExecutor(8) as pool:
        joined = list(pool.map(lambda _: Lake(scattered.url).compact("events", 2), range(8)))
    assert sum(joined) == 8
    assert scattered.rows("events") == 8
