"""A folder of your own: what is taken, and what each kind of bad file is told."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snowmelt.datasets.data_set import CATALOGUE, EVENTS
from snowmelt.datasets.folder import load
from snowmelt.datasets.rules import declared
from snowmelt.training.errors import BadDataError
from tests.fixtures.views import EVENT_TYPES

CATALOGUE_CSV = "item_id,title,categories,price,colour\na,Oak chair,wood|chair,12.5,brown\nb,Lamp,,,\n"
EVENTS_CSV = (
    "user_id,item_id,type,event_time,value\n"
    "u1,a,purchase,2024-05-01T10:00:00Z,2\n"
    "u2,b,view,2024-05-01T09:00:00Z,\n"
    "u1,zz,view,2024-05-02T09:00:00+02:00,\n"
)


def write(folder: Path, catalogue: str = CATALOGUE_CSV, events: str = EVENTS_CSV) -> Path:
    (folder / "catalogue.csv").write_text(catalogue)
    (folder / "events.csv").write_text(events)
    return folder


def test_csv(tmp_path: Path) -> None:
    data = load(write(tmp_path))
    assert data.catalogue.schema == CATALOGUE
    assert data.events.schema == EVENTS
    assert data.catalogue["categories"].to_pylist() == [["wood", "chair"], []]
    assert data.catalogue["attributes"].to_pylist() == [[("colour", "brown")], []]
    assert data.events["user_id"].to_pylist() == ["u2", "u1", "u1"]
    assert data.events["event_time_ms"].to_pylist() == [1714554000000, 1714557600000, 1714633200000]
    assert data.events["price"].to_pylist() == [None, 12.5, None]
    assert data.events["categories"].to_pylist() == [[], ["wood", "chair"], []]
    assert data.end_ms == 1714633201000
    assert data.notes == ("1 events name an item that the catalogue lacks; it cannot be recommended",)


def test_a_csv_that_is_no_utf8_is_read_as_latin1_and_that_is_said(tmp_path: Path) -> None:
    folder = write(tmp_path)
    (folder / "catalogue.csv").write_bytes(CATALOGUE_CSV.replace("Oak chair", "Fauteuil ch\xeane").encode("latin-1"))
    data = load(folder)
    assert data.catalogue["title"].to_pylist()[0] == "Fauteuil ch\xeane"
    said = "catalogue.csv is not UTF-8 and was read as Latin-1; convert it if names look wrong"
    assert data.notes[0] == said
    assert len(data.notes) == 2


def test_the_three_kinds_say_the_same(tmp_path: Path) -> None:
    expected = load(write(tmp_path))
    rows = [
        {"user_id": "u1", "item_id": "a", "type": "purchase", "event_time": 1714557600000, "value": 2},
        {"user_id": "u2", "item_id": "b", "type": "view", "event_time": 1714554000000},
        {"user_id": "u1", "item_id": "zz", "type": "view", "event_time": 1714633200000},
    ]
    items = [
        {"item_id": "a", "title": "Oak chair", "categories": ["wood", "chair"], "price": 12.5, "colour": "brown"},
        {"item_id": "b", "title": "Lamp"},
    ]
    lines, columns = tmp_path / "lines", tmp_path / "columns"
    for folder in (lines, columns):
        folder.mkdir()
    for name, what in (("events", rows), ("catalogue", items)):
        (lines / f"{name}.jsonl").write_text("\n".join(json.dumps(row) for row in what) + "\n")
        pq.write_table(pa.Table.from_pylist(what), columns / f"{name}.parquet")
    pq.write_table(
        pa.Table.from_pylist(rows).set_column(
            3, "event_time", pa.array([r["event_time"] for r in rows], pa.timestamp("ms", "UTC"))
        ),
        columns / "events.parquet",
    )
    for folder in (lines, columns):
        data = load(folder)
        assert data.events == expected.events
        assert data.catalogue == expected.catalogue


def test_the_same_file_gives_the_same_event_ids_and_no_two_alike(tmp_path: Path) -> None:
    twice = EVENTS_CSV + "u1,a,purchase,2024-05-01T10:00:00Z,2\n"
    first, again = (load(write(tmp_path, events=twice)).events["event_id"].to_pylist() for _ in range(2))
    assert first == again
    assert len(set(first)) == 4


BAD = {
    "missing column": (CATALOGUE_CSV, "user_id,item_id,type\nu,a,view\n", "events.csv: column event_time is missing"),
    "zero rows": (CATALOGUE_CSV, "user_id,item_id,type,event_time\n", "events.csv: the file holds no rows"),
    "no catalogue rows": ("item_id,title\n", EVENTS_CSV, "catalogue.csv: the file holds no rows"),
    "empty file": ("", EVENTS_CSV, "catalogue.csv: cannot be read"),
    "ragged": (CATALOGUE_CSV, EVENTS_CSV + "u1,a\n", "events.csv: row 4: 2 values, expected 5"),
    "bad time": (CATALOGUE_CSV, EVENTS_CSV + "u1,a,view,yesterday,\n", "events.csv: row 4: event_time is 'yesterday'"),
    "no time": (CATALOGUE_CSV, EVENTS_CSV + "u1,a,view,,\n", "events.csv: row 4: event_time is None"),
    "seconds": (
        CATALOGUE_CSV,
        "user_id,item_id,type,event_time\nu,a,view,1714557600\n",
        "events.csv: row 1: event_time is '1714557600', expected an instant from 1971 to 2100",
    ),
    "bad value": (CATALOGUE_CSV, EVENTS_CSV + "u1,a,view,2024-05-01T10:00:00Z,ten\n", "row 4: value is 'ten'"),
    "nan value": (CATALOGUE_CSV, EVENTS_CSV + "u1,a,view,2024-05-01T10:00:00Z,nan\n", "row 4: value is nan"),
    "no user": (CATALOGUE_CSV, EVENTS_CSV + ",a,view,2024-05-01T10:00:00Z,\n", "row 4: set user_id or session_id"),
    "no item": (CATALOGUE_CSV, EVENTS_CSV + "u,,view,2024-05-01T10:00:00Z,\n", "row 4: item_id is ''"),
    "bad type": (CATALOGUE_CSV, EVENTS_CSV + "u,a,Big View,2024-05-01T10:00:00Z,\n", "row 4: type is 'Big View'"),
    "long id": (CATALOGUE_CSV, EVENTS_CSV + f"{'u' * 129},a,view,2024-05-01T10:00:00Z,\n", "row 4: user_id is"),
    "blank id": (CATALOGUE_CSV + "  ,Chair,,1,\n", EVENTS_CSV, "catalogue.csv: row 3: item_id is '  '"),
    "a mark in an id": (CATALOGUE_CSV, EVENTS_CSV + "u\u200e,a,view,2024-05-01T10:00:00Z,\n", "row 4: user_id is"),
    "price below 0": (CATALOGUE_CSV + "c,Chair,,-1,\n", EVENTS_CSV, "catalogue.csv: row 3: price is -1.0"),
    "long category": (CATALOGUE_CSV + f"c,Chair,{'x' * 65},1,\n", EVENTS_CSV, "catalogue.csv: row 3: categories is"),
    "control character": (
        CATALOGUE_CSV,
        EVENTS_CSV + "u,a\x01,view,2024-05-01T10:00:00Z,\n",
        "row 4: item_id is 'a\\x01'",
    ),
    "big value": (CATALOGUE_CSV, EVENTS_CSV + "u,a,view,2024-05-01T10:00:00Z,2e9\n", "row 4: value is 2000000000.0"),
    "long title": (CATALOGUE_CSV + f"c,{'x' * 513},,1,\n", EVENTS_CSV, "catalogue.csv: row 3: title is 'xx"),
    "long text": ("item_id,text\na,b\nb," + "x" * 16_385 + "\n", EVENTS_CSV, "catalogue.csv: row 2: text is 'xx"),
    "long attribute": (CATALOGUE_CSV + f"c,,,,{'x' * 513}\n", EVENTS_CSV, "catalogue.csv: row 3: colour is 'xx"),
    "33 categories": (
        CATALOGUE_CSV + "c,Chair," + "|".join(f"c{n}" for n in range(33)) + ",1,\n",
        EVENTS_CSV,
        "catalogue.csv: row 3: categories is ['c0', ",
    ),
    "65 attributes": (
        "item_id," + ",".join(f"a{n}" for n in range(65)) + "\na" + ",1" * 65 + "\n",
        EVENTS_CSV,
        "catalogue.csv: row 1: attributes is ",
    ),
    "index column": (
        ",item_id\n0,a\n",
        EVENTS_CSV,
        "catalogue.csv: a column is called ''; the name of an attribute must be at least 1 characters; pandas writes",
    ),
    "long header": (f"item_id,{'h' * 65}\na,\n", EVENTS_CSV, "the name of an attribute must be at most 64 bytes"),
    "same header twice": ("item_id,a,a\na,1,2\n", EVENTS_CSV, "catalogue.csv: column a is there more than once"),
    "20 digits": (
        CATALOGUE_CSV,
        "user_id,item_id,type,event_time\nu,a,view,1714557600000\nu,a,view,17145576000000000000\n",
        "events.csv: row 2: event_time is '17145576000000000000', expected an instant from 1971 to 2100",
    ),
    "text among digits": (
        CATALOGUE_CSV,
        "user_id,item_id,type,event_time\nu,a,view,1714557600000\nu,a,view,yesterday\n",
        "events.csv: row 2: event_time is 'yesterday', expected milliseconds",
    ),
    "no offset among offsets": (
        CATALOGUE_CSV,
        EVENTS_CSV + "u,a,view,2024-05-01T10:00:00,\n",
        "events.csv: row 4: event_time is '2024-05-01T10:00:00', expected ISO-8601 (all with an offset or",
    ),
    "same event twice": (
        CATALOGUE_CSV,
        "user_id,item_id,type,event_time,event_id\n"
        + "".join(f"u,a,view,2024-05-0{9 - n}T10:00:00Z,{e}\n" for n, e in enumerate("xyzy")),
        "events.csv: row 4: event_id is 'y', as in row 2; each row needs one of its own",
    ),
    "no event id": (
        CATALOGUE_CSV,
        "user_id,item_id,type,event_time,event_id\nu,a,view,2024-05-01T10:00:00Z,\n",
        "events.csv: row 1: event_id is '', must be at least 1 characters",
    ),
    "same item twice": (
        "item_id\n" + "".join(f"i{n}\n" for n in range(12)) * 2,
        EVENTS_CSV,
        "catalogue.csv: row 13: item_id is 'i0', as in row 1",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_files_are_named_with_their_row(tmp_path: Path, name: str) -> None:
    catalogue, events, expected = BAD[name]
    with pytest.raises(BadDataError) as error:
        load(write(tmp_path, catalogue, events))
    assert expected in str(error.value)
    assert str(tmp_path) in str(error.value)


def test_a_truncated_parquet_file_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "events.csv").unlink()
    path = tmp_path / "events.parquet"
    pq.write_table(pa.table({"item_id": ["a"], "type": ["view"], "event_time": [1714557600000]}), path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadDataError, match=r"events.parquet: cannot be read"):
        load(tmp_path)


def test_a_bad_json_line_is_named(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "events.csv").unlink()
    (tmp_path / "events.jsonl").write_text('{"item_id": "a"}\n{"item_id": \n')
    with pytest.raises(BadDataError, match=r"events.jsonl: row 2: not valid JSON"):
        load(tmp_path)


def test_a_folder_without_the_two_files_is_told_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(BadDataError, match="expected a file catalogue and a file events"):
        load(tmp_path)


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "events.jsonl").write_text("{}\n")
    with pytest.raises(BadDataError, match=r"both events.csv and events.jsonl are there"):
        load(tmp_path)


def test_a_users_file_is_held_to_the_same_rules_and_may_end_last(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "users.csv").write_text(
        "user_id,event_time,country\nu1,2030-01-01T00:00:00Z,AT\nu2,2024-01-01T00:00:00Z,\n"
    )
    data = load(tmp_path)
    assert data.end_ms == 1893456001000, "every record lies before the end"
    assert data.users["attributes"].to_pylist() == [[], [("country", "AT")]]
    (tmp_path / "users.csv").write_text("user_id\nu1\nu2\nu1\n")
    with pytest.raises(BadDataError, match=r"users.csv: row 3: user_id is 'u1', as in row 1"):
        load(tmp_path)
    (tmp_path / "users.csv").write_text(f"user_id\nu1\n{'u' * 129}\n")
    with pytest.raises(BadDataError, match=r"users.csv: row 2: user_id is 'u+…, must be at most 128 bytes"):
        load(tmp_path)


def test_times_to_the_microsecond_are_cut_to_milliseconds(tmp_path: Path) -> None:
    events = "user_id,item_id,type,event_time\nu,a,view,2024-05-01 10:00:00.123456\nu,a,view,2024-05-01 10:00:00\n"
    data = load(write(tmp_path, events=events))
    assert data.events["event_time_ms"].to_pylist() == [1714557600000, 1714557600123]


@pytest.mark.parametrize("undeclared", ["watch", "addtocart", "impression"])
def test_a_type_that_is_not_declared_is_named_with_its_first_row(tmp_path: Path, undeclared: str) -> None:
    row = f"u1,a,{undeclared},2024-04-01T10:00:00Z,\n"
    data = load(write(tmp_path, events=EVENTS_CSV + row + row))
    with pytest.raises(BadDataError) as error:
        declared(data.first_rows, EVENT_TYPES)
    assert f"events.csv: row 4: type is '{undeclared}', expected a type that feature_repo declares: view, " in str(
        error.value
    )
    declared(load(write(tmp_path)).first_rows, EVENT_TYPES)


@pytest.mark.parametrize("record", [{"item_id": "b", "title": "\ud800"}, {"item_id": "b", "\ud800": "x"}])
def test_half_a_surrogate_pair_is_refused(tmp_path: Path, record: dict[str, str]) -> None:
    write(tmp_path)
    (tmp_path / "catalogue.csv").unlink()
    (tmp_path / "catalogue.jsonl").write_text('{"item_id": "a"}\n\n' + json.dumps(record) + "\n")
    with pytest.raises(BadDataError, match=r"catalogue.jsonl: row 2: half of a surrogate pair"):
        load(tmp_path)


def test_a_parquet_file_with_text_that_is_no_utf8_is_refused(tmp_path: Path) -> None:
    write(tmp_path)
    (tmp_path / "catalogue.csv").unlink()
    words = pa.array([b"a", b"\xff"], pa.binary())
    title = pa.StringArray.from_buffers(2, *words.buffers()[1:])
    pq.write_table(pa.table({"item_id": ["a", "b"], "title": title}), tmp_path / "catalogue.parquet")
    with pytest.raises(BadDataError, match=r"catalogue.parquet: row 2: title cannot be read"):
        load(tmp_path)
