"""Records by cell, as columns: the one in-memory form of state, whether just folded, merged or decoded."""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
U64 = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Ragged:
    """C cells holding R records.

    Attributes:
        offsets: int64[C + 1]; cell c holds the records offsets[c] .. offsets[c + 1].
        columns: arrays of length R, what they are is the kind's business.
    """

    offsets: I64
    columns: tuple[Array, ...]

    @property
    def cells(self) -> I64:
        """int64[R]: the cell of each record."""
        return np.repeat(np.arange(len(self.offsets) - 1), np.diff(self.offsets))

    def take(self, rows: I64, width: int) -> "Ragged":
        """The cells of some rows, where a row is ``width`` cells side by side."""
        bounds = self.offsets[rows[:, None] * width + np.arange(width + 1)]
        index = ranges(bounds[:, 0], bounds[:, -1] - bounds[:, 0])
        return Ragged(offsets_of(np.diff(bounds, axis=1).ravel()), tuple(c[index] for c in self.columns))

    def where(self, keep: Mask) -> "Ragged":
        """The records for which ``keep`` (bool[R]) holds."""
        kept = np.concatenate(([0], np.cumsum(keep)))
        return Ragged(kept[self.offsets], tuple(c[keep] for c in self.columns))

    def split(self, column: int) -> list[Array]:
        """One column as one array a cell; the arrays are views."""
        values, bounds = self.columns[column], self.offsets.tolist()
        return [values[a:b] for a, b in pairwise(bounds)]


def of_cells(cells: I64, count: int, columns: tuple[Array, ...]) -> Ragged:
    """A Ragged of ``count`` cells out of records that are sorted by cell."""
    return Ragged(offsets_of(np.bincount(cells, minlength=count)), columns)


def offsets_of(lengths: Array) -> I64:
    """int64[n + 1]: the running sum of n lengths, from 0."""
    offsets = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets


def ranges(starts: Array, lengths: Array) -> I64:
    """The integers of starts[0] .. starts[0] + lengths[0], then of the next range, and so on, as one array."""
    ends = np.cumsum(lengths)
    if not len(ends):
        return np.empty(0, np.int64)
    index: I64 = np.arange(ends[-1]) + np.repeat(starts - (ends - lengths), lengths)
    return index


def firsts(*keys: Array) -> Mask:
    """bool[n]: where a run of equal keys begins, the arrays being sorted together."""
    size = len(keys[0])
    mark = np.zeros(size, np.bool_)
    mark[:1] = True
    for key in keys:
        mark[1:] |= key[1:] != key[:-1]
    return mark


def lasts(*keys: Array) -> Mask:
    """bool[n]: where a run of equal keys ends, the arrays being sorted together."""
    mark = np.ones(len(keys[0]), np.bool_)
    mark[:-1] = firsts(*keys)[1:]
    return mark


PAIRS = 1 << 21
"""How many (request, record) pairs are looked at in one go: it bounds the memory, not the result."""


def portions(lengths: I64) -> list[slice]:
    """Slices of requests whose ranges together are at most ``PAIRS`` long, or that are a single request."""
    ends = np.cumsum(lengths)
    slices, begin = [], 0
    while begin < len(lengths):
        done = ends[begin - 1] if begin else 0
        stop = max(int(np.searchsorted(ends, done + PAIRS, side="right")), begin + 1)
        slices.append(slice(begin, stop))
        begin = stop
    return slices


def groups_of(*keys: Array) -> tuple[I64, I64]:
    """For sorted keys the number of each record's group (int64[n]) and where each group starts (int64[groups])."""
    begins = firsts(*keys)
    return np.cumsum(begins) - 1, np.flatnonzero(begins)
