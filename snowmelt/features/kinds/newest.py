"""The newest N distinct keys, each with its latest time and the type of that event.

A record is 16 bytes: u64 head ((time_ms << 8) | type code), u64 key. Sorted ascending by those 16 bytes, distinct by
key (the greatest head wins), the N greatest kept.
"""

from collections.abc import Sequence

import numpy as np

from snowmelt.features.ragged import I64, U64, Array, Ragged, lasts
from snowmelt.features.sections import Section

WORDS = 2
TYPE_BITS = 8


def heads(times_ms: Array, types: Array) -> U64:
    """uint64[n]: time and type in one number; a row without a type counts as code 0."""
    return (times_ms.astype(np.uint64) << np.uint64(TYPE_BITS)) | np.maximum(types, 0).astype(np.uint64)


def reduce(sections: Sequence[Section], cells: I64, columns: tuple[Array, ...]) -> tuple[I64, tuple[Array, ...]]:
    """Brings records (head uint64, key uint64) of any order into the form of a state."""
    head, keys = columns
    if not len(head):
        return cells, columns
    order = np.lexsort((head, keys, cells))
    order = order[lasts(cells[order], keys[order])]
    order = order[np.lexsort((keys[order], head[order], cells[order]))]
    cells, head, keys = cells[order], head[order], keys[order]
    ends = np.flatnonzero(lasts(cells))
    runs = np.diff(np.append(-1, ends))
    keep = np.repeat(ends, runs) - np.arange(len(cells)) < sections[0].limit
    return cells[keep], (head[keep], keys[keep])


def finish(state: Ragged, as_of_ms: int) -> Ragged:
    """Columns key uint64, time int64, type uint8: newest first, without what is newer than the instant."""
    bound = np.uint64(max(as_of_ms + 1, 0)) << np.uint64(TYPE_BITS)
    seen = state.where(state.columns[0] < bound)
    lengths = np.diff(seen.offsets)
    order = np.repeat(seen.offsets[1:] + seen.offsets[:-1], lengths) - 1 - np.arange(len(seen.columns[0]))
    head, keys = seen.columns
    return Ragged(seen.offsets, columns(head[order], keys[order]))


def columns(head: U64, keys: U64) -> tuple[Array, ...]:
    """Key uint64, time int64, type uint8 of records (head, key)."""
    return keys, (head >> np.uint64(TYPE_BITS)).astype(np.int64), (head & np.uint64(255)).astype(np.uint8)


def encode(columns: tuple[Array, ...]) -> Array:
    """uint64[R, 2]: the records as words."""
    return np.stack(columns, axis=1)


def decode(words: Array) -> tuple[Array, ...]:
    """The columns (head uint64, key uint64) of uint64[R, 2]."""
    return np.ascontiguousarray(words[:, 0]), np.ascontiguousarray(words[:, 1])
