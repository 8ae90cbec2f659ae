"""What every data set becomes: three Arrow tables with the columns of the protos, and where they came from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.training.errors import BadDataError

Progress = Callable[[str, int, int], None]
"""Called with the name of a stage, how much of it is done, and how much there is."""

_ATTRIBUTES = pa.map_(pa.string(), pa.string())
_CATEGORIES = pa.list_(pa.string())

CATALOGUE = pa.schema(
    [
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("title", pa.string(), nullable=False),
        pa.field("text", pa.string(), nullable=False),
        pa.field("categories", _CATEGORIES, nullable=False),
        pa.field("price", pa.float64()),
        pa.field("available_from_ms", pa.int64()),
        pa.field("attributes", _ATTRIBUTES, nullable=False),
        pa.field("event_time_ms", pa.int64(), nullable=False),
    ]
)
USERS = pa.schema(
    [
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("attributes", _ATTRIBUTES, nullable=False),
        pa.field("event_time_ms", pa.int64(), nullable=False),
    ]
)
EVENTS = pa.schema(
    [
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("user_id", pa.string(), nullable=False),
        pa.field("session_id", pa.string(), nullable=False),
        pa.field("item_id", pa.string(), nullable=False),
        pa.field("type", pa.string(), nullable=False),
        pa.field("value", pa.float64()),
        pa.field("event_time_ms", pa.int64(), nullable=False),
        pa.field("categories", _CATEGORIES, nullable=False),
        pa.field("price", pa.float64()),
    ]
)


def silent(stage: str, done: int, total: int) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True)
class DataSet:
    """A catalogue, users and events.

    Attributes:
        name: how the data set is called.
        source: where it came from, for people.
        terms: under which terms it may be used.
        catalogue: schema CATALOGUE, in time order; an item comes again where its content changed.
        users: schema USERS, one row a user.
        events: schema EVENTS, in time order; user_id or session_id is empty.
        end_ms: the instant at which the data ends, later than every record.
        simulated: whether nobody real is behind it.
        notes: what a person who brings the data should know, one sentence each.
        first_rows: file and row in which each event type occurs first.
    """

    name: str
    source: str
    terms: str
    catalogue: pa.Table
    users: pa.Table
    events: pa.Table
    end_ms: int
    simulated: bool = False
    notes: tuple[str, ...] = ()
    first_rows: Mapping[str, str] = field(default_factory=dict)


def attributes(pairs: list[dict[str, str]]) -> pa.Array:
    """A column of attribute maps."""
    return pa.array([list(p.items()) for p in pairs], _ATTRIBUTES)


def known_at(catalogue: pa.Table, items: pa.Array, times_ms: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """int64[n]: the catalogue's row that held for an item at a time, the item's first one before that; -1: unknown."""
    ids = pc.unique(catalogue["item_id"])
    of_record = pc.index_in(catalogue["item_id"], ids).to_numpy().astype(np.int64)
    of_query = pc.fill_null(pc.index_in(items, ids), -1).to_numpy().astype(np.int64)
    order = np.lexsort((catalogue["event_time_ms"].to_numpy(), of_record))
    stride = np.int64(1) << 43
    heads = (of_record * stride + catalogue["event_time_ms"].to_numpy())[order]
    first = np.searchsorted(heads, of_query * stride)
    place = np.maximum(np.searchsorted(heads, of_query * stride + times_ms, side="right") - 1, first)
    found: npt.NDArray[np.int64] = order[np.minimum(place, len(order) - 1)]
    found[of_query < 0] = -1
    return found


def category_lists(of_item: dict[str, list[str]], items: list[str]) -> pa.Array:
    """list<string>[n]: each row's categories through its item; an unknown item has none."""
    return pa.array([of_item.get(item, []) for item in items], _CATEGORIES)


def rows(schema: pa.Schema, columns: dict[str, object]) -> pa.Table:
    """A table of one of the schemas here, in the order that is given."""
    return pa.Table.from_arrays([pa.array(columns[f.name], f.type) for f in schema], schema=schema)


def table(schema: pa.Schema, columns: dict[str, object]) -> pa.Table:
    """A table of one of the schemas here, in time order."""
    return in_time_order(rows(schema, columns))


def in_time_order(made: pa.Table) -> pa.Table:
    """The table in time order; rows of one instant keep theirs."""
    order: npt.NDArray[np.int64] = np.argsort(made["event_time_ms"].to_numpy(), kind="stable")
    if np.array_equal(order, np.arange(len(order))):
        return made
    return made.take(pa.array(order))


def from_tables(
    name: str,
    source: str,
    terms: str,
    tables: tuple[pa.Table, pa.Table, pa.Table],
    *,
    simulated: bool = False,
    notes: tuple[str, ...] = (),
    first_rows: Mapping[str, str] | None = None,
) -> DataSet:
    """A data set of catalogue, users and events; its end is the first whole second after the last record.

    Raises:
        BadDataError: there is no item or no event.
    """
    catalogue, users, events = tables
    for what, held in (("catalogue", catalogue), ("events", events)):
        if not len(held):
            raise BadDataError(f"{name}: the {what} holds no rows")
    last = max(int(t["event_time_ms"].to_numpy().max()) for t in tables if len(t))
    end_ms = (last // 1000 + 1) * 1000
    return DataSet(name, source, terms, catalogue, users, events, end_ms, simulated, notes, first_rows or {})
