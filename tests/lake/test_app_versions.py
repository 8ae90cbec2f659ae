"""What is known of application ids is what the log says, whoever has written meanwhile."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmelt.lake import TABLES, FencedError, Lake, Range
from snowmelt.lake.app_versions import AppVersions
from snowmelt.lake.appending import append, counter, owner

INCARNATION, TOPIC, TABLE = "life", "snowmelt.users", "users"
PARTITIONS = range(3)
ROWS = TABLES[TABLE].empty_table()


def ranges(log: AppVersions, partitions: set[int]) -> list[Range]:
    starts = {each: log.of(owner(INCARNATION, TOPIC, each)) or 0 for each in sorted(partitions)}
    return [Range(INCARNATION, TOPIC, each, start, start + 2, duplicates=1) for each, start in starts.items()]


def others_commit(lake: Lake, partition: int) -> None:
    key = (INCARNATION, TOPIC, partition)
    start = lake.ends(TABLE, [key])[key]
    lake.append(TABLE, ROWS, [Range(*key, start, start + 1)])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("own"), st.sets(st.sampled_from(PARTITIONS), min_size=1)),
            st.tuples(st.just("other"), st.sampled_from(PARTITIONS)),
            st.tuples(st.just("beside"), st.sampled_from(PARTITIONS)),
            st.tuples(st.just("refused"), st.sampled_from(PARTITIONS)),
            st.tuples(st.just("back"), st.sampled_from(PARTITIONS)),
            st.tuples(st.just("update"), st.none()),
        ),
        max_size=8,
    )
)
def test_what_is_known_is_what_the_log_says(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple]) -> None:
    folder = str(tmp_path_factory.mktemp("lake"))
    lake, other = Lake(folder), Lake(folder)
    lake.create()
    log = AppVersions(lake.handle(TABLE))
    for step, what in steps:
        if step == "own":
            log.table.update_incremental()
            append(log, ROWS, ranges(log, what))
        elif step == "other":
            others_commit(other, what)
        elif step == "beside":  # a commit of ours that goes in after another one's, which does not concern it
            log.table.update_incremental()
            mine = ranges(log, {what})
            others_commit(other, (what + 1) % len(PARTITIONS))
            append(log, ROWS, mine)
        elif step == "refused":
            log.table.update_incremental()
            mine = ranges(log, {what})
            others_commit(other, what)
            with pytest.raises(FencedError):
                append(log, ROWS, mine)
        elif step == "back":
            other.rewind(TABLE, {(INCARNATION, TOPIC, what): 1})
        else:
            log.table.update_incremental()
        for each in PARTITIONS:
            for key in (owner(INCARNATION, TOPIC, each), counter("duplicates", owner(INCARNATION, TOPIC, each))):
                assert log.of(key) == log.table.transaction_version(key), (step, what, key)


def test_a_commit_of_ours_is_not_looked_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(str(tmp_path))
    lake.create()
    log = AppVersions(lake.handle(TABLE))
    append(log, ROWS, ranges(log, {0, 1}))
    asked: list[str] = []
    look = type(log.table).transaction_version
    monkeypatch.setattr(
        type(log.table), "transaction_version", lambda self, key: (asked.append(key), look(self, key))[1]
    )
    append(log, ROWS, ranges(log, {0, 1}))
    assert asked == []
