"""Finished features as columns, in the three dresses that Feast's callers meet: Python values, pandas and Arrow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from feast.types import Array, FeastType, from_feast_to_pyarrow_type

Column = npt.NDArray[np.float32] | Sequence[Any]
"""n values of a feature: float32[n] or float64[n], NaN where absent; or n arrays (keys uint64); or bytes or None."""


def python_values(column: Column) -> list[Any]:
    """n plain Python values as ``to_dict`` gives them: None where absent, 64-bit keys as signed integers."""
    if isinstance(column, np.ndarray):
        values: list[Any] = column.tolist()
        absent = np.isnan(column)
        return [None if a else v for v, a in zip(values, absent.tolist(), strict=True)] if absent.any() else values
    return [_signed(v).tolist() if isinstance(v, np.ndarray) else v for v in column]


def frame_values(column: Column) -> npt.NDArray[Any] | list[Any]:
    """The column as it stands in a data frame: float64[n] with NaN where absent, or n Python values."""
    return column.astype(np.float64) if isinstance(column, np.ndarray) else python_values(column)


def arrow_column(column: Column, kind: FeastType) -> pa.ChunkedArray:
    """The column as Arrow, null where absent.

    Args:
        column: n values.
        kind: the Feast type of the feature.
    """
    if isinstance(column, np.ndarray):
        return pa.chunked_array([pa.array(column, from_feast_to_pyarrow_type(kind), mask=np.isnan(column))])
    if not isinstance(kind, Array):
        return pa.chunked_array([pa.array(list(column), pa.binary())])
    lengths = np.fromiter((len(v) for v in column), np.int32, len(column))
    flat = np.concatenate([_signed(v) for v in column]) if len(column) else np.empty(0)
    offsets = np.concatenate(([0], np.cumsum(lengths, dtype=np.int32)))
    values = pa.array(flat).cast(from_feast_to_pyarrow_type(kind.base_type))
    return pa.chunked_array([pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), values)])


def _signed(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Feast has no unsigned type: a 64-bit key keeps its bits; ``.view(numpy.uint64)`` of the int64 gives it back."""
    return values.view(np.int64) if values.dtype == np.uint64 else values
