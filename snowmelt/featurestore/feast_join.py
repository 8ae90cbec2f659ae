"""The as-of join of ordinary batch views: one sort of the features, one binary search a row asked for."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Ints = npt.NDArray[np.int64]

_NANOSECONDS = pa.timestamp("ns", "UTC")
_NONE = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Versions:
    """What a batch view's source holds: one row a version of an entity's features.

    Attributes:
        table: any columns.
        keys: the columns that name the entity.
        event_time, created: timestamp columns; ``created`` decides between versions of one instant, None where absent.
    """

    table: pa.Table
    keys: tuple[str, ...]
    event_time: str
    created: str | None = None


def nanoseconds(column: pa.ChunkedArray) -> Ints:
    """int64[n]: nanoseconds since 1970 of timestamps; naive ones are read as UTC; the least int64 where null."""
    if pa.types.is_timestamp(column.type) and column.type.tz is None:
        column = pc.assume_timezone(column, "UTC")
    whole = column.cast(_NANOSECONDS).cast(pa.int64())
    filled: Ints = pc.fill_null(whole, _NONE).to_numpy().astype(np.int64, copy=False)
    return filled


def newest_rows(
    versions: Versions,
    entities: Sequence[pa.ChunkedArray],
    times: Ints,
    ttl_ns: int | None = None,
    known_at_the_time: bool = False,
) -> Ints:
    """int64[n]: for each (entity, time) the row of its newest version at or before the time; -1 where there is none.

    Args:
        versions: the candidates, in any order.
        entities: one column of n values for each of ``versions.keys``.
        times: int64[n], nanoseconds.
        ttl_ns: a version older than this at the time is none.
        known_at_the_time: leaves out versions created after the time.
    """
    codes, asked = _codes([versions.table.column(k) for k in versions.keys], entities)
    happened = nanoseconds(versions.table.column(versions.event_time))
    created = nanoseconds(versions.table.column(versions.created)) if versions.created else None
    order = _by_entity_and_time(codes, happened) if created is None else np.lexsort((created, happened, codes))
    happened, codes = happened[order], codes[order]
    bounds = np.searchsorted(codes, np.arange(int(max(codes.max(initial=-1), asked.max(initial=-1))) + 2))
    first = np.where(asked < 0, 0, bounds[asked])
    found = _last_at_or_before(happened, first, np.where(asked < 0, 0, bounds[asked + 1]), times)
    if known_at_the_time and created is not None:
        created = created[order]
        late = np.flatnonzero(found >= first)
        while late.size:
            late = late[created[found[late]] > times[late]]
            found[late] -= 1
            late = late[found[late] >= first[late]]
    missing = found < first
    found[missing] = 0
    if ttl_ns is not None and len(order):
        missing |= happened[found] + ttl_ns < times
    rows = order[found] if len(order) else found
    rows[missing] = -1
    return rows


def take_rows(table: pa.Table, columns: Sequence[str], rows: Ints) -> list[pa.ChunkedArray]:
    """The named columns at ``rows``; null where a row is -1."""
    indices = pa.array(rows, mask=rows < 0)
    return [table.column(name).take(indices) for name in columns]


def _by_entity_and_time(codes: Ints, happened: Ints) -> Ints:
    """The order of a sort by code, then time; one sort of one integer where both fit into it: four times as fast."""
    if len(codes) and not (happened % 1000).any():
        first = happened.min()
        span = int(happened.max() - first) // 1000 + 1
        if (int(codes.max()) + 1) * span < np.iinfo(np.int64).max:
            return np.argsort(codes * span + (happened - first) // 1000)
    return np.lexsort((happened, codes))


def _last_at_or_before(times: Ints, low: Ints, high: Ints, asked: Ints) -> Ints:
    """For each i the last place in ``times[low[i]:high[i]]`` (ascending) that is <= asked[i]; else low[i] - 1."""
    low, high = low.copy(), high.copy()
    open_rows = np.flatnonzero(low < high)
    while open_rows.size:
        middle = (low[open_rows] + high[open_rows]) >> 1
        before = times[middle] <= asked[open_rows]
        low[open_rows[before]] = middle[before] + 1
        high[open_rows[~before]] = middle[~before]
        open_rows = open_rows[low[open_rows] < high[open_rows]]
    return low - 1


def _codes(known: Sequence[pa.ChunkedArray], asked: Sequence[pa.ChunkedArray]) -> tuple[Ints, Ints]:
    """A dense number for each entity of ``known``, and the same numbers for ``asked``; -1 where unknown or null."""
    codes, others = _column_codes(known[0], asked[0])
    for column, other in zip(known[1:], asked[1:], strict=True):
        more, more_others = _column_codes(column, other)
        width = int(more.max(initial=0)) + 1
        pairs = codes * width + more
        distinct, codes = np.unique(pairs, return_inverse=True)
        wanted = np.where((others < 0) | (more_others < 0), -1, others * width + more_others)
        places = np.minimum(np.searchsorted(distinct, wanted), max(len(distinct) - 1, 0))
        others = np.where(distinct[places] == wanted, places, -1) if len(distinct) else np.full(len(wanted), -1)
    return codes, others


def _column_codes(known: pa.ChunkedArray, asked: pa.ChunkedArray) -> tuple[Ints, Ints]:
    asked = asked.cast(known.type)
    encoded = known.dictionary_encode(null_encoding="encode").combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.chunk(0) if encoded.num_chunks else pa.array([], known.type).dictionary_encode()
    codes = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    places = pc.fill_null(pc.index_in(asked, encoded.dictionary, skip_nulls=True), -1)
    return codes, places.to_numpy().astype(np.int64)
