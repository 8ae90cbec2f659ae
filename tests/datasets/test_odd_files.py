"""Files as other programs write them: read as they are meant, or refused by file and row; nothing is lost silently."""

import codecs
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snowmelt.datasets.data_set import DataSet
from snowmelt.datasets.folder import load
from snowmelt.training.errors import BadDataError

CATALOGUE = "item_id,title\na,Chair\nb,Lamp\n"
EVENTS = "user_id,item_id,type,event_time\nu1,a,view,2024-05-01T10:00:00Z\nu1,b,view,2024-05-01T11:00:00Z\n"


def read(folder: Path, name: str, content: str | bytes | list[dict[str, Any]]) -> DataSet:
    """The data set with one of its files as given: CSV, or JSON lines of a list."""
    for stem, usual in (("catalogue", CATALOGUE), ("events", EVENTS)):
        if stem != name:
            (folder / f"{stem}.csv").write_text(usual)
    if isinstance(content, list):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(record) + "\n" for record in content))
    else:
        (folder / f"{name}.csv").write_bytes(content.encode() if isinstance(content, str) else content)
    return load(folder)


def test_the_header_of_a_latin1_file_is_latin1_too(tmp_path: Path) -> None:
    data = read(tmp_path, "catalogue", "item_id,title,gr\xf6\xdfe\na,Chair,9\n".encode("latin-1"))
    assert data.catalogue["attributes"].to_pylist() == [[("gr\xf6\xdfe", "9")]]
    assert any("was read as Latin-1" in note for note in data.notes)


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_utf16_is_named(tmp_path: Path, mark: bytes) -> None:
    encoding = "utf-16-le" if mark == codecs.BOM_UTF16_LE else "utf-16-be"
    with pytest.raises(BadDataError, match=r"catalogue\.csv: the file is UTF-16; save it as UTF-8"):
        read(tmp_path, "catalogue", mark + CATALOGUE.encode(encoding))


def test_a_byte_order_mark_is_no_part_of_the_first_name(tmp_path: Path) -> None:
    assert read(tmp_path, "catalogue", codecs.BOM_UTF8 + CATALOGUE.encode()).catalogue["item_id"].to_pylist() == [
        "a",
        "b",
    ]
    (tmp_path / "catalogue.csv").unlink()
    (tmp_path / "catalogue.jsonl").write_bytes(codecs.BOM_UTF8 + b'{"item_id": "a"}\r\n')
    assert load(tmp_path).catalogue["item_id"].to_pylist() == ["a"]


def test_json_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    (tmp_path / "catalogue.jsonl").write_text('{"item_id": "a"}\n{"item_id": ' + "[" * 100_000 + "]" * 100_000 + "}\n")
    (tmp_path / "events.csv").write_text(EVENTS)
    with pytest.raises(BadDataError, match=r"catalogue\.jsonl: row 2: not valid JSON"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("given", "row", "said"),
    [
        ([["films", "war"], "films|war"], 2, "categories is 'films|war', expected a list of texts"),
        (["films|war", ["films"]], 2, "expected text or a number"),
        ([["films"], {"films": 1}], 2, "expected a list of texts"),
        ([["films"], ["war", ["old"]]], 2, "expected a list of texts"),
    ],
)
def test_a_column_is_of_lists_or_of_none(tmp_path: Path, given: list[Any], row: int, said: str) -> None:
    records = [{"item_id": f"i{n}", "categories": words} for n, words in enumerate(given)]
    with pytest.raises(BadDataError) as told:
        read(tmp_path, "catalogue", records)
    assert f"catalogue.jsonl: row {row}: " in str(told.value)
    assert said in str(told.value)


def test_words_of_a_list_may_be_numbers_or_null(tmp_path: Path) -> None:
    records = [{"item_id": "a", "categories": ["films", 1997, None]}, {"item_id": "b", "categories": ["war"]}]
    assert read(tmp_path, "catalogue", records).catalogue["categories"].to_pylist() == [["films", "1997"], ["war"]]


def test_nan_is_nobody_and_ids_keep_their_digits(tmp_path: Path) -> None:
    (tmp_path / "catalogue.csv").write_text(CATALOGUE)
    columns = {
        "user_id": pa.array([123_456_789_012.0, float("nan"), 2.5]),
        "session_id": pa.array([None, "s1", None], pa.string()),
        "item_id": ["a", "a", "b"],
        "type": ["view"] * 3,
        "event_time": pa.array([1_714_557_600_000 + n for n in range(3)]),
    }
    pq.write_table(pa.table(columns), tmp_path / "events.parquet")
    data = load(tmp_path)
    assert data.events["user_id"].to_pylist() == ["123456789012", "", "2.5"]
    assert data.events["session_id"].to_pylist() == ["", "s1", ""]


def test_nan_in_json_is_nobody_too(tmp_path: Path) -> None:
    events = [
        {"user_id": who, "session_id": "s", "item_id": "a", "type": "view", "event_time": 1_714_557_600_000 + n}
        for n, who in enumerate(["u1", float("nan"), "u3"])
    ]
    assert read(tmp_path, "events", events).events["user_id"].to_pylist() == ["u1", "", "u3"]


def test_a_time_that_is_none_is_named_beside_nanoseconds(tmp_path: Path) -> None:
    times = ("2024-05-01T10:00:00Z", "2024-05-01T10:00:00.123456789Z", "yesterday")
    for order in (times, (times[1], times[0], times[2])):
        lines = "".join(f"u1,a,view,{time}\n" for time in order)
        with pytest.raises(BadDataError, match="row 3: event_time is 'yesterday'"):
            read(tmp_path, "events", "user_id,item_id,type,event_time\n" + lines)


def test_an_instant_that_may_be_missing_may_be_missing_in_some_rows(tmp_path: Path) -> None:
    data = read(tmp_path, "catalogue", "item_id,available_from,event_time\na,2024-05-01,2024-05-01\nb,,\n")
    assert data.catalogue["available_from_ms"].to_pylist() == [1_714_521_600_000, None]
    assert data.catalogue["event_time_ms"].to_pylist() == [1_714_521_600_000, 1_714_557_600_000]


def test_instants_to_the_nanosecond(tmp_path: Path) -> None:
    data = read(tmp_path, "events", EVENTS.replace("10:00:00Z", "10:00:00.123456789Z"))
    assert data.events["event_time_ms"].to_pylist() == [1_714_557_600_123, 1_714_561_200_000]


@pytest.mark.parametrize(
    ("comments", "row"),
    [(["fine", '"nice', "fine"], 2), (['"nice', "fine", '"nice'], 1), (['"nice" one', "fine", "fine"], 1)],
)
def test_a_quote_that_is_not_closed_swallows_no_rows(tmp_path: Path, comments: list[str], row: int) -> None:
    lines = [f"u1,a,view,2024-05-01T1{n}:00:00Z,{comment}" for n, comment in enumerate(comments)]
    with pytest.raises(BadDataError, match=f'events.csv: row {row}: a value begins with " and does not end with one'):
        read(tmp_path, "events", "\n".join(["user_id,item_id,type,event_time,comment", *lines, ""]))


def test_a_quoted_value_may_hold_lines_and_quotes(tmp_path: Path) -> None:
    data = read(tmp_path, "catalogue", 'item_id,title,text\r\na,"5"" pipe","two\r\nlines"\r\nb,5" pipe,one\r\n')
    assert data.catalogue["title"].to_pylist() == ['5" pipe', '5" pipe']
    assert data.catalogue["text"].to_pylist() == ["two\r\nlines", "one"]
