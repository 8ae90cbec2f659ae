"""Columns of a folder's files, as the fields of the messages that they become; ``rules`` holds them to the protos."""

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from snowmelt.datasets import cells, data_set, rules


def text(rows: pa.Table, column: str, path: Path) -> pa.Array:
    """string[n], empty where it is absent.

    Raises:
        BadDataError: the column holds lists, maps or the like.
    """
    if column not in rows.column_names:
        return pa.array([""] * len(rows))
    return pc.fill_null(cells.strings(rows, column, path), "").combine_chunks()


def numbers(rows: pa.Table, column: str, path: Path) -> pa.Array:
    """float64[n], null where absent.

    Raises:
        BadDataError: a value is no number; names the first row.
    """
    if column not in rows.column_names:
        return pa.nulls(len(rows), pa.float64())
    return cells.floats(rows, column, path).combine_chunks()


def categories(rows: pa.Table, path: Path) -> pa.Array:
    """list<string>[n]: a list, or text whose parts stand between ``|``, each once; empty where absent.

    Raises:
        BadDataError: the column holds maps or the like.
    """
    if "categories" not in rows.column_names:
        return pa.array([[]] * len(rows), pa.list_(pa.string()))
    raw = rows["categories"].combine_chunks()
    if not pa.types.is_list(raw.type) and not pa.types.is_large_list(raw.type):
        raw = pc.split_pattern(cells.strings(rows, "categories", path).combine_chunks(), "|")
    given = ([str(word).strip() for word in words or () if word is not None] for words in raw.to_pylist())
    cleaned = [list(dict.fromkeys(filter(None, words))) for words in given]
    return pa.array(cleaned, pa.list_(pa.string()))


def other(rows: pa.Table, known: Sequence[str], path: Path) -> pa.Array:
    """Every further column becomes an attribute, as text; what is null or empty is left out.

    Raises:
        BadDataError: the name of a column is no name of an attribute.
    """
    names = [name for name in rows.column_names if name not in known]
    rules.column_names(names, path)
    found = [text(rows, name, path).to_pylist() for name in names]
    pairs = [{n: v for n, v in zip(names, row, strict=True) if v} for row in zip(*found, strict=True)]
    return data_set.attributes(pairs or [{}] * len(rows))
