"""What is known of a handle's numbers is what its log says, whoever has written meanwhile."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmelt.lake import TABLES, Lake, Range
from snowmelt.lake.appending import append, owner
from snowmelt.lake.numbers import Numbers

INCARNATION, TOPIC, TABLE = "life", "snowmelt.users", "users"
PARTITIONS = range(3)
ROWS = TABLES[TABLE].empty_table()
COUNTER = "duplicates:"


def ranges(numbers: Numbers, partitions: set[int]) -> list[Range]:
    starts = {each: numbers.of(owner(INCARNATION, TOPIC, each)) or 0 for each in sorted(partitions)}
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
            st.tuples(st.just("update"), st.none()),
        ),
        max_size=8,
    )
)
def test_the_numbers_are_those_of_the_log(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple]) -> None:
    folder = str(tmp_path_factory.mktemp("lake"))
    lake, other = Lake(folder), Lake(folder)
    lake.create()
    numbers = Numbers(lake.handle(TABLE))
    for step, what in steps:
        if step == "own":
            numbers.table.update_incremental()
            append(numbers, ROWS, ranges(numbers, what))
        elif step == "other":
            others_commit(other, what)
        elif step == "beside":  # a commit of ours that goes in after another one's, which does not concern it
            numbers.table.update_incremental()
            mine = ranges(numbers, {what})
            others_commit(other, (what + 1) % len(PARTITIONS))
            append(numbers, ROWS, mine)
        else:
            numbers.table.update_incremental()
        for each in PARTITIONS:
            for key in (owner(INCARNATION, TOPIC, each), COUNTER + owner(INCARNATION, TOPIC, each)):
                assert numbers.of(key) == numbers.table.transaction_version(key), (step, what, key)


def test_a_commit_of_ours_is_not_looked_up_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = Lake(str(tmp_path))
    lake.create()
    numbers = Numbers(lake.handle(TABLE))
    append(numbers, ROWS, ranges(numbers, {0, 1}))
    asked: list[str] = []
    look = type(numbers.table).transaction_version
    monkeypatch.setattr(
        type(numbers.table), "transaction_version", lambda self, key: (asked.append(key), look(self, key))[1]
    )
    append(numbers, ROWS, ranges(numbers, {0, 1}))
    assert asked == []
