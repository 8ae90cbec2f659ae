"""Appends land once whatever is tried again, and reads see what was landed, on real Delta."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from deltalake import CommitProperties, DeltaTable, Transaction, write_deltalake

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.topics import EVENTS
from snowmelt.lake import DEAD_LETTERS, REPLAYS, TABLES, FencedError, Lake, Range
from snowmelt.lake.schemas import properties

T0 = datetime(2024, 5, 1, tzinfo=UTC)


def rows(table: str, start: int, end: int, partition: int = 0, incarnation: str = "one") -> pa.Table:
    """Rows of offsets [start, end) with every other column null or plain."""
    n = end - start
    columns: dict[str, object] = {
        "incarnation": [incarnation] * n,
        "partition": [partition] * n,
        "offset": list(range(start, end)),
        "record_time": [T0] * n,
    }
    if table == "events":
        columns |= {"event_id": [f"e{partition}-{o}" for o in range(start, end)], "event_time": [T0] * n}
        columns |= {"user_id": ["ann"] * n, "context": [[("a", "b")]] * n, "categories": [["x", "y"]] * n}
    if table == DEAD_LETTERS:
        columns |= {"topic": [EVENTS] * n, "payload": [b"\x00"] * n}
    schema = TABLES[table]
    return pa.table({name: columns.get(name, [None] * n) for name in schema.names}, schema=schema)


def span(start: int, end: int, partition: int = 0, **counts: int) -> Range:
    return Range("one", EVENTS, partition, start, end, **counts)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(str(tmp_path / "lake"))
    made.create()
    return made


def offsets(lake: Lake, table: str = "events") -> list[int]:
    return lake.read(table, ["offset"])["offset"].to_pylist()


def test_rows_and_offset_land_together(lake: Lake) -> None:
    lake.append("events", rows("events", 0, 5), [span(0, 5)])
    lake.append("events", rows("events", 5, 7), [span(5, 9, duplicates=1, dead=1)])
    assert offsets(lake) == [0, 1, 2, 3, 4, 5, 6]
    progress = lake.progress("events", [("one", EVENTS, 0)])["one", EVENTS, 0]
    assert (progress.next_offset, progress.duplicates, progress.dead) == (9, 1, 1)
    assert lake.next_offsets("events") == {("one", EVENTS, 0): 9}
    assert lake.rows("events") == 7


def test_the_same_range_again_is_fenced(lake: Lake) -> None:
    lake.append("events", rows("events", 0, 5), [span(0, 5)])
    with pytest.raises(FencedError) as caught:
        Lake(lake.url).append("events", rows("events", 0, 5), [span(0, 5)])
    assert caught.value.next_offsets == {f"one/{EVENTS}/0": 5}
    assert offsets(lake) == [0, 1, 2, 3, 4]


def test_a_gap_is_fenced(lake: Lake) -> None:
    lake.append("events", rows("events", 0, 5), [span(0, 5)])
    with pytest.raises(FencedError):
        lake.append("events", rows("events", 6, 8), [span(6, 8)])
    assert offsets(lake) == [0, 1, 2, 3, 4]


def test_a_writer_that_was_overtaken_after_it_looked_writes_nothing(lake: Lake) -> None:
    zombie = Lake(lake.url)
    zombie.handle("events")
    lake.append("events", rows("events", 0, 5), [span(0, 5)])
    with pytest.raises(FencedError):
        zombie.append("events", rows("events", 0, 4), [span(0, 4)])
    zombie.append("events", rows("events", 5, 6), [span(5, 6)])
    assert offsets(lake) == [0, 1, 2, 3, 4, 5]


def test_one_fenced_partition_stops_the_whole_commit(lake: Lake) -> None:
    lake.append("events", rows("events", 0, 5), [span(0, 5)])
    both = pa.concat_tables([rows("events", 0, 2), rows("events", 0, 2, partition=1)])
    with pytest.raises(FencedError):
        lake.append("events", both, [span(0, 2), span(0, 2, partition=1)])
    assert lake.next_offsets("events") == {("one", EVENTS, 0): 5}


def test_writers_of_different_partitions_do_not_fence_each_other(lake: Lake) -> None:
    failed: list[Exception] = []

    def write(partition: int) -> None:
        own = Lake(lake.url)
        try:
            for start in range(0, 50, 10):
                own.append("events", rows("events", start, start + 10, partition), [span(start, start + 10, partition)])
        except Exception as error:  # noqa: BLE001 - shown by the assertion below
            failed.append(error)

    threads = [threading.Thread(target=write, args=(p,)) for p in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
    assert lake.next_offsets("events") == {("one", EVENTS, p): 50 for p in range(4)}
    assert len(offsets(lake)) == 200


def test_a_topic_made_again_begins_anew(lake: Lake) -> None:
    lake.append("events", rows("events", 0, 5), [span(0, 5)])
    lake.append("events", rows("events", 0, 2, incarnation="two"), [Range("two", EVENTS, 0, 0, 2)])
    assert lake.next_offsets("events") == {("one", EVENTS, 0): 5, ("two", EVENTS, 0): 2}


def test_dead_letters_of_a_range_tried_again_land_once(lake: Lake) -> None:
    lake.append(DEAD_LETTERS, rows(DEAD_LETTERS, 3, 5), [span(0, 10)])
    lake.append(DEAD_LETTERS, rows(DEAD_LETTERS, 3, 5), [span(0, 12)])
    again = pa.concat_tables([rows(DEAD_LETTERS, 3, 5), rows(DEAD_LETTERS, 10, 11)])
    lake.append(DEAD_LETTERS, again, [span(0, 12)])
    assert offsets(lake, DEAD_LETTERS) == [3, 4, 10]


def test_progress_outlives_checkpoints(lake: Lake) -> None:
    for start in range(120):
        lake.append("events", rows("events", start, start + 1), [span(start, start + 1, dead=1)])
    assert list(Path(lake.url, "events", "_delta_log").glob("*.checkpoint.parquet"))
    fresh = Lake(lake.url).progress("events", [("one", EVENTS, 0)])["one", EVENTS, 0]
    assert (fresh.next_offset, fresh.dead) == (120, 120)


def test_compaction_changes_no_row_and_fences_nobody(lake: Lake) -> None:
    for start in range(70):
        lake.append("events", rows("events", start, start + 1), [span(start, start + 1)])
    before, version = lake.read("events"), lake.version("events")
    assert lake.compact("events") == 70
    lake.append("events", rows("events", 70, 71), [span(70, 71)])
    assert lake.read("events").slice(0, 70).equals(before)
    assert lake.read("events", version=version).equals(before)
    assert lake.compact("events") == 0


def test_a_version_is_read_as_it_was(lake: Lake) -> None:
    lake.append("events", rows("events", 0, 5), [span(0, 5)])
    pinned = lake.versions()
    lake.append("events", rows("events", 5, 9), [span(5, 9)])
    assert len(lake.read("events", version=pinned["events"])) == 5
    assert lake.next_offsets("events", pinned["events"]) == {("one", EVENTS, 0): 5}


def test_reads_are_in_order_of_the_log_and_filtered(lake: Lake) -> None:
    lake.append("events", rows("events", 0, 3, partition=1), [span(0, 3, partition=1)])
    lake.append("events", rows("events", 0, 3), [span(0, 3)])
    found = lake.read("events", ["event_id"])
    assert found.column_names == ["event_id"]
    assert found["event_id"].to_pylist() == ["e0-0", "e0-1", "e0-2", "e1-0", "e1-1", "e1-2"]
    late = lake.read("events", ["event_id"], filters=pc.field("offset") >= 2)
    assert late["event_id"].to_pylist() == ["e0-2", "e1-2"]
    tail = lake.since("events", ["event_id"], {("one", 1): 1})
    assert tail["event_id"].to_pylist() == ["e1-1", "e1-2"]


@pytest.mark.parametrize("table", TABLES)
def test_every_table_keeps_its_schema_on_disk(lake: Lake, table: str) -> None:
    part = [] if table == DEAD_LETTERS else [span(0, 2)]
    if table == DEAD_LETTERS:
        lake.append(table, rows(table, 0, 2), [span(0, 2)])
    else:
        lake.append(table, rows(table, 0, 2), part)
    assert lake.read(table).schema.equals(TABLES[table])
    assert lake.read(table).equals(rows(table, 0, 2))


@pytest.mark.parametrize("table", TABLES)
def test_an_empty_table_reads_as_no_rows(lake: Lake, table: str) -> None:
    assert lake.read(table).equals(TABLES[table].empty_table())


def test_the_log_holds_no_minimum_of_a_user_and_expires_no_offset(lake: Lake) -> None:
    lake.append("events", rows("events", 0, 5), [span(0, 5)])
    log = "".join(path.read_text() for path in sorted(Path(lake.url, "events", "_delta_log").glob("*.json")))
    statistics = [json.loads(json.loads(line)["add"]["stats"]) for line in log.splitlines() if '"add"' in line]
    assert statistics
    assert set(statistics[0]["minValues"]) == {"incarnation", "partition", "offset", "record_time", "event_time"}
    assert "ann" not in log
    assert "setTransactionRetentionDuration" not in log


def test_a_column_added_later_is_null_in_older_rows(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    lake.append("users", rows("users", 0, 2), [span(0, 2)])
    wider = TABLES["users"].append(pa.field("shoe_size", pa.int32()))
    monkeypatch.setitem(TABLES, "users", wider)
    later = rows("users", 2, 3).set_column(len(wider) - 1, "shoe_size", pa.array([44], pa.int32()))
    handle = lake.handle("users")
    write_deltalake(
        handle,
        later,
        mode="append",
        schema_mode="merge",
        commit_properties=CommitProperties(app_transactions=[Transaction("x", 1)]),
    )
    assert lake.read("users", ["offset", "shoe_size"]).to_pylist() == [
        {"offset": 0, "shoe_size": None},
        {"offset": 1, "shoe_size": None},
        {"offset": 2, "shoe_size": 44},
    ]


def test_a_lake_that_was_not_made_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(SnowmeltError, match="lake lane"):
        Lake(str(tmp_path / "nothing")).version("events")


def test_a_lake_that_is_away_is_unavailable_and_goes_on_where_it_was(lake: Lake, tmp_path: Path) -> None:
    lake.append("events", rows("events", 0, 5), [span(0, 5)])
    calls: list[Callable[[], object]] = [
        lambda: lake.version("events"),
        lambda: lake.read("events"),
        lambda: lake.progress("events", [("one", EVENTS, 0)]),
        lambda: lake.append("events", rows("events", 5, 7), [span(5, 7)]),
        lambda: lake.rewind("events", {("one", EVENTS, 0): 2}),
        lambda: lake.scattered("events"),
        lambda: lake.compact("events", 1),
    ]
    (tmp_path / "lake").rename(tmp_path / "away")
    (tmp_path / "lake").write_bytes(b"")
    for call in calls:
        with pytest.raises(SnowmeltError) as raised:
            call()
        assert raised.value.reason in (Reason.UNAVAILABLE, Reason.NOT_FOUND)
    (tmp_path / "lake").unlink()
    (tmp_path / "away").rename(tmp_path / "lake")
    lake.append("events", rows("events", 5, 7), [span(5, 7)])
    assert offsets(lake) == [0, 1, 2, 3, 4, 5, 6]


def test_marks_move_no_offset_and_the_newest_stands(lake: Lake) -> None:
    mine, other = ("one", EVENTS, 0), ("one", EVENTS, 1)
    lake.append("events", rows("events", 0, 5), [span(0, 5, watermark_ms=77)])
    for value in (4, 3):
        lake.mark("events", "copied", {mine: value})
    assert lake.marks("events", "copied", [mine, other]) == {mine: 3, other: 0}
    assert lake.marks("events", "accepted", [mine]) == {mine: 0}
    assert lake.progress("events", [mine])[mine].watermark_ms == 77
    lake.append("events", rows("events", 5, 6), [span(5, 6)])
    assert lake.progress("events", [mine])[mine].watermark_ms == 77
    assert (offsets(lake), lake.rows("events")) == ([0, 1, 2, 3, 4, 5], 6)


def test_rows_of_no_range_are_added(lake: Lake) -> None:
    for _ in range(2):
        lake.add(REPLAYS, rows(REPLAYS, 3, 4))
    assert offsets(lake, REPLAYS) == [3, 3]


def test_a_table_of_an_older_version_gets_the_columns_it_lacks(tmp_path: Path) -> None:
    older = pa.schema([field for field in TABLES["events"] if field.name != "late"])
    lake = Lake(str(tmp_path / "lake"))
    Path(lake.url).mkdir()
    DeltaTable.create(f"{lake.url}/events", older, configuration=properties("events"))
    write_deltalake(f"{lake.url}/events", rows("events", 0, 2).select(older.names), mode="append")
    lake.create()
    lake.create()
    fresh = rows("events", 2, 3)
    lake.append("events", fresh.set_column(fresh.schema.get_field_index("late"), "late", [[True]]), [span(0, 3)])
    assert lake.read("events", ["late"])["late"].to_pylist() == [None, None, True]
