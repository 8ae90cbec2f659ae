"""Online Retail: its cleaning by rows, and the whole file's known counts."""

import csv
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snowmelt.datasets.open import open_data_set
from snowmelt.datasets.retail import load
from snowmelt.datasets.retail_text import head_noun
from snowmelt.training.errors import BadDataError

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
ROWS = (
    "1,85123a,WHITE HOLDER,6,12/1/2010 8:26,2.55,17850,United Kingdom\n"
    "1,85123A,WHITE HOLDER,2,12/1/2010 8:26,2.95,17850,United Kingdom\n"
    "C2,85123A,WHITE HOLDER,1,12/2/2010 8:26,2.55,17850,United Kingdom\n"
    "3,85123A,WHITE HOLDER,-1,12/2/2010 8:26,2.55,17850,United Kingdom\n"
    "4,85123A,WHITE HOLDER,1,12/2/2010 8:26,0,17850,United Kingdom\n"
    "5,85123A,WHITE HOLDER,1,12/2/2010 8:26,2.55,,United Kingdom\n"
    "6,POST,POSTAGE,1,12/2/2010 8:26,18,17850,United Kingdom\n"
    "7,85123A,CREAM HOLDER,1,12/3/2010 8:26,2.55,12345,France\n"
    "8,85123A,CREAM HOLDER,1,12/4/2010 8:26,2.55,12345,France\n"
    "9,85123A,CREAM HOLDER,1,12/5/2010 8:26,2.55,12345,France\n"
    "10,22752,SET 7 BABUSHKA NESTING BOXES,1,1/5/2011 8:26,7.65,12345,France\n"
)


def test_cleaning(tmp_path: Path) -> None:
    path = tmp_path / "retail.csv"
    path.write_text(HEADER + ROWS)
    data = load(path)
    assert data.events["event_id"].to_pylist() == [
        "1-85123A-17850",
        "7-85123A-12345",
        "8-85123A-12345",
        "9-85123A-12345",
        "10-22752-12345",
    ]
    assert data.events["value"].to_pylist()[0] == 8
    assert data.events["price"].to_pylist()[0] == pytest.approx((6 * 2.55 + 2 * 2.95) / 8)
    assert data.users["attributes"].to_pylist() == [[("country", "United Kingdom")], [("country", "France")]]
    assert [(r["item_id"], r["title"], r["event_time_ms"]) for r in data.catalogue.to_pylist()] == [
        ("85123A", "WHITE HOLDER", 1291191960000),
        ("85123A", "CREAM HOLDER", 1293840000000),
        ("22752", "SET 7 BABUSHKA NESTING BOXES", 1294215960000),
    ]
    assert data.catalogue["categories"].to_pylist() == [["holder"], ["holder"], ["box"]]


def test_parquet_and_csv_say_the_same(tmp_path: Path, online_retail: Path) -> None:
    rows = pq.read_table(online_retail).slice(0, 5_000)
    pq.write_table(rows, tmp_path / "r.parquet")
    text = [["" if v is None else str(v) for v in column.to_pylist()] for column in rows.columns]
    with (tmp_path / "r.csv").open("w", newline="") as file:
        csv.writer(file).writerows([HEADER.strip().split(","), *zip(*text, strict=True)])
    a, b = (load(tmp_path / name) for name in ("r.parquet", "r.csv"))
    assert a.events == b.events
    assert a.catalogue == b.catalogue


@pytest.mark.data
def test_the_whole_file_has_its_known_counts(online_retail: Path) -> None:
    data = open_data_set(online_retail)
    assert len(data.events) == 386_326
    assert len(data.users) == 4_334
    assert len(set(data.catalogue["item_id"].to_pylist())) == 3_659
    assert len(data.events.group_by(["user_id", "item_id"]).aggregate([])) == 266_221
    assert len(set(data.events["event_id"].to_pylist())) == 386_326


def test_a_file_with_other_columns_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "x.parquet")
    with pytest.raises(BadDataError, match=r"x.parquet: column InvoiceNo, StockCode, .* is missing; it has a"):
        open_data_set(tmp_path / "x.parquet")


def test_a_file_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    (tmp_path / "r.csv").write_text(HEADER + ROWS.splitlines()[2] + "\n")
    with pytest.raises(BadDataError, match="no row has a customer"):
        load(tmp_path / "r.csv")


SOLD = "1,85123A,HOLDER,1,12/1/2010 8:26,2.55,17850,France\n"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        (f"2,22752,{'A ' * 256}BOX,1,12/1/2010 8:26,2,17850,France\n", "row 3: Description is 'A A"),
        (f"2,22752,BOX,1,12/1/2010 8:26,2,17851,{'x' * 513}\n", "row 3: Country is 'xx"),
        ("2,22752,BOX,2e9,12/1/2010 8:26,2,17850,France\n", "row 3: Quantity is 2000000000.0, must be"),
        ("2,22752,BOX,1,12/1/2010 8:26,2,17850.5,France\n", "row 3: CustomerID is 17850.5, expected a whole number"),
        (f"2,22752{'A' * 128},BOX,1,12/1/2010 8:26,2,17850,France\n", "row 3: StockCode is '22752AA"),
        (
            "1-22752,33333,BOX,1,12/1/2010 8:26,2,17850,France\n1,22752-33333,BOX,1,12/1/2010 8:26,2,17850,France\n",
            "row 3: InvoiceNo-StockCode-CustomerID is '1-22752-33333-17850', as in row 4",
        ),
    ],
)
def test_what_breaks_a_rule_is_named_with_its_row(tmp_path: Path, row: str, expected: str) -> None:
    cancelled = SOLD.replace("1,", "C1,", 1)
    (tmp_path / "r.csv").write_text(HEADER + SOLD + cancelled + row)
    with pytest.raises(BadDataError) as error:
        load(tmp_path / "r.csv")
    assert str(error.value).startswith(f"{tmp_path / 'r.csv'}: {expected}")


@pytest.mark.parametrize(
    ("description", "noun"),
    [
        ("WHITE HANGING HEART T-LIGHT HOLDER", "holder"),
        ("SET OF 3 CAKE TINS PANTRY DESIGN", "pantry"),
        ("RED WOOLLY HOTTIE WHITE HEART.", "heart"),
        ("PACK OF 72 RETROSPOT CAKE CASES", "case"),
        ("STORAGE BOXES WITH LID", "box"),
        ("LARGE RED", "other"),
        ("", "other"),
    ],
)
def test_head_noun(description: str, noun: str) -> None:
    assert head_noun(description) == noun
