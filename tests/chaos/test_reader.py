"""The reader of the lake sees what no version may hold, and joined files that hold what they replace are no fault."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from snowmelt.chaos.reader import Reader
from snowmelt.chaos.traffic import AGAIN, FIRST, INVALID, Acknowledged
from snowmelt.contracts.topics import EVENTS
from snowmelt.lake import DEAD_LETTERS, TABLES, Lake, Range
from snowmelt.runtime.kafka.producer import Delivery

LIFE = "life"


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    made = Lake(str(tmp_path / "lake"))
    made.create()
    return made


@pytest.fixture
def told() -> Acknowledged:
    """Of ten records the fourth came before, the seventh is invalid."""
    found = Acknowledged()
    for offset in range(10):
        found.note({3: AGAIN, 6: INVALID}.get(offset, FIRST), offset, Delivery(EVENTS, 0, offset))
    return found


def rows(offsets: list[int], table: str = "events", **more: Any) -> pa.Table:
    found = [{"incarnation": LIFE, "partition": 0, "offset": offset, **more} for offset in offsets]
    return pa.Table.from_pylist(found, schema=TABLES[table])


def span(start: int, end: int) -> list[Range]:
    return [Range(LIFE, EVENTS, 0, start, end)]


def problems(lake: Lake, told: Acknowledged) -> list[str]:
    with Reader(lake.url, {EVENTS: LIFE}, {EVENTS: 1}) as reader:
        pass
    assert reader.versions > 0
    return reader.problems(told)


def land(lake: Lake) -> None:
    lake.append("events", rows([0, 1, 2, 4]), span(0, 5))
    lake.append(DEAD_LETTERS, rows([6], DEAD_LETTERS, topic=EVENTS), span(5, 10))
    lake.append("events", rows([5, 7, 8, 9]), span(5, 10))


def test_a_whole_prefix_in_every_version_is_no_fault(lake: Lake, told: Acknowledged) -> None:
    land(lake)
    assert lake.compact("events", 2) == 2
    assert problems(lake, told) == []


def test_a_hole_is_seen(lake: Lake, told: Acknowledged) -> None:
    lake.append("events", rows([0, 1, 4]), span(0, 5))
    (said,) = problems(lake, told)
    assert said == "reader: events: snowmelt.events/0 [0, 5) came with 3 rows, 4 were acknowledged there"


def test_a_row_that_comes_again_is_seen(lake: Lake, told: Acknowledged) -> None:
    land(lake)
    write_deltalake(f"{lake.url}/events", rows([8]), mode="append")
    assert "has rows before 10 again" in " ".join(problems(lake, told))


def test_rows_before_their_offset_are_seen(lake: Lake, told: Acknowledged) -> None:
    write_deltalake(f"{lake.url}/events", rows([0, 1]), mode="append")
    assert "has rows beyond 0, where it says it is" in problems(lake, told)[0]


def test_rows_out_of_order_are_seen(lake: Lake, told: Acknowledged) -> None:
    lake.append("events", rows([0, 2, 1, 4]), span(0, 5))
    assert "twice or out of order" in problems(lake, told)[0]


def test_a_letter_twice_is_seen(lake: Lake, told: Acknowledged) -> None:
    land(lake)
    write_deltalake(f"{lake.url}/{DEAD_LETTERS}", rows([6], DEAD_LETTERS, topic=EVENTS), mode="append")
    assert "dead_letters" in problems(lake, told)[0]


def test_rows_that_go_are_seen(lake: Lake, told: Acknowledged) -> None:
    land(lake)
    DeltaTable(f"{lake.url}/events").delete('"offset" = 8')
    assert "joined files hold other rows than those they replace" in problems(lake, told)[0]
