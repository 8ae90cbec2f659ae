"""A small shop in Online Retail's columns with a planted pattern: users like one kind of thing, at about one price."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

KINDS = ("BASKET", "CANDLE", "KETTLE", "LANTERN", "MIRROR", "TEAPOT")
COLOURS = ("RED", "BLUE", "GREEN", "WHITE", "BLACK")
ITEMS, USERS, VISITS, EACH = 150, 60, 10, 3
START, END = (np.datetime64(day).astype("datetime64[m]").astype(int) for day in ("2011-05-01", "2011-12-01"))
"""In minutes; the protocol's test months are the last three."""


def write(path: Path) -> Path:
    """The invoices as a parquet file."""
    rng = np.random.default_rng(11)
    kinds, levels = np.arange(ITEMS) % len(KINDS), rng.uniform(0, 3, ITEMS)
    appeal = rng.lognormal(0, 0.5, ITEMS)
    rows = []
    for user in range(USERS):
        near = np.exp(-2 * np.abs(levels - rng.uniform(0, 3)))
        weights = appeal * near * np.where(kinds == user % len(KINDS), 1, 0.01)
        for visit, minute in enumerate(rng.integers(START, END, VISITS).tolist()):
            for item in rng.choice(ITEMS, size=EACH, replace=False, p=weights / weights.sum()).tolist():
                text = f"{COLOURS[item % len(COLOURS)]} {KINDS[kinds[item]]}"
                price = round(float(np.exp(levels[item])), 2)
                rows.append((f"{user:03}{visit:02}", f"{10_000 + item}", text, 1, minute * 60_000, price, 1.0 + user))
    names = ("InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID")
    columns = dict(zip(names, map(pa.array, zip(*rows, strict=True)), strict=True))
    columns["InvoiceDate"] = columns["InvoiceDate"].cast(pa.timestamp("ms"))
    pq.write_table(pa.table(columns | {"Country": pa.array(["Nowhere"] * len(rows))}), path)
    return path
