"""Reads parquet, CSV and JSON lines as Arrow tables, and columns out of them; an error names file and row.

Rows are counted from 1, the header of a CSV file not counted.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq

from snowmelt.datasets.data_set import MAX_TIME_MS, MIN_TIME_MS
from snowmelt.training.errors import BadDataError

SUFFIXES = (".parquet", ".csv", ".jsonl")


def read_table(path: Path, required: Sequence[str]) -> pa.Table:
    """A file's rows: parquet as it is typed, CSV as strings, JSON lines as Arrow infers them.

    Raises:
        BadDataError: the file is absent, truncated or empty, is none of the three kinds, or lacks a required column.
    """
    readers = {".parquet": pq.read_table, ".csv": _read_csv, ".jsonl": _read_jsonl}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadDataError(f"{path}: not one of {', '.join(SUFFIXES)}")
    try:
        rows = reader(path)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise BadDataError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from error
    missing = [column for column in required if column not in rows.column_names]
    if missing:
        raise BadDataError(f"{path}: column {', '.join(missing)} is missing; it has {', '.join(rows.column_names)}")
    if not len(rows):
        raise BadDataError(f"{path}: the file holds no rows")
    return rows


def _read_csv(path: Path) -> pa.Table:
    with path.open("rb") as file:
        head = file.readline().decode("utf-8-sig", errors="replace").strip("\r\n")
    names = [name.strip().strip('"') for name in head.split(",")]
    as_strings = pv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    parse = pv.ParseOptions(newlines_in_values=True)
    try:
        return pv.read_csv(path, parse_options=parse, convert_options=as_strings)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise
        latin = pv.ReadOptions(encoding="latin-1")
        return pv.read_csv(path, read_options=latin, parse_options=parse, convert_options=as_strings)


def _read_jsonl(path: Path) -> pa.Table:
    records = []
    with path.open(encoding="utf-8") as lines:
        for row, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except ValueError as error:
                raise BadDataError(f"{path}: row {row}: not valid JSON ({error})") from None
            if not isinstance(record, dict):
                raise BadDataError(f"{path}: row {row}: not a JSON object")
            records.append(record)
    columns = dict.fromkeys(name for record in records for name in record)
    arrays = {}
    for name in columns:
        values = [record.get(name) for record in records]
        try:
            arrays[name] = pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError):
            arrays[name] = pa.array([None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values])
    return pa.table(arrays)


def strings(rows: pa.Table, column: str, path: Path) -> pa.ChunkedArray:
    """A column as strings; whole numbers are written without a point, null stays null.

    Raises:
        BadDataError: the column holds lists, maps or the like.
    """
    values = rows[column]
    if pa.types.is_floating(values.type):
        whole = pc.cast(values, pa.int64(), safe=False)
        if pc.all(pc.equal(pc.cast(whole, pa.float64()), values)).as_py() is not False:
            values = whole
    try:
        return pc.cast(values, pa.string())
    except pa.ArrowException:
        raise BadDataError(f"{path}: column {column} is {values.type}, expected text") from None


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
        row = _first_bad(raw, _is_number)
        raise BadDataError(f"{path}: row {row}: {column} is {raw[row - 1].as_py()!r}, expected a number") from None
    refuse(path, pc.invert(pc.is_finite(values)), values, column, "expected a finite number")
    return values


def times_ms(rows: pa.Table, column: str, path: Path, formats: Sequence[str] = ()) -> pa.ChunkedArray:
    """A column of instants as int64 milliseconds since 1970 UTC: timestamps, ISO-8601 text, or whole milliseconds.

    Text without an offset is taken as UTC; ``formats`` are tried before ISO-8601.

    Raises:
        BadDataError: a value is null, no instant, or outside of 1971 to 2100; names the first row.
    """
    raw = rows[column]
    if pa.types.is_timestamp(raw.type) or pa.types.is_date(raw.type):
        values = pc.cast(pc.cast(raw, pa.timestamp("ms"), safe=False), pa.int64())
    elif pa.types.is_integer(raw.type):
        values = pc.cast(raw, pa.int64())
    else:
        values = _parse_times(strings(rows, column, path), column, path, formats)
    refuse(path, pc.is_null(values), raw, column, "expected an instant")
    outside = pc.or_(pc.less(values, MIN_TIME_MS), pc.greater(values, MAX_TIME_MS))
    refuse(path, outside, raw, column, "expected an instant from 1971 to 2100; numbers are milliseconds since 1970")
    return values


def _parse_times(text: pa.ChunkedArray, column: str, path: Path, formats: Sequence[str]) -> pa.ChunkedArray:
    if pc.all(pc.match_substring_regex(pc.fill_null(text, "0"), r"^\d+$")).as_py():
        return pc.cast(text, pa.int64())
    for form in formats:
        parsed = pc.strptime(text, format=form, unit="ms", error_is_null=True)
        if parsed.null_count == text.null_count:
            return pc.cast(parsed, pa.int64())
    for kind in (pa.timestamp("ms", "UTC"), pa.timestamp("ms")):
        try:
            return pc.cast(pc.cast(text, kind), pa.int64())
        except pa.ArrowException:
            continue
    row = _first_bad(text, _is_instant)
    raise BadDataError(
        f"{path}: row {row}: {column} is {text[row - 1].as_py()!r}, expected ISO-8601 (all with an offset or "
        "all without) or milliseconds since 1970"
    )


def refuse(path: Path, bad: pa.ChunkedArray, values: pa.ChunkedArray, column: str, expected: str) -> None:
    """Raises BadDataError for the first row where ``bad`` is true."""
    row = pc.index(bad, True).as_py() + 1
    if row:
        raise BadDataError(f"{path}: row {row}: {column} is {values[row - 1].as_py()!r}, {expected}")


def _first_bad(values: pa.ChunkedArray, good: Callable[[pa.Scalar], bool]) -> int:
    """The first row whose value does not fit, from 1; 1 where each by itself fits."""
    return next((row for row, value in enumerate(values, start=1) if value.is_valid and not good(value)), 1)


def _is_number(value: pa.Scalar) -> bool:
    try:
        float(value.as_py())
    except (TypeError, ValueError):
        return False
    return True


def _is_instant(value: pa.Scalar) -> bool:
    for kind in (pa.timestamp("ms", "UTC"), pa.timestamp("ms")):
        try:
            value.cast(kind)
        except pa.ArrowException:
            continue
        return True
    return False
