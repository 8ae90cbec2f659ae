"""How many different keys a window holds: a HyperLogLog that slides.

A record is 16 bytes: u64 register * 64 + rank, f64 time in ms at which the register last reached that rank. Sorted by
the first; two records of one (register, rank) merge to the later time; a rank is dropped where a higher rank of the
same register is as new or newer, since no window can tell it any more. 256 registers: a standard error of 6.5 %.

The estimate is Ertl's (arXiv:1702.01284, algorithm 6): for few keys it is linear counting, without a seam between two
estimators, so that it never rises while keys fall out of the window.
"""

from collections.abc import Sequence

import numpy as np

from snowmelt.features.ragged import F64, I64, U64, Array, firsts, lasts, portions, ranges
from snowmelt.features.sections import HLL_REGISTERS, Section

WORDS = 2
RANK_BITS = 6


def places(keys: U64) -> I64:
    """int64[n]: register * 64 + rank of hashed keys; rank counts the leading zeros of the upper 56 bits, from 1."""
    register = (keys & np.uint64(HLL_REGISTERS - 1)).astype(np.int64)
    rest = keys >> np.uint64(8)
    _, exponent = np.frexp((rest & ~(rest >> np.uint64(1))).astype(np.float64))
    return (register << RANK_BITS) | (57 - exponent.astype(np.int64))


def reduce(_: Sequence[Section], cells: I64, columns: tuple[Array, ...]) -> tuple[I64, tuple[Array, ...]]:
    """Brings records (place int64, time float64) of any order into the form of a state."""
    place, times = columns
    if not len(place):
        return cells, columns
    order = np.lexsort((times, place, cells))
    order = order[lasts(cells[order], place[order])]
    cells, place, times = cells[order], place[order], times[order]
    keep = _undominated(cells, place, times)
    return cells[keep], (place[keep], times[keep])


def _undominated(cells: I64, place: I64, times: F64) -> Array:
    group = np.cumsum(firsts(cells, place >> RANK_BITS))
    moments, rank = np.unique(times, return_inverse=True)
    # Falling group numbers from the end on: a running maximum then never looks beyond its own group.
    mark = ((group[-1] - group) * len(moments) + rank)[::-1]
    best = np.maximum.accumulate(mark)[::-1]
    keep = np.ones(len(cells), np.bool_)
    keep[:-1] = (group[:-1] != group[1:]) | (mark[::-1][:-1] > best[1:])
    return keep


def _sigma() -> F64:
    """For z = 0 .. 256 empty registers, 256 * sigma(z / 256); infinite for 256."""
    share = np.arange(HLL_REGISTERS) / HLL_REGISTERS
    total, power, weight = share.copy(), share.copy(), 1.0
    for _ in range(64):
        power = power * power
        total += power * weight
        weight *= 2
    return np.append(total, np.inf) * HLL_REGISTERS


EMPTY = _sigma()
SCALE = HLL_REGISTERS**2 / (2 * np.log(2))


def estimate(filled: I64, inverse: F64) -> F64:
    """float64[n]: number of keys, from how many registers are filled and the sum of 2^-rank over these."""
    count: F64 = SCALE / (EMPTY[HLL_REGISTERS - filled] + inverse)
    return count


def encode(columns: tuple[Array, ...]) -> Array:
    """uint64[R, 2]: the records as words."""
    return np.stack((columns[0].view(np.uint64), columns[1].view(np.uint64)), axis=1)


def decode(words: Array) -> tuple[Array, ...]:
    """The columns (place int64, time float64) of uint64[R, 2]."""
    return words[:, 0].astype(np.int64), np.ascontiguousarray(words[:, 1]).view(np.float64)


class History:
    """All records in order of entity and time, ready to be counted between any two places."""

    def __init__(self, _: Section, codes: I64, columns: tuple[Array, ...]) -> None:
        place = columns[0]
        self._weights = np.exp2(-(place & 63).astype(np.float64))
        self._before, self._after = _stretches(codes, place)

    def count(self, start: I64, stop: I64) -> F64:
        """float64[n]: about how many keys the records [start, stop) have."""
        # Neighbouring requests often have the same records: each different range is counted once.
        fresh = firsts(start, stop)
        begin, end = start[fresh], stop[fresh]
        filled, inverse = np.zeros(len(begin), np.int64), np.zeros(len(begin))
        for part in portions(end - begin):
            width = end[part] - begin[part]
            record, cell = ranges(begin[part], width), np.repeat(np.arange(part.start, part.stop), width)
            top = (self._after[record] >= end[cell]) & (self._before[record] < begin[cell])
            record, cell = record[top], cell[top]
            filled += np.bincount(cell, minlength=len(begin))
            inverse += np.bincount(cell, self._weights[record], minlength=len(begin))
        counts: F64 = estimate(filled, inverse)[np.cumsum(fresh) - 1]
        return counts


def _stretches(codes: I64, place: I64) -> tuple[I64, I64]:
    """For each record the last before it of a higher rank, and the first after it of no lower rank: int64[n] twice.

    Of the same entity and register; -1 and n where there is none. So a record tells its register's rank for just the
    ranges that hold it, begin after the former, and end at or before the latter.
    """
    size = len(place)
    before, after = np.full(size, -1), np.full(size, size)
    todo = np.lexsort((place >> RANK_BITS, codes))
    while len(todo):
        ranks, group = place[todo] & 63, np.cumsum(firsts(codes[todo], place[todo] >> RANK_BITS))
        least = ranks == ranks.min()
        spots = np.arange(len(todo))
        higher = np.maximum.accumulate(np.where(least, -1, spots))
        has = least & (higher >= 0)
        has[has] = group[higher[has]] == group[has]
        before[todo[has]] = todo[higher[has]]
        follows = np.flatnonzero(least[:-1] & (group[1:] == group[:-1]))
        after[todo[follows]] = todo[follows + 1]
        todo = todo[~least]
    return before, after
