"""A topic's lives in one table: how far each was landed is told whatever was joined, wherever the lake lies."""

from pathlib import Path

import pytest

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import EVENTS
from snowmelt.lake import Lake, Range
from tests.lake.test_lake import rows, span

LIVES = ("aaa", "zzz", "mmm")


@pytest.mark.parametrize("joined", [False, True])
def test_each_life_is_told(tmp_path: Path, joined: bool) -> None:
    lake = Lake(str(tmp_path))
    lake.create()
    for incarnation in LIVES:
        for partition in (0, 1):
            landed = rows("events", 0, 5, partition, incarnation)
            lake.append("events", landed, [Range(incarnation, EVENTS, partition, 0, 5)])
    if joined:
        assert lake.compact("events", 2) == 6
    assert lake.next_offsets("events") == {(life, EVENTS, p): 5 for life in LIVES for p in (0, 1)}


@pytest.mark.parametrize("name", ["My Projects", "l\xe4ke", "50% #1?"])
def test_a_folder_may_have_any_name(tmp_path: Path, name: str) -> None:
    lake = Lake(str(tmp_path / name))
    lake.create()
    for start in range(3):
        lake.append("events", rows("events", start, start + 1), [span(start, start + 1)])
    assert lake.compact("events", 2) == 3
    assert lake.read("events", ["offset"])["offset"].to_pylist() == [0, 1, 2]
    assert sum(map(len, lake.batches("events", ["offset"], lake.version("events"), 10))) == 3


def test_a_lake_lies_in_a_folder(tmp_path: Path) -> None:
    for url, said in (("s3://b/lake", "s3://b/lake is not"), ("file://h/l", "file://h/l is not"), ("/a%20b", "%20 in")):
        with pytest.raises(SnowmeltError, match=said) as refused:
            Lake(url)
        assert refused.value.reason is Reason.INVALID_FIELD
    assert Lake(f"file://{tmp_path}/").url == str(tmp_path)


def test_a_damaged_file_and_a_version_that_is_gone_are_said(tmp_path: Path) -> None:
    lake = Lake(str(tmp_path))
    lake.create()
    lake.append("events", rows("events", 0, 5), [span(0, 5)])
    with pytest.raises(SnowmeltError, match="version 99 of events is not there: the newest is 1") as told:
        lake.read("events", version=99)
    assert told.value.reason is Reason.NOT_FOUND
    (file,) = (tmp_path / "events").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(SnowmeltError, match="the lake does not answer: mend its storage") as told:
        lake.read("events")
    assert told.value.reason is Reason.UNAVAILABLE
