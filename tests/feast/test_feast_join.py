"""The as-of join against the plain definition, row by row."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowmelt.featurestore.feast_join import Versions, nanoseconds, newest_rows, take_rows

SECOND = 1_000_000_000

_entities = st.sampled_from(["a", "b", "c", None])
_seconds = st.integers(0, 12)


def _table(rows: list[tuple[str | None, int, int]], unit_ns: int = SECOND) -> pa.Table:
    names, times, created = zip(*rows, strict=True) if rows else ((), (), ())
    return pa.table(
        {
            "key": pa.array(names, pa.string()),
            "time": pa.array(np.array(times, np.int64) * unit_ns).cast(pa.timestamp("ns", "UTC")),
            "created": pa.array(np.array(created, np.int64) * unit_ns).cast(pa.timestamp("ns", "UTC")),
        }
    )


def _plainly(rows, key, time, ttl, known):
    """The newest (time, created) among the rows that may be used; None where there is none."""
    usable = [
        (t, c)
        for k, t, c in rows
        if k == key and key is not None and t <= time and (ttl is None or t + ttl >= time) and (not known or c <= time)
    ]
    return max(usable, default=None)


@settings(deadline=None, max_examples=200)
@given(
    rows=st.lists(st.tuples(_entities, _seconds, _seconds), max_size=30),
    asked=st.lists(st.tuples(st.sampled_from(["a", "b", "c", "d", None]), _seconds), min_size=1, max_size=20),
    ttl=st.one_of(st.none(), st.integers(0, 6)),
    known=st.booleans(),
    unit_ns=st.sampled_from([SECOND, 1]),
)
def test_is_the_newest_version_that_may_be_used(rows, asked, ttl, known, unit_ns):
    table = _table(rows, unit_ns)
    names = pa.chunked_array([pa.array([k for k, _ in asked], pa.string())])
    times = np.array([t for _, t in asked], np.int64) * unit_ns
    versions = Versions(table, ("key",), "time", "created")
    found = newest_rows(versions, [names], times, None if ttl is None else ttl * unit_ns, known)
    for row, (key, time) in zip(found.tolist(), asked, strict=True):
        expected = _plainly(rows, key, time, ttl, known)
        assert (rows[row][1:] if row >= 0 else None) == expected
        assert row < 0 or rows[row][0] == key


@pytest.mark.parametrize("unit_ns", [SECOND, 1])
def test_without_created_the_time_alone_decides(unit_ns):
    table = _table([("a", 1, 0), ("a", 5, 0), ("b", 3, 0)], unit_ns)
    names = pa.chunked_array([["a", "a", "a", "b", "b"]])
    times = np.array([0, 4, 5, 2, 9], np.int64) * unit_ns
    assert newest_rows(Versions(table, ("key",), "time"), [names], times).tolist() == [-1, 0, 1, -1, 2]


def test_several_keys_name_one_entity():
    table = pa.table(
        {
            "user": ["u", "u", "v"],
            "item": pa.array([1, 2, 1]),
            "time": pa.array([0, 0, 0]).cast(pa.timestamp("us", "UTC")),
            "score": [0.25, 0.5, 0.75],
        }
    )
    versions = Versions(table, ("user", "item"), "time")
    asked = [pa.chunked_array([["v", "u", "v", "w"]]), pa.chunked_array([[1, 2, 2, 1]])]
    rows = newest_rows(versions, asked, np.zeros(4, np.int64))
    assert rows.tolist() == [2, 1, -1, -1]
    assert take_rows(table, ["score"], rows)[0].to_pylist() == [0.75, 0.5, None, None]


def test_an_empty_source_gives_nothing():
    rows = newest_rows(Versions(_table([]), ("key",), "time"), [pa.chunked_array([["a"]])], np.zeros(1, np.int64))
    assert rows.tolist() == [-1]


def test_naive_times_are_read_as_utc():
    moment = datetime(2024, 3, 1, tzinfo=UTC) + timedelta(microseconds=7)
    aware = pa.chunked_array([pa.array([moment])])
    naive = pa.chunked_array([pa.array([moment.replace(tzinfo=None)])])
    assert nanoseconds(aware).tolist() == nanoseconds(naive).tolist() == [int(moment.timestamp() * 1e6) * 1000]
