"""Reads parquet, CSV and JSON lines as Arrow tables, and columns out of them; an error names file and row.

Rows are counted from 1, the header of a CSV file not counted.
"""

import codecs
import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pv
import pyarrow.parquet as pq

from snowmelt.datasets.rules import MAX_TIME_MS, MIN_TIME_MS, shown
from snowmelt.training.errors import BadDataError

SUFFIXES = (".parquet", ".csv", ".jsonl")
INSTANTS = (pa.timestamp("us", "UTC"), pa.timestamp("us"))
MAX_DIGITS = 18
"""Of whole milliseconds: any 18 digits fit into 64 bits, and lie far behind the year 2100."""
IN_RANGE = "expected an instant from 1971 to 2100; numbers are milliseconds since 1970"


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
    twice = [column for column in dict.fromkeys(rows.column_names) if rows.column_names.count(column) > 1]
    if twice:
        raise BadDataError(f"{path}: column {', '.join(twice)} is there more than once")
    if not len(rows):
        raise BadDataError(f"{path}: the file holds no rows")
    for name, values in zip(rows.column_names, rows.columns, strict=True):
        _readable(values, name, path)
    return rows


def _readable(values: pa.ChunkedArray, column: str, path: Path) -> None:
    """Refuses text that is no UTF-8: parquet files may hold some."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        row = _first_bad(values, _is_readable)
        raise BadDataError(f"{path}: row {row}: {column} cannot be read as {values.type}, which is UTF-8") from None


def notes(paths: Iterable[Path | None]) -> tuple[str, ...]:
    """What to say of CSV files that are no UTF-8: they may be meant as Latin-1, and nothing in them tells."""
    found = [path for path in paths if path is not None and path.suffix.lower() == ".csv" and not _is_utf8(path)]
    return tuple(f"{path.name} is not UTF-8 and was read as Latin-1; convert it if names look wrong" for path in found)


def _is_utf8(path: Path) -> bool:
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as file:
        try:
            while part := file.read(1 << 20):
                decoder.decode(part)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _read_csv(path: Path) -> pa.Table:
    try:
        return _parse_csv(path, "utf8")
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise
    return _parse_csv(path, "latin-1")


def _parse_csv(path: Path, encoding: str) -> pa.Table:
    with path.open("rb") as file:
        head = file.readline().decode("utf-8-sig", errors="replace").strip("\r\n")
    names = [name.strip().strip('"') for name in head.split(",")]
    as_strings = pv.ConvertOptions(
        column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
    )
    ragged: list[pv.InvalidRow] = []

    def note(row: pv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    parse = pv.ParseOptions(newlines_in_values=True, invalid_row_handler=note)
    for threads in (True, False):  # one thread alone can say which row it was
        read = pv.ReadOptions(encoding=encoding, use_threads=threads)
        try:
            return pv.read_csv(path, read_options=read, parse_options=parse, convert_options=as_strings)
        except pa.ArrowInvalid:
            if not ragged:
                raise
    bad = ragged[-1]
    raise BadDataError(f"{path}: row {bad.number - 1}: {bad.actual_columns} values, expected {bad.expected_columns}")


def _read_jsonl(path: Path) -> pa.Table:
    records: list[dict[str, Any]] = []
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            if not line.strip():
                continue
            row = len(records) + 1
            try:
                record = json.loads(line)
            except ValueError as error:
                raise BadDataError(f"{path}: row {row}: not valid JSON ({error})") from None
            if not isinstance(record, dict):
                raise BadDataError(f"{path}: row {row}: not a JSON object")
            records.append(record)
    names = dict.fromkeys(name for record in records for name in record)
    try:
        return pa.table({name: _inferred([record.get(name) for record in records]) for name in names})
    except UnicodeEncodeError:
        row = next(row for row, record in enumerate(records, start=1) if not _is_unicode(record))
        raise BadDataError(f"{path}: row {row}: half of a surrogate pair is no text") from None


def _inferred(values: list[Any]) -> pa.Array:
    """Values as Arrow infers their type; as text where they are of several."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        return pa.array([None if v is None else v if isinstance(v, str) else json.dumps(v) for v in values])


def _is_unicode(record: object) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def strings(rows: pa.Table, column: str, path: Path) -> pa.ChunkedArray:
    """A column as strings; whole numbers are written without a point, null stays null.

    Raises:
        BadDataError: the column holds lists, maps or the like.
    """
    values = rows[column]
    if pa.types.is_floating(values.type):
        whole = pc.cast(values, pa.int64(), safe=False)
        if pc.all(pc.equal(pc.cast(whole, pa.float64(), safe=False), values)).as_py() is not False:
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
        raise BadDataError(f"{path}: row {row}: {column} is {_shown(raw[row - 1])}, expected a number") from None
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
        values = pc.cast(raw, pa.int64(), safe=False)  # what does not fit turns negative, and is refused below
    else:
        values = _parse_times(strings(rows, column, path), column, path, formats)
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
    first = _kind(given[0])
    row = _first_bad(text, lambda value: first is not None and _kind(value) == first)
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


def _first_bad(values: pa.ChunkedArray, good: Callable[[pa.Scalar], bool]) -> int:
    """The first row whose value does not fit, from 1; 1 where each by itself fits."""
    return next((row for row, value in enumerate(values, start=1) if value.is_valid and not good(value)), 1)


def _is_number(value: pa.Scalar) -> bool:
    try:
        float(value.as_py())
    except (TypeError, ValueError, OverflowError):
        return False
    return True


def _is_readable(value: pa.Scalar) -> bool:
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    return True


def _kind(value: pa.Scalar) -> pa.DataType | None:
    """As which of the kinds of instants a text can be read."""
    for kind in INSTANTS:
        try:
            value.cast(kind)
        except pa.ArrowException:
            continue
        return kind
    return None
