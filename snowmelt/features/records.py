"""Rows -> the records that a section takes of them, not yet reduced: one place for folds and for the as-of form."""

from collections.abc import Sequence

import numpy as np

from snowmelt.features.columns import CONTENT, keys, numeric
from snowmelt.features.kinds import last, newest, register
from snowmelt.features.ragged import I64, Array
from snowmelt.features.rows import Rows
from snowmelt.features.sections import Section


def of_rows(section: Section, rows: Rows, event_types: Sequence[str]) -> tuple[I64, tuple[Array, ...]]:
    """The row (int64[m]) and the columns, as the section's kind has them, of each record."""
    if section.measure == "key":
        return _keyed(section, rows)
    if section.column == CONTENT:
        payloads = np.full(len(rows), None) if rows.payloads is None else rows.payloads
        found = np.flatnonzero([p is not None for p in payloads])
        return found, (rows.times_ms[found], rows.offsets[found], payloads[found])
    numbers = numeric(section.column, rows, event_types)
    found = np.flatnonzero(~np.isnan(numbers))
    values = np.ones(len(found)) if section.measure == "one" else numbers[found]
    times = rows.times_ms[found]
    if section.kind == "tiles":
        return found, (times // section.hop_ms if section.hop_ms else np.zeros(len(found), np.int64), values)
    if section.kind == "decayed":
        return found, (np.zeros(len(found), np.uint64), times, values)
    return found, (times, rows.offsets[found], last.boxed_numbers(values))


def _keyed(section: Section, rows: Rows) -> tuple[I64, tuple[Array, ...]]:
    row, key = keys(section.column, rows)
    times = rows.times_ms[row]
    if section.kind == "decayed":
        return row, (key, times, np.ones(len(row)))
    if section.kind == "newest":
        return row, (newest.heads(times, rows.types[row]), key)
    # Type codes are their own keys elsewhere; a sketch needs them spread over its registers.
    return row, (register.places(_spread(key) if section.column == "type" else key), times.astype(np.float64))


def _spread(keys: Array) -> Array:
    mixed: Array = keys + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        mixed = (mixed ^ (mixed >> np.uint64(shift))) * np.uint64(factor)
    mixed ^= mixed >> np.uint64(31)
    return mixed
