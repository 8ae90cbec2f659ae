"""Reads a table's files with pyarrow alone: deltalake's own reader for Arrow can abort a process at its end."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from deltalake import DeltaTable

from snowmelt.lake.schemas import TABLES

ORDER = ("incarnation", "partition", "offset")


def read(
    handle: DeltaTable, table: str, columns: Sequence[str] | None = None, filters: pc.Expression | None = None
) -> pa.Table:
    """The rows of the handle's version, ordered by incarnation, partition and offset.

    Args:
        handle: at the version to read.
        table: names the schema; columns that older files lack are null.
        columns: those to return; absent: all.
        filters: keeps the rows for which it is true; may name any column.
    """
    schema = TABLES[table]
    names = list(schema.names if columns is None else columns)
    files = _files(handle)
    if not files:
        return schema.empty_table().select(names)
    # Here, since pyarrow's dataset module imports pandas, which a process that only appends does without.
    import pyarrow.dataset as ds  # noqa: PLC0415

    extra = [name for name in ORDER if name not in names]
    found = ds.dataset(files, schema=schema, format="parquet").to_table(columns=names + extra, filter=filters)
    return found.take(_order(found)).select(names)


def batches(handle: DeltaTable, table: str, columns: Sequence[str], rows: int) -> Iterator[pa.Table]:
    """The rows of the handle's version in no order, about ``rows`` at a time; little more is held at once."""
    files = _files(handle)
    if not files:
        return
    import pyarrow.dataset as ds  # noqa: PLC0415 - as above

    found = ds.dataset(files, schema=TABLES[table], format="parquet")
    for batch in found.to_batches(columns=list(columns), batch_size=rows, batch_readahead=2, fragment_readahead=1):
        if len(batch):
            yield pa.Table.from_batches([batch])


def _order(rows: pa.Table) -> pa.Array:
    keys = pa.table(
        {
            "incarnation": rows["incarnation"].combine_chunks().dictionary_encode().indices,
            "partition": rows["partition"],
            "offset": rows["offset"],
        }
    )
    incarnations = rows["incarnation"].combine_chunks().dictionary_encode().dictionary
    rank = pc.rank(incarnations) if len(incarnations) else pa.array([], pa.uint64())
    keys = keys.set_column(0, "incarnation", rank.take(keys["incarnation"]))
    return pc.sort_indices(keys, sort_keys=[(name, "ascending") for name in ORDER])


def partitions(handle: DeltaTable) -> set[tuple[str, int]]:
    """Every (incarnation, partition) of which the version may hold rows, by the files' statistics where they tell."""
    found: set[tuple[str, int]] = set()
    actions = pa.table(handle.get_add_actions(flatten=True))
    if len(actions) == 0 or "min.partition" not in actions.column_names:
        return found
    columns = ("path", "min.incarnation", "max.incarnation", "min.partition", "max.partition")
    places = {Path(place).name: place for place in _files(handle)}
    for path, low, high, first, last in zip(*(actions[name].to_pylist() for name in columns), strict=True):
        found |= {(low, p) for p in range(first, last + 1)} if low == high else _held(places[Path(path).name])
    return found


@lru_cache(4096)
def _held(place: str) -> frozenset[tuple[str, int]]:
    """What a file of several lives of a topic holds, which its statistics do not tell; it never changes."""
    rows = pq.read_table(place, columns=["incarnation", "partition"])
    found = rows.group_by(["incarnation", "partition"]).aggregate([])
    return frozenset(zip(found["incarnation"].to_pylist(), found["partition"].to_pylist(), strict=True))


def _files(handle: DeltaTable) -> list[str]:
    """Where the version's files are, in the order of its log; deltalake writes them as parts of a URL."""
    return [unquote(uri) for uri in handle.file_uris()]
