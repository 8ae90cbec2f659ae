"""Columns of a folder's files, held to the rules of the protos; an error names file and row."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.contracts.ids import ID, ID_RULE, MAX_ID_BYTES, OPTIONAL_ID
from snowmelt.datasets import data_set, files
from snowmelt.training.errors import BadDataError

MAX_CATEGORIES, MAX_CATEGORY_BYTES = 32, 64
MAX_ATTRIBUTES, MAX_ATTRIBUTE_BYTES = 64, 512


def ids(rows: pa.Table, column: str, path: Path, *, required: bool = True) -> pa.Array:
    """Ids as the protos have them; empty where absent and not required.

    Raises:
        BadDataError: an id does not fit; names the first row.
    """
    if column not in rows.column_names:
        if required:
            raise BadDataError(f"{path}: column {column} is missing")
        return pa.array([""] * len(rows))
    values = pc.fill_null(files.strings(rows, column, path), "").combine_chunks()
    fits = pc.match_substring_regex(values, ID if required else OPTIONAL_ID)
    bad = pc.or_(pc.greater(pc.binary_length(values), MAX_ID_BYTES), pc.invert(fits))
    files.refuse(path, bad, values, column, f"expected 1 to {MAX_ID_BYTES} bytes; it {ID_RULE}")
    return values


def text(rows: pa.Table, column: str, path: Path, max_bytes: int) -> pa.Array:
    """Text, empty where it is absent.

    Raises:
        BadDataError: a text is too long; names the first row.
    """
    if column not in rows.column_names:
        return pa.array([""] * len(rows))
    values = pc.fill_null(files.strings(rows, column, path), "").combine_chunks()
    too_long = pc.greater(pc.binary_length(values), max_bytes)
    files.refuse(path, too_long, pc.utf8_slice_codeunits(values, 0, 40), column, f"expected at most {max_bytes} bytes")
    return values


def numbers(rows: pa.Table, column: str, path: Path, low: float, high: float) -> pa.Array:
    """float64[n] from ``low`` to ``high``, null where absent.

    Raises:
        BadDataError: a value does not fit; names the first row.
    """
    if column not in rows.column_names:
        return pa.nulls(len(rows), pa.float64())
    values = files.floats(rows, column, path).combine_chunks()
    bad = pc.or_(pc.less(values, low), pc.greater(values, high))
    files.refuse(path, bad, values, column, f"expected {low:g} to {high:g}")
    return values


def categories(rows: pa.Table, path: Path) -> pa.Array:
    """list<string>[n]: a list, or text whose parts stand between ``|``; empty where absent.

    Raises:
        BadDataError: there are too many, or one is too long or holds control characters; names the first row.
    """
    if "categories" not in rows.column_names:
        return pa.array([[]] * len(rows), pa.list_(pa.string()))
    raw = rows["categories"].combine_chunks()
    if not pa.types.is_list(raw.type) and not pa.types.is_large_list(raw.type):
        raw = pc.split_pattern(files.strings(rows, "categories", path).combine_chunks(), "|")
    cleaned: list[list[str]] = []
    for row, words in enumerate(raw.to_pylist(), start=1):
        kept = list(dict.fromkeys(word for word in (str(w).strip() for w in words or ()) if word))
        wrong = [w for w in kept if len(w.encode()) > MAX_CATEGORY_BYTES or not w.isprintable()]
        if wrong or len(kept) > MAX_CATEGORIES:
            expected = f"at most {MAX_CATEGORIES} of 1 to {MAX_CATEGORY_BYTES} bytes without control characters"
            raise BadDataError(f"{path}: row {row}: categories are {words!r}, expected {expected}")
        cleaned.append(kept)
    return pa.array(cleaned, pa.list_(pa.string()))


def other(rows: pa.Table, known: Sequence[str], path: Path) -> pa.Array:
    """Every further column becomes an attribute, as text; what is null or empty is left out.

    Raises:
        BadDataError: there are more than 64 further columns, or a value is longer than 512 bytes.
    """
    names = [name for name in rows.column_names if name not in known]
    if len(names) > MAX_ATTRIBUTES:
        raise BadDataError(f"{path}: {len(names)} columns beside {', '.join(known)}; at most {MAX_ATTRIBUTES} are kept")
    found = [text(rows, name, path, MAX_ATTRIBUTE_BYTES).to_pylist() for name in names]
    pairs = [{n: v for n, v in zip(names, row, strict=True) if v} for row in zip(*found, strict=True)]
    return data_set.attributes(pairs or [{}] * len(rows))
