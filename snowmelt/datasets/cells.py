"""Columns of a file's rows as text, numbers and instants; an error names file and row.

Rows are counted from 1, the header of a CSV file not counted.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.datasets.rules import MAX_TIME_MS, MIN_TIME_MS, shown
from snowmelt.training.errors import BadDataError

INSTANTS = (pa.timestamp("us", "UTC"), pa.timestamp("us"), pa.timestamp("ns", "UTC"), pa.timestamp("ns"))
MAX_DIGITS = 18
"""Of whole milliseconds: any 18 digits fit into 64 bits, and lie far behind the year 2100."""
IN_RANGE = "expected an instant from 1971 to 2100; numbers are milliseconds since 1970"


def strings(rows: pa.Table, column: str, path: Path) -> pa.ChunkedArray:
    """A column as strings; whole numbers are written without a point, null stays null, and NaN becomes it.

    Raises:
        BadDataError: the column holds lists, maps or the like.
    """
    values = rows[column]
    if pa.types.is_floating(values.type):
        values = _plain(values)
    try:
        return pc.cast(values, pa.string())
    except pa.ArrowException:
        raise BadDataError(f"{path}: column {column} is {values.type}, expected text") from None


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Floats as they are written by hand: whole ones as whole numbers; NaN is how some writers say null."""
    values = pc.if_else(pc.is_nan(values), None, values)
    whole = pc.cast(values, pa.int64(), safe=False)
    if pc.all(pc.equal(pc.cast(whole, pa.float64(), safe=False), values)).as_py() is not False:
        return whole
    texts = (None if v is None else str(int(v)) if v.is_integer() else repr(v) for v in values.to_pylist())
    return pa.chunked_array([pa.array(texts, pa.string())])


def floats(rows: pa.Table, column: str, path: Path) -> pa.ChunkedArray:
    """A column as float64; null stays null.

    Raises:
        BadDataError: a value is no finite number; names the first row.
    """
    raw = rows[column]
    if pa.types.is_string(raw.type) or pa.types.is_large_string(raw.type):
        raw = pc.utf8_trim_whitespace(raw)
    try:
        values = pc.cast(raw, pa.float64())
    except pa.ArrowException:
        row = first_bad(raw, _is_number)
        raise BadDataError(f"{path}: row {row}: {column} is {_shown(raw[row - 1])}, expected a number") from None
    refuse(path, pc.invert(pc.is_finite(values)), values, column, "expected a finite number")
    return values


def times_ms(
    rows: pa.Table, column: str, path: Path, formats: Sequence[str] = (), *, optional: bool = False
) -> pa.ChunkedArray:
    """A column of instants as int64 milliseconds since 1970 UTC: timestamps, ISO-8601 text, or whole milliseconds.

    Text without an offset is taken as UTC; ``formats`` are tried before ISO-8601; null stays null where ``optional``.

    Raises:
        BadDataError: a value is null, no instant, or outside of 1971 to 2100; names the first row.
    """
    raw = rows[column]
    if pa.types.is_timestamp(raw.type) or pa.types.is_date(raw.type):
        values = pc.cast(pc.cast(raw, pa.timestamp("ms"), safe=False), pa.int64())
    elif pa.types.is_integer(raw.type):
        values = pc.cast(raw, pa.int64(), safe=False)  # what does not fit turns negative, and is refused below
    else:
        values = _parse_times(strings(rows, column, path), column, path, formats)
    if not optional:
        refuse(path, pc.is_null(values), raw, column, "expected an instant")
    outside = pc.or_(pc.less(values, MIN_TIME_MS), pc.greater(values, MAX_TIME_MS))
    refuse(path, outside, raw, column, IN_RANGE)
    return values


def _parse_times(text: pa.ChunkedArray, column: str, path: Path, formats: Sequence[str]) -> pa.ChunkedArray:
    given = text.drop_null()
    if not len(given) or given[0].as_py().isdecimal():
        numeric = pc.fill_null(pc.match_substring_regex(text, r"^[0-9]+$"), True)
        refuse(path, pc.invert(numeric), text, column, "expected milliseconds since 1970 as in the rows before it")
        refuse(path, pc.greater(pc.binary_length(text), MAX_DIGITS), text, column, IN_RANGE)
        return pc.cast(text, pa.int64())
    for form in formats:
        parsed = pc.strptime(text, format=form, unit="ms", error_is_null=True)
        if parsed.null_count == text.null_count:
            return pc.cast(parsed, pa.int64())
    for kind in INSTANTS:
        try:
            return pc.cast(pc.cast(pc.cast(text, kind), pa.timestamp("ms"), safe=False), pa.int64())
        except pa.ArrowException:
            continue
    first = _zone(given[0])
    row = first_bad(text, lambda value: first is not None and _zone(value) == first)
    raise BadDataError(
        f"{path}: row {row}: {column} is {shown(text[row - 1].as_py())}, expected ISO-8601 (all with an offset or "
        "all without) or milliseconds since 1970"
    )


def refuse(path: Path, bad: pa.ChunkedArray, values: pa.ChunkedArray, column: str, expected: str) -> None:
    """Raises BadDataError for the first row where ``bad`` is true."""
    row = pc.index(bad, True).as_py() + 1
    if row:
        raise BadDataError(f"{path}: row {row}: {column} is {_shown(values[row - 1])}, {expected}")


def _shown(value: pa.Scalar) -> str:
    try:
        return shown(value.as_py())
    except (OverflowError, ValueError):  # an instant behind Python's year 9999
        return shown(value.cast(pa.int64()).as_py())


def first_bad(values: pa.ChunkedArray, good: Callable[[pa.Scalar], bool]) -> int:
    """The first row whose value does not fit, from 1; 1 where each by itself fits."""
    return next((row for row, value in enumerate(values, start=1) if value.is_valid and not good(value)), 1)


def _is_number(value: pa.Scalar) -> bool:
    try:
        float(value.as_py())
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _zone(value: pa.Scalar) -> str | None:
    """Whether a text that can be read as an instant has an offset: "UTC", else ""; None where it cannot be."""
    for kind in INSTANTS:
        try:
            value.cast(kind)
        except pa.ArrowException:
            continue
        return kind.tz or ""
    return None
