"""Decayed sums: each kept as of the newest time that went into it, so that merging never needs a clock.

A record is 24 bytes: u64 key (0 for a plain sum, else a category's key or a type's code), u64 time of reference in ms,
f64 sum as of that time. Sorted by key, one record a key. Two records of a key merge at the later time t of the two:
sum = s1 * 2^-((t - t1) / half_life) + s2 * 2^-((t - t2) / half_life).
"""

from collections.abc import Sequence

import numpy as np

from snowmelt.features.ragged import F64, I64, Array, Ragged, firsts, lasts
from snowmelt.features.sections import Section

WORDS = 3


def reduce(sections: Sequence[Section], cells: I64, columns: tuple[Array, ...]) -> tuple[I64, tuple[Array, ...]]:
    """Brings records (key uint64, time int64, sum float64) of any order into the form of a state."""
    keys, times, sums = columns
    if not len(keys):
        return cells, columns
    order = np.lexsort((times, keys, cells))
    cells, keys, times, sums = cells[order], keys[order], times[order], sums[order]
    begins = firsts(cells, keys)
    ends = np.flatnonzero(lasts(cells, keys))
    newest = times[ends][np.cumsum(begins) - 1]
    half_lives = np.array([s.half_life_ms for s in sections], np.float64)[cells % len(sections)]
    sums = np.add.reduceat(sums * np.exp2((times - newest) / half_lives), np.flatnonzero(begins))
    return cells[ends], (keys[ends], times[ends], sums)


def finish(half_lives_ms: F64 | int, state: Ragged, as_of_ms: int) -> F64:
    """float64[R]: each record's sum at an instant; what is newer than the instant is taken as it is."""
    _, times, sums = state.columns
    weights: F64 = sums * np.exp2(np.minimum(times - as_of_ms, 0) / half_lives_ms)
    return weights


def encode(columns: tuple[Array, ...]) -> Array:
    """uint64[R, 3]: the records as words."""
    return np.stack((columns[0], columns[1].view(np.uint64), columns[2].view(np.uint64)), axis=1)


def decode(words: Array) -> tuple[Array, ...]:
    """The columns (key uint64, time int64, sum float64) of uint64[R, 3]."""
    keys, times, sums = (np.ascontiguousarray(words[:, i]) for i in range(3))
    return keys, times.view(np.int64), sums.view(np.float64)
