"""Reads JSON lines as Arrow tables: a value is what its JSON says, and a column of one kind."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa

from snowmelt.datasets.rules import shown
from snowmelt.training.errors import BadDataError


def read_jsonl(path: Path) -> pa.Table:
    """The objects of a file, one a line, as rows; empty lines are passed over.

    Raises:
        BadDataError: a line is no JSON object, or a column holds lists in some rows and none in others.
        UnicodeDecodeError: the file is not UTF-8.
    """
    records: list[dict[str, Any]] = []
    with path.open(encoding="utf-8-sig") as lines:
        for line in lines:
            if line.strip():
                records.append(_record(line, path, len(records) + 1))
    names = dict.fromkeys(name for record in records for name in record)
    try:
        return pa.table({name: _column(name, [record.get(name) for record in records], path) for name in names})
    except UnicodeEncodeError:
        row = next(row for row, record in enumerate(records, start=1) if not _is_unicode(record))
        raise BadDataError(f"{path}: row {row}: half of a surrogate pair is no text") from None


def _record(line: str, path: Path, row: int) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadDataError(f"{path}: row {row}: not valid JSON ({error})") from None
    if not isinstance(record, dict):
        raise BadDataError(f"{path}: row {row}: not a JSON object")
    return record


def _column(name: str, values: list[Any], path: Path) -> pa.Array:
    """Values as Arrow infers their type; as text, or lists of text, where they are of several."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    listed = isinstance(next(value for value in values if value is not None), list)
    for row, value in enumerate(values, start=1):
        if value is not None and (isinstance(value, list) != listed or not _is_flat(value)):
            expected = "a list of texts" if listed else "text or a number"
            before = " as in the rows before" if row > 1 else ""
            raise BadDataError(f"{path}: row {row}: {name} is {shown(value)}, expected {expected}{before}")
    return pa.array([None if v is None else [_text(word) for word in v] if listed else _text(v) for v in values])


def _is_flat(value: object) -> bool:
    return not isinstance(value, dict) and not any(isinstance(word, (list, dict)) for word in _words(value))


def _words(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    """As text; NaN, which is how some writers say null, is none."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value) if value == value else None  # noqa: PLR0124 - NaN alone differs from itself


def _is_unicode(record: object) -> bool:
    try:
        json.dumps(record, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True
