"""Partitions taken back: rows, dead letters and offsets together, whatever breaks off or writes meanwhile."""

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake.exceptions import CommitFailedError

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.lake import DEAD_LETTERS, TABLES, FencedError, Lake, Range, rewinding

TOPIC = "snowmelt.events"
PLACES = [("one", TOPIC, 0), ("one", TOPIC, 1)]


def rows(partition: int, offsets: list[int]) -> pa.Table:
    place = {"incarnation": "one", "partition": partition}
    times = {n: datetime.fromtimestamp(n, UTC) for n in offsets}
    return pa.Table.from_pylist(
        [place | {"offset": n, "event_id": f"e{n}", "user_id": f"u{n}", "event_time": times[n]} for n in offsets],
        schema=TABLES["events"],
    )


def letters(partition: int, offsets: list[int]) -> pa.Table:
    place = {"incarnation": "one", "topic": TOPIC, "partition": partition, "reason": "undecodable"}
    return pa.Table.from_pylist([place | {"offset": n} for n in offsets], schema=TABLES[DEAD_LETTERS])


def land(lake: Lake, partition: int, start: int, end: int) -> None:
    """Every tenth record is dead, every tenth a duplicate."""
    dead = [n for n in range(start, end) if n % 10 == 3]
    kept = [n for n in range(start, end) if n % 10 not in (3, 7)]
    part = Range(
        "one", TOPIC, partition, start, end, end - start - len(kept) - len(dead), len(dead), 1000 * max(kept, default=0)
    )
    lake.append(DEAD_LETTERS, letters(partition, dead), [part])
    lake.append("events", rows(partition, kept), [part])


def offsets(lake: Lake, table: str, partition: int) -> list[int]:
    found: list[int] = lake.read(table).filter(pa.compute.field("partition") == partition)["offset"].to_pylist()
    return found


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(str(tmp_path))
    made.create()
    for start in range(0, 100, 20):
        for partition in (0, 1):
            land(made, partition, start, start + 20)
    return made


def whole(lake: Lake, partition: int, end: int) -> bool:
    dead = [n for n in range(end) if n % 10 == 3]
    kept = [n for n in range(end) if n % 10 not in (3, 7)]
    progress = lake.progress("events", PLACES)[PLACES[partition]]
    return (
        offsets(lake, "events", partition) == kept
        and offsets(lake, DEAD_LETTERS, partition) == dead
        and (progress.next_offset, progress.dead) == (end, len(dead))
        and progress.duplicates == end - len(kept) - len(dead)
        and progress.watermark_ms == 1000 * max(kept)
    )


def test_rows_letters_offsets_and_counters_go_back_together_and_come_again(lake: Lake) -> None:
    lake.rewind("events", {PLACES[0]: 33, PLACES[1]: 500})
    assert whole(lake, 0, 33)
    assert whole(lake, 1, 100)
    land(lake, 0, 33, 100)
    assert whole(lake, 0, 100)
    statistics = pa.table(lake.handle("events").get_add_actions(flatten=True)).column_names
    assert not [name for name in statistics if "user" in name]


def test_a_lane_that_was_at_work_brings_every_letter_again(lake: Lake) -> None:
    Lake(lake.url).rewind("events", {PLACES[0]: 33})
    assert lake.progress("events", PLACES)[PLACES[0]].next_offset == 33
    for start in range(33, 100):
        land(lake, 0, start, start + 1)
    assert whole(lake, 0, 100)


def test_one_version_of_the_table_holds_the_whole_step(lake: Lake) -> None:
    before = lake.version("events")
    lake.rewind("events", {PLACES[0]: 33, PLACES[1]: 50})
    seen = []
    for version in range(before, lake.version("events") + 1):
        found = lake.read("events", ["partition"], version)["partition"].to_pylist()
        ends = lake.progress("events", PLACES, version)
        seen.append((found.count(0), found.count(1), *(ends[place].next_offset for place in PLACES)))
    assert set(seen) == {(80, 80, 100, 100), (27, 40, 33, 50)}


def test_going_back_where_nothing_lies_beyond(lake: Lake) -> None:
    lake.rewind("events", {PLACES[0]: 0})
    assert offsets(lake, "events", 0) == []
    assert lake.progress("events", PLACES)[PLACES[0]].next_offset == 0
    land(lake, 0, 0, 100)
    assert whole(lake, 0, 100)


