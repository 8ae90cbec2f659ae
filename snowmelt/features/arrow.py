"""The lake's tables -> the columns of Rows, without an object a row but for the catalogue's bytes."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.contracts.ids import SESSION_MARK
from snowmelt.contracts.topics import CATALOG, EVENTS
from snowmelt.features.kinds.last import boxed
from snowmelt.features.ragged import F64, I64, Ragged, offsets_of
from snowmelt.features.wire import NO_TYPE, WITHDRAWAL, Types, shown, type_codes
from snowmelt.features.words import Words

EVENT_COLUMNS = (
    "tenant",
    "user_id",
    "session_id",
    "item_id",
    "type",
    "value",
    "event_time",
    "categories",
    "price",
    "offset",
)
IMPRESSION_COLUMNS = ("tenant", "as_of", "items", "offset")
CATALOG_COLUMNS = ("tenant", "item_id", "change", "categories", "price", "event_time", "offset", "payload")
UPSERT = "upsert"


def events(table: Any, views: Types) -> dict[str, Any]:
    """The columns of the table events."""
    types = Words.from_arrow(table["type"])
    cells, words = _lists(table["categories"])
    return {
        "topic": EVENTS,
        "tenant_words": Words.from_arrow(table["tenant"]),
        "user_words": Words.from_arrow(_entities(table)),
        "item_words": Words.from_arrow(table["item_id"]),
        "types": type_codes(types.values, views)[types.codes].astype(np.int16),
        "times_ms": _times(table["event_time"]),
        "values": _floats(table["value"]),
        "prices": _floats(table["price"]),
        "category_cells": cells,
        "category_values": words,
        "offsets": _ints(table["offset"]),
    }


def impressions(table: Any, views: Types) -> dict[str, Any]:
    """The columns of the table impressions, one row an item shown."""
    slates = table["items"].combine_chunks()
    ids = pc.struct_field(pc.list_flatten(slates), "item_id")
    return shown(
        pc.list_parent_indices(slates).to_numpy().astype(np.int64),
        tenants=Words.from_arrow(table["tenant"]),
        items=Words.from_arrow(ids),
        times_ms=_times(table["as_of"]),
        offsets=_ints(table["offset"]),
        views=views,
    )


def catalog(table: Any) -> dict[str, Any]:
    """The columns of the table catalog."""
    upsert = Words.from_arrow(table["change"]).equal(UPSERT)
    cells, words = _lists(table["categories"])
    return {
        "topic": CATALOG,
        "tenant_words": Words.from_arrow(table["tenant"]),
        "user_words": Words.repeat("", len(table)),
        "item_words": Words.from_arrow(table["item_id"]),
        "types": np.where(upsert, NO_TYPE, WITHDRAWAL).astype(np.int16),
        "times_ms": _times(table["event_time"]),
        "values": np.full(len(table), np.nan),
        "prices": _floats(table["price"]),
        "category_cells": cells,
        "category_values": words,
        "offsets": _ints(table["offset"]),
        "payloads": boxed(table["payload"].to_pylist()),
    }


def _entities(table: Any) -> Any:
    user, session = table["user_id"].fill_null(""), table["session_id"].fill_null("")
    return pc.if_else(pc.equal(user, ""), pc.binary_join_element_wise(SESSION_MARK, session, ""), user)


def _times(column: Any) -> I64:
    return _ints(column.cast(pa.timestamp("ms", column.type.tz), safe=False).cast(pa.int64()))


def _ints(column: Any) -> I64:
    numbers: I64 = column.to_numpy().astype(np.int64, copy=False)
    return numbers


def _floats(column: Any) -> F64:
    numbers: F64 = column.cast(pa.float64()).fill_null(np.nan).to_numpy()
    return numbers


def _lists(column: Any) -> tuple[Ragged, tuple[str, ...]]:
    lists = column.combine_chunks()
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    words = Words.from_arrow(pc.list_flatten(lists))
    return Ragged(offsets_of(lengths), (words.codes,)), words.values
