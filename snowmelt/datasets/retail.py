"""Online Retail (UCI): a gift shop's invoices, stamped to the minute, as purchases."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.api.events.v1 import events_pb2 as pb
from snowmelt.datasets import cells, data_set, files, rules
from snowmelt.datasets.data_set import DataSet, Progress
from snowmelt.datasets.retail_text import head_noun
from snowmelt.training.errors import BadDataError

COLUMNS = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
SOURCE = "Online Retail, Chen, D. (2015), UCI Machine Learning Repository, DOI 10.24432/C5BW33"
TERMS = "Creative Commons Attribution 4.0 International"
EVENT_TYPE = "purchase"
_CATALOGUE_NAMES = {
    "item_id": "StockCode", "title": "Description", "categories": "Description", "price": "UnitPrice",
}  # fmt: skip
_USER_NAMES = {"user_id": "CustomerID", "country": "Country"}
_EVENT_NAMES = {**_CATALOGUE_NAMES, **_USER_NAMES, "event_id": "InvoiceNo-StockCode-CustomerID", "value": "Quantity"}
_DATE_FORMATS = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M")


def load(path: Path, progress: Progress = data_set.silent) -> DataSet:
    """The data set of a parquet file or of a CSV file with the original columns.

    Kept are rows with a customer, a quantity and a price above 0, an invoice that is no cancellation and a stock code
    that begins with five digits; one event a (customer, item, invoice).

    Raises:
        BadDataError: the file cannot be read, a column is missing, a value does not fit, or no row is left.
    """
    progress("read Online Retail", 0, 3)
    rows = _clean(files.read_table(path, required=COLUMNS), path)
    progress("read Online Retail", 1, 3)
    catalogue = _catalogue(rows)
    progress("read Online Retail", 2, 3)
    users, events = _users(rows), _events(rows, catalogue)
    tables = (catalogue, users, events)
    _hold(rows, tables, path)
    progress("read Online Retail", 3, 3)
    first_rows = {EVENT_TYPE: f"{path}: row {rows['row'][0].as_py()}"}
    return data_set.from_tables(
        "Online Retail", SOURCE, TERMS, tables, notes=files.notes([path]), first_rows=first_rows
    )


def _hold(rows: pa.Table, tables: tuple[pa.Table, pa.Table, pa.Table], path: Path) -> None:
    """Holds what is made of the rows against the rules of the protos; an error names the first row behind it.

    Raises:
        BadDataError
    """

    ids = pc.binary_join_element_wise(rows["invoice"], rows["item_id"], rows["user_id"], "-")
    rows = rows.append_column("event_id", ids)

    def first(**said: str) -> int:
        keep = pa.array(np.ones(len(rows), np.bool_))
        for column, value in said.items():
            keep = pc.and_(keep, pc.equal(rows[column], value))
        return int(pc.min(rows["row"].filter(keep)).as_py())

    def of_event(place: int) -> int:
        return first(**{name: events[name][place].as_py() for name in ("event_id", "item_id")})

    catalogue, users, events = tables
    rules.hold(
        pb.ItemUpsert, catalogue, path, _CATALOGUE_NAMES,
        lambda _, row: first(item_id=row["item_id"], text=row["title"]),
    )  # fmt: skip
    rules.hold(
        pb.UserUpsert, users, path, _USER_NAMES,
        lambda _, row: first(user_id=row["user_id"], **dict(row["attributes"])),
    )  # fmt: skip
    rules.hold(pb.Event, events, path, _EVENT_NAMES, lambda place, _: of_event(place))
    rules.unique(events["event_id"].combine_chunks(), path, _EVENT_NAMES["event_id"], of_event)


def _clean(raw: pa.Table, path: Path) -> pa.Table:
    """The rows that count, in time order: row, invoice, item_id, text, quantity, time_ms, price, user_id, country."""
    rows = pa.table(
        {
            "row": np.arange(1, len(raw) + 1),
            "invoice": cells.strings(raw, "InvoiceNo", path),
            "item_id": pc.utf8_upper(pc.utf8_trim_whitespace(cells.strings(raw, "StockCode", path))),
            "text": pc.fill_null(pc.utf8_trim_whitespace(cells.strings(raw, "Description", path)), ""),
            "quantity": cells.floats(raw, "Quantity", path),
            "time_ms": cells.times_ms(raw, "InvoiceDate", path, _DATE_FORMATS),
            "price": cells.floats(raw, "UnitPrice", path),
            "customer": cells.floats(raw, "CustomerID", path),
            "country": pc.fill_null(cells.strings(raw, "Country", path), ""),
        }
    )
    parted = pc.not_equal(rows["customer"], pc.floor(rows["customer"]))
    cells.refuse(path, parted, rows["customer"], "CustomerID", "expected a whole number")
    keep = pc.and_kleene(pc.greater(rows["quantity"], 0), pc.greater(rows["price"], 0))
    keep = pc.and_kleene(keep, pc.is_valid(rows["customer"]))
    keep = pc.and_kleene(keep, pc.invert(pc.starts_with(rows["invoice"], "C")))
    keep = pc.and_kleene(keep, pc.match_substring_regex(rows["item_id"], r"^\d{5}"))
    rows = rows.filter(keep)
    if not len(rows):
        raise BadDataError(
            f"{path}: no row has a customer, a quantity and price above 0 and a stock code of five digits"
        )
    users = cells.strings(rows, "customer", path)
    rows = rows.drop_columns(["customer"]).append_column("user_id", users)
    return rows.take(
        pc.sort_indices(rows, [("time_ms", "ascending"), ("invoice", "ascending"), ("item_id", "ascending")])
    )


def _events(rows: pa.Table, catalogue: pa.Table) -> pa.Table:
    """One purchase a (customer, item, invoice): quantities added, prices averaged, categories as known then."""
    paid = rows.append_column("paid", pc.multiply(rows["quantity"], rows["price"]))
    by = paid.group_by(["user_id", "item_id", "invoice"], use_threads=False)
    one = by.aggregate([("quantity", "sum"), ("paid", "sum"), ("time_ms", "min")])
    n = len(one)
    known = data_set.known_at(catalogue, one["item_id"], one["time_ms_min"].to_numpy())
    return data_set.table(
        data_set.EVENTS,
        {
            "event_id": pc.binary_join_element_wise(
                one["invoice"], one["item_id"], one["user_id"], "-"
            ).combine_chunks(),
            "user_id": one["user_id"].combine_chunks(),
            "session_id": [""] * n,
            "item_id": one["item_id"].combine_chunks(),
            "type": [EVENT_TYPE] * n,
            "value": one["quantity_sum"].combine_chunks(),
            "event_time_ms": one["time_ms_min"].combine_chunks(),
            "categories": catalogue["categories"].combine_chunks().take(pa.array(known)),
            "price": pc.divide(one["paid_sum"], one["quantity_sum"]).combine_chunks(),
        },
    )


def _users(rows: pa.Table) -> pa.Table:
    one = rows.group_by("user_id", use_threads=False).aggregate([("country", "first"), ("time_ms", "min")])
    return data_set.table(
        data_set.USERS,
        {
            "user_id": one["user_id"].combine_chunks(),
            "attributes": data_set.attributes([{"country": c} for c in one["country_first"].to_pylist()]),
            "event_time_ms": one["time_ms_min"].combine_chunks(),
        },
    )


def _catalogue(rows: pa.Table) -> pa.Table:
    """An item's content at its first sale, and again at a month's start where what is known of it had changed.

    Text and price are the most frequent ones so far.
    """
    times = rows["time_ms"].to_numpy()
    firsts = rows.group_by("item_id", use_threads=False).aggregate(
        [("text", "first"), ("price", "first"), ("time_ms", "min")]
    )
    known: dict[str, tuple[str, float]] = {}
    first_ms: dict[str, int] = {}
    records: list[tuple[str, str, float, int]] = []
    for item, text, price, time in zip(*(firsts[c].to_pylist() for c in firsts.column_names), strict=True):
        known[item], first_ms[item] = (text, price), time
        records.append((item, text, price, time))
    for month_ms in _month_starts(times):
        so_far = rows.slice(0, int(np.searchsorted(times, month_ms)))
        texts, prices = _most_frequent(so_far, "text"), _most_frequent(so_far, "price")
        for item, text in texts.items():
            if known[item] != (text, prices[item]):
                known[item] = (text, prices[item])
                records.append((item, text, prices[item], month_ms))
    return data_set.table(
        data_set.CATALOGUE,
        {
            "item_id": [r[0] for r in records],
            "title": [r[1] for r in records],
            "text": [""] * len(records),
            "categories": [[head_noun(r[1])] for r in records],
            "price": [r[2] for r in records],
            "available_from_ms": [first_ms[r[0]] for r in records],
            "attributes": data_set.attributes([{}] * len(records)),
            "event_time_ms": [r[3] for r in records],
        },
    )


def _month_starts(times: npt.NDArray[np.int64]) -> list[int]:
    """Each month's first instant that lies within the data, in milliseconds."""
    months = np.unique(times.astype("datetime64[ms]").astype("datetime64[M]"))
    return [int(m) for m in months[1:].astype("datetime64[ms]").astype(np.int64)]


def _most_frequent(rows: pa.Table, column: str) -> dict[str, Any]:
    """Each item's most frequent value of a column; of equally frequent ones the first in order."""
    counts = rows.group_by(["item_id", column], use_threads=False).aggregate([([], "count_all")])
    order = pc.sort_indices(counts, [("count_all", "ascending"), (column, "descending")])
    best = counts.take(order)
    return dict(zip(best["item_id"].to_pylist(), best[column].to_pylist(), strict=True))
