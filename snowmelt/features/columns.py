"""What an aggregation may name as its column, and what a row gives for it."""

import difflib
from collections.abc import Iterable, Sequence

import numpy as np

from snowmelt.contracts.errors import Reason, SnowmeltError
from snowmelt.contracts.ids import word_keys
from snowmelt.contracts.topics import IMPRESSION_TYPE
from snowmelt.features.ragged import F64, I64, U64
from snowmelt.features.rows import WITHDRAWAL, Rows

NUMBERS = ("value", "price", "event_time")
"""Numeric columns; "<type>.value" and "<type>.price" are those of the type's rows."""
KEYS = ("item_id", "user_id", "category", "type")
"""Columns that are keys; "category" gives a row as many as it has."""
INTERACTION = "interaction"
"""1 for a row of any event type but impression."""
CONTENT = "content"
"""The raw bytes of a catalogue change."""


def flags(event_types: Sequence[str]) -> tuple[str, ...]:
    """Columns that are 1 where a row is of the type."""
    return (*event_types, INTERACTION)


def numbers(event_types: Sequence[str]) -> tuple[str, ...]:
    """Columns that give a number."""
    return (*NUMBERS, *(f"{t}.{n}" for t in event_types for n in ("value", "price")))


def numeric(column: str, rows: Rows, event_types: Sequence[str]) -> F64:
    """float64[n]: the column's number of each row, NaN where it is absent; a type's name gives 1."""
    if column == "value":
        return rows.values
    if column == "price":
        return rows.prices
    if column == "event_time":
        return np.where(rows.types == WITHDRAWAL, np.nan, rows.times_ms)
    kind, _, number = column.partition(".")
    if kind == INTERACTION:
        hit = (rows.types >= 0) & (rows.types != event_types.index(IMPRESSION_TYPE))
    else:
        hit = rows.types == event_types.index(kind)
    return np.where(hit, numeric(number, rows, event_types) if number else 1.0, np.nan)


def keys(column: str, rows: Rows) -> tuple[I64, U64]:
    """Row int64[m] and key uint64[m] of each key that the rows have; type codes are their own keys."""
    every = np.arange(len(rows))
    if column == "item_id":
        return every, rows.item_keys
    if column == "type":
        typed = np.flatnonzero(rows.types >= 0)
        return typed, rows.types[typed].astype(np.uint64)
    if column == "user_id":
        known = np.flatnonzero(~rows.user_words.equal(""))
        return known, rows.user_words.take(known).keyed(word_keys)
    words = word_keys(rows.category_values)
    return rows.category_cells.cells, words[rows.category_cells.columns[0]]


def check(column: str, allowed: Iterable[str], where: str) -> None:
    """Refuses a column that is not allowed.

    Raises:
        SnowmeltError: INVALID_FIELD, with the nearest name.
    """
    refuse_unknown(column, allowed, f"{where}: column")


def refuse_unknown(name: str, allowed: Iterable[str], what: str) -> None:
    """Refuses a name that is not among ``allowed``.

    Raises:
        SnowmeltError: INVALID_FIELD, with the nearest name.
    """
    names = list(dict.fromkeys(allowed))
    if name not in names:
        near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
        hint = f"; did you mean {near[0]!r}?" if near else f"; it must be one of {', '.join(names)}"
        raise SnowmeltError(Reason.INVALID_FIELD, f"{what} {name!r} is not known{hint}", field=name)
