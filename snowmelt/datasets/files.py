"""Reads parquet, CSV and JSON lines as Arrow tables; an error names file and row.

Rows are counted from 1, the header of a CSV file not counted.
"""

import codecs
import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq

from snowmelt.datasets.cells import first_bad
from snowmelt.datasets.jsonl import read_jsonl
from snowmelt.training.errors import BadDataError

SUFFIXES = (".parquet", ".csv", ".jsonl")
UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
CSV_FIELD_MAX = 1 << 28


def read_table(path: Path, required: Sequence[str]) -> pa.Table:
    """A file's rows: parquet as it is typed, CSV as strings, JSON lines as Arrow infers them.

    Raises:
        BadDataError: the file is absent, truncated or empty, is none of the three kinds, or lacks a required column.
    """
    readers = {".parquet": pq.read_table, ".csv": _read_csv, ".jsonl": read_jsonl}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadDataError(f"{path}: not one of {', '.join(SUFFIXES)}")
    try:
        _refuse_utf16(path)
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


def _refuse_utf16(path: Path) -> None:
    with path.open("rb") as file:
        if path.suffix.lower() != ".parquet" and file.read(2) in UTF_16:
            raise BadDataError(f"{path}: the file is UTF-16; save it as UTF-8")


def _readable(values: pa.ChunkedArray, column: str, path: Path) -> None:
    """Refuses text that is no UTF-8: parquet files may hold some."""
    try:
        values.validate(full=True)
    except pa.ArrowInvalid:
        row = first_bad(values, _is_readable)
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
        _refuse_open_quotes(path, "utf-8-sig")
    except UnicodeDecodeError:
        _refuse_open_quotes(path, "latin-1")
        return _parse_csv(path, "latin-1")
    return _parse_csv(path, "utf-8-sig")


def _refuse_open_quotes(path: Path, encoding: str) -> None:
    """Refuses a quote that is not closed, or closed within a value: all up to the next one would be one value.

    Raises:
        UnicodeDecodeError: the file is of another encoding.
    """
    csv.field_size_limit(CSV_FIELD_MAX)
    row = 0
    with path.open(encoding=encoding, newline="") as file:
        records = csv.reader(file, strict=True)
        try:
            for record in records:
                row += bool(record)
        except csv.Error:
            where = f"row {row}" if row else "the header"
            raise BadDataError(f'{path}: {where}: a value begins with " and does not end with one') from None


def _parse_csv(path: Path, encoding: str) -> pa.Table:
    with path.open("rb") as file:
        head = file.readline().decode(encoding).strip("\r\n")
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
        read = pv.ReadOptions(encoding="utf8" if encoding == "utf-8-sig" else encoding, use_threads=threads)
        try:
            return pv.read_csv(path, read_options=read, parse_options=parse, convert_options=as_strings)
        except pa.ArrowInvalid:
            if not ragged:
                raise
    bad = ragged[-1]
    raise BadDataError(f"{path}: row {bad.number - 1}: {bad.actual_columns} values, expected {bad.expected_columns}")


def _is_readable(value: pa.Scalar) -> bool:
    try:
        value.as_py()
    except UnicodeDecodeError:
        return False
    return True
