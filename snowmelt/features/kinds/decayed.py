"""Decayed sums: each kept as of the newest time that went into it, so that merging never needs a clock.

A record is 24 bytes: u64 key (0 for a plain sum, else a category's key or a type's code), u64 time of reference in ms,
f64 sum as of that time. Sorted by key, one record a key. Two records of a key merge at the later time t of the two:
sum = s1 * 2^-((t - t1) / half_life) + s2 * 2^-((t - t2) / half_life).
"""

from collections.abc import Sequence

import numpy as np

from snowmelt.features.ragged import F64, I64, Array, Ragged, firsts, groups_of, lasts, of_cells, portions, ranges
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


def finish(half_life_ms: int, times: I64 | F64, sums: F64, as_of_ms: int) -> F64:
    """float64[R]: each record's sum at an instant; what is newer than the instant is taken as it is."""
    weights: F64 = sums * np.exp2(np.minimum(times - as_of_ms, 0) / half_life_ms)
    return weights


def encode(columns: tuple[Array, ...]) -> Array:
    """uint64[R, 3]: the records as words."""
    return np.stack((columns[0], columns[1].view(np.uint64), columns[2].view(np.uint64)), axis=1)


def decode(words: Array) -> tuple[Array, ...]:
    """The columns (key uint64, time int64, sum float64) of uint64[R, 3]."""
    keys, times, sums = (np.ascontiguousarray(words[:, i]) for i in range(3))
    return keys, times.view(np.int64), sums.view(np.float64)


def running(starts: I64, times: I64, sums: F64, half_life_ms: int) -> F64:
    """float64[n]: the sum of each record's group up to and with it, as of its time; ``starts`` int64[n]: of its group.

    Doubles the stretch that each record covers until it reaches its group's start: nothing is scaled to a common time,
    so nothing overflows, and nothing is subtracted, so nothing is lost.
    """
    total, behind = sums.copy(), np.arange(len(sums)) - starts
    step, todo = 1, np.flatnonzero(behind >= 1)
    while len(todo):
        back = todo - step
        total[todo] += total[back] * np.exp2((times[back] - times[todo]) / half_life_ms)
        step *= 2
        todo = todo[behind[todo] >= step]
    return total


class History:
    """All records in order of entity and time, ready to be summed up to any place."""

    def __init__(self, section: Section, codes: I64, columns: tuple[Array, ...]) -> None:
        keys, times, sums = columns
        self._half_life_ms, self._size = section.half_life_ms, len(keys)
        # By entity and key; within these the order of time stays. ``_place`` says where a record was before.
        self._place = np.lexsort((keys, codes)) if section.measure == "key" else np.arange(len(keys))
        codes, self._times = codes[self._place], times[self._place]
        self._keys = keys[self._place]
        self._group, self._starts = groups_of(codes, self._keys)
        self._sums = running(self._starts[self._group], self._times, sums[self._place], section.half_life_ms)
        self._line = self._group * (self._size + 1) + self._place
        ends = np.flatnonzero(lasts(codes[self._starts])) + 1
        self._after = np.repeat(ends, np.diff(ends, prepend=0))

    def sums(self, start: I64, stop: I64, times_ms: I64) -> F64:
        """float64[n]: the decayed sum of records [start, stop) at each time; ``start`` is where an entity's begin."""
        result = np.zeros(len(start))
        some = np.flatnonzero(stop > start)
        result[some] = self._at(stop[some] - 1, times_ms[some])
        return result

    def _at(self, record: I64, times_ms: I64) -> F64:
        sums: F64 = self._sums[record] * np.exp2((self._times[record] - times_ms) / self._half_life_ms)
        return sums

    def weights(self, start: I64, stop: I64, times_ms: I64) -> Ragged:
        """n cells, key and decayed sum of each key among records [start, stop)."""
        some = np.flatnonzero(stop > start)
        first = self._group[start[some]]
        width = np.zeros(len(start), np.int64)
        width[some] = self._after[first] - first
        parts = [self._weights(some[s], first[s], stop, times_ms) for s in portions(width[some])]
        cells, keys, weights = (np.concatenate(c) for c in zip(_NONE, *parts, strict=True))
        return of_cells(cells, len(start), (keys, weights))

    def _weights(self, asked: I64, first: I64, stop: I64, times_ms: I64) -> tuple[I64, Array, F64]:
        width = self._after[first] - first
        group, cell = ranges(first, width), np.repeat(asked, width)
        record = np.searchsorted(self._line, group * (self._size + 1) + stop[cell] - 1, side="right") - 1
        known = record >= self._starts[group]
        record, cell = record[known], cell[known]
        return cell, self._keys[record], self._at(record, times_ms[cell])


_NONE = (np.empty(0, np.int64), np.empty(0, np.uint64), np.empty(0))