def test_a_writer_of_before_is_fenced(lake: Lake) -> None:
    Lake(lake.url).rewind("events", {PLACES[0]: 40})
    with pytest.raises((FencedError, SnowmeltError)):
        lake.append("events", rows(0, [100]), [Range("one", TOPIC, 0, 100, 101)])
    with pytest.raises(FencedError):
        lake.append("events", rows(0, [100]), [Range("one", TOPIC, 0, 100, 101)])
    assert whole(lake, 0, 40)


@pytest.mark.parametrize("table", ["events", DEAD_LETTERS])
def test_what_breaks_off_lets_nobody_write_and_goes_on(lake: Lake, table: str, monkeypatch: pytest.MonkeyPatch) -> None:
    delete = rewinding._delete

    def broken(handle: Any, name: str, *rest: Any) -> None:
        if name == table:
            raise KeyboardInterrupt
        delete(handle, name, *rest)

    monkeypatch.setattr(rewinding, "_delete", broken)
    with pytest.raises(KeyboardInterrupt):
        lake.rewind("events", {PLACES[0]: 40})
    assert lake.unfinished("events", PLACES) == {PLACES[0]: 40}
    with pytest.raises(SnowmeltError, match="being taken back to offset 40") as refused:
        lake.append("events", rows(0, [100]), [Range("one", TOPIC, 0, 100, 101)])
    assert refused.value.reason is Reason.UNAVAILABLE
    lane = Lake(lake.url)
    with pytest.raises(SnowmeltError, match="being taken back"):
        lane.append("events", rows(0, [100]), [Range("one", TOPIC, 0, 100, 101)])
    lake.append("events", rows(1, [100]), [Range("one", TOPIC, 1, 100, 101)])

    monkeypatch.setattr(rewinding, "_delete", delete)
    lake.rewind("events", {PLACES[0]: 60})
    assert whole(lake, 0, 40)
    assert lake.unfinished("events", PLACES) == {}
    with pytest.raises(FencedError):
        lane.append("events", rows(0, [100]), [Range("one", TOPIC, 0, 100, 101)])


def test_letters_of_a_writer_between_the_commits_are_there_once(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lane, delete = Lake(lake.url), rewinding._delete
    part = Range("one", TOPIC, 0, 100, 110, 1, 1)

    def late(handle: Any, name: str, *rest: Any) -> None:
        delete(handle, name, *rest)
        if name == DEAD_LETTERS:
            lane.append(DEAD_LETTERS, letters(0, [103]), [part])

    monkeypatch.setattr(rewinding, "_delete", late)
    lake.rewind("events", {PLACES[0]: 40})
    with pytest.raises((FencedError, SnowmeltError)):
        lane.append("events", rows(0, [100]), [part])
    land(lane, 0, 40, 120)
    assert whole(lane, 0, 120)


def test_it_gets_through_while_a_lane_writes_without_a_pause(lake: Lake) -> None:
    stop, failures = threading.Event(), []

    def write() -> None:
        lane = Lake(lake.url)
        while not stop.is_set():
            try:
                position = lane.progress("events", PLACES)[PLACES[0]].next_offset
                land(lane, 0, position, position + 5)
            except FencedError:
                continue
            except SnowmeltError as error:
                if error.reason is not Reason.UNAVAILABLE:
                    failures.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for target in (90, 30, 10):
            Lake(lake.url).rewind("events", {PLACES[0]: target, PLACES[1]: target})
    finally:
        stop.set()
        writer.join()
    assert not failures
    assert whole(lake, 1, 10)
    # A letter that the writer committed between two commits of a rewinding lies ahead until its offset is read again.
    position = lake.progress("events", PLACES)[PLACES[0]].next_offset
    assert offsets(lake, "events", 0) == [n for n in range(position) if n % 10 not in (3, 7)]
    end = max(position, *offsets(lake, DEAD_LETTERS, 0)) // 10 * 10 + 20
    for start in range(position, end, 5):
        land(lake, 0, start, start + 5)
    assert whole(lake, 0, end)


def test_a_table_that_never_takes_the_commit_says_so(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: Any, **__: Any) -> None:
        raise CommitFailedError("somebody else")

    monkeypatch.setattr(rewinding, "write_deltalake", refused)
    monkeypatch.setattr(rewinding, "ATTEMPTS", 2)
    with pytest.raises(SnowmeltError, match="run the same command again"):
        lake.rewind("events", {PLACES[0]: 40})
    assert whole(lake, 0, 100)
