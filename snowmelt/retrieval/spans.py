"""Rows of different length in flat arrays (compressed sparse rows): gathering many at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.items import Rows

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True)
class SparseRows:
    """n sparse rows.

    Attributes:
        starts: int64[n + 1], where each row begins.
        columns: int32[e], the columns of the entries.
        weights: float32[e], their values.
    """

    starts: Rows
    columns: npt.NDArray[np.int32]
    weights: Weights

    def __len__(self) -> int:
        return len(self.starts) - 1

    @classmethod
    def of(cls, rows: Sequence[tuple[npt.NDArray[np.int64], Weights]]) -> "SparseRows":
        """Sparse rows out of the columns and values of each."""
        starts = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(columns) for columns, _ in rows], out=starts[1:])
        columns = np.concatenate([np.empty(0, np.int32), *(columns for columns, _ in rows)], dtype=np.int32)
        weights = np.concatenate([np.empty(0, np.float32), *(weights for _, weights in rows)], dtype=np.float32)
        return cls(starts, columns, weights)

    def fits(self, rows: int, width: int) -> bool:
        """Whether these are ``rows`` rows of ``width`` columns whose parts agree."""
        sizes = len(self.starts) == rows + 1 and self.starts[0] == 0
        entries = len(self.columns) == len(self.weights) == self.starts[-1] and bool(np.all(np.diff(self.starts) >= 0))
        return bool(
            sizes and entries and (not len(self.columns) or 0 <= self.columns.min() <= self.columns.max() < width)
        )

    def entries(self, rows: Rows) -> tuple[Rows, Rows]:
        """Places of all entries of some rows, one row after the other, int64[e'], and how many each has, int64[n']."""
        starts = self.starts[rows]
        lengths = self.starts[rows + 1] - starts
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        return np.arange(total) + np.repeat(starts - ends + lengths, lengths), lengths

    def row(self, place: int) -> tuple[npt.NDArray[np.int64], Weights]:
        """Columns and values of one row."""
        part = slice(int(self.starts[place]), int(self.starts[place + 1]))
        return self.columns[part].astype(np.int64), self.weights[part]

    def weighted_sum(self, rows: Rows, weights: Weights, width: int) -> Weights:
        """float32[width]: the sum of some rows, each times its weight."""
        places, lengths = self.entries(rows)
        values = self.weights[places] * np.repeat(weights, lengths)
        return np.bincount(self.columns[places], values, width).astype(np.float32)

    def transposed(self, width: int) -> "SparseRows":
        """The same entries by column, of ``width`` columns; within a column by row."""
        order = np.argsort(self.columns, kind="stable")
        rows = np.repeat(np.arange(len(self), dtype=np.int32), np.diff(self.starts))
        starts = np.searchsorted(self.columns[order], np.arange(width + 1))
        return SparseRows(starts.astype(np.int64), rows[order], self.weights[order])
