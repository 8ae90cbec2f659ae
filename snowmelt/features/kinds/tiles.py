"""Tiles: what happened, by the slice of time in which it happened.

A record is 16 bytes: u64 tile (time in ms // hop_ms; 0 for a lifetime), f64 value. Sorted by tile, one record a tile.
"""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from snowmelt.features.ragged import F64, I64, Array, firsts
from snowmelt.features.sections import Section

WORDS = 2

T = TypeVar("T", int, I64)

_REDUCE = {"add": np.add, "min": np.minimum, "max": np.maximum}
NEUTRAL = {"add": 0.0, "min": np.inf, "max": -np.inf}


def reduce(sections: Sequence[Section], cells: I64, columns: tuple[Array, ...]) -> tuple[I64, tuple[Array, ...]]:
    """Brings records (tile int64, value float64) of any order into the form of a state: sorted, one a tile, trimmed."""
    tiles, values = columns
    if not len(tiles):
        return cells, columns
    order = np.lexsort((tiles, cells))
    cells, tiles, values = cells[order], tiles[order], values[order]
    starts = np.flatnonzero(firsts(cells, tiles))
    values = _REDUCE[sections[0].combine].reduceat(values, starts)
    cells, tiles = cells[starts], tiles[starts]
    if sections[0].hop_ms:
        begins = firsts(cells)
        ends = np.append(np.flatnonzero(begins)[1:], len(cells)) - 1
        newest = tiles[ends][np.cumsum(begins) - 1]
        kept = np.array([s.keep_tiles for s in sections])[cells % len(sections)]
        keep = tiles >= newest - kept
        cells, tiles, values = cells[keep], tiles[keep], values[keep]
    return cells, (tiles, values)


def first_tile(as_of_ms: T, window_ms: int, hop_ms: int) -> T:
    """The first tile of a window: the first that began after as_of - window."""
    return (as_of_ms - window_ms) // hop_ms + 1


def encode(columns: tuple[Array, ...]) -> Array:
    """uint64[R, 2]: the records as words."""
    return np.stack((columns[0].view(np.uint64), columns[1].view(np.uint64)), axis=1)


def decode(words: Array) -> tuple[Array, ...]:
    """The columns (tile int64, value float64) of uint64[R, 2]."""
    return words[:, 0].astype(np.int64), np.ascontiguousarray(words[:, 1]).view(np.float64)


class History:
    """All records in order of entity and time, ready to be added up between any two places."""

    def __init__(self, section: Section, _: I64, columns: tuple[Array, ...]) -> None:
        self._combine, self._values = section.combine, columns[1]
        self._ones = section.measure == "one"
        if section.combine == "add" and not self._ones:
            # The longer mantissa keeps the difference of two running sums as exact as the sum of few numbers.
            self._sums = np.concatenate(([0], np.cumsum(self._values, dtype=np.longdouble)))

    def between(self, start: I64, stop: I64) -> F64:
        """float64[n]: the value of records [start, stop), ``NEUTRAL`` where there are none."""
        if self._combine != "add":
            return self._best(start, stop)
        counts: F64 = (stop - start).astype(np.float64)
        return counts if self._ones else (self._sums[stop] - self._sums[start]).astype(np.float64)

    def _best(self, start: I64, stop: I64) -> F64:
        """Covers each range by two of the same length, a power of two; one pass a power, of which one is kept."""
        best, span = _REDUCE[self._combine], self._values
        result = np.full(len(start), NEUTRAL[self._combine])
        power = np.frexp((stop - start).astype(np.float64))[1] - 1
        for level in range(int(power.max(initial=-1)) + 1):
            asked = np.flatnonzero(power == level)
            result[asked] = best(span[start[asked]], span[stop[asked] - (1 << level)])
            span = best(span[: -(1 << level)], span[1 << level :])
        return result
