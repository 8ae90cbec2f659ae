"""Columns of strings as codes into a short list of different words, so that no row costs a Python object."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from snowmelt.features.ragged import I64, U64


@dataclass(frozen=True)
class Words:
    """A column of n strings.

    Attributes:
        codes: int64[n], places in ``values``.
        values: the different strings; some may be unused.
    """

    codes: I64
    values: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, strings: Iterable[str]) -> "Words":
        """The column of these strings."""
        place: dict[str, int] = {}
        codes = np.fromiter((place.setdefault(s, len(place)) for s in strings), np.int64)
        return cls(codes, tuple(place))

    @classmethod
    def repeat(cls, value: str, size: int) -> "Words":
        """One string ``size`` times."""
        return cls(np.zeros(size, np.int64), (value,))

    @classmethod
    def from_arrow(cls, column: Any) -> "Words":
        """The column out of an Arrow (chunked) array of strings; null is the empty string."""
        if hasattr(column, "combine_chunks"):
            column = column.combine_chunks()
        coded = column.fill_null("").dictionary_encode()
        codes = coded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        return cls(codes, tuple(coded.dictionary.to_pylist()))

    @classmethod
    def concat(cls, parts: Sequence["Words"]) -> "Words":
        """Several columns one after the other."""
        place: dict[str, int] = {}
        codes = [
            np.array([place.setdefault(v, len(place)) for v in p.values], np.int64)[p.codes] for p in parts if len(p)
        ]
        return cls(np.concatenate(codes) if codes else np.empty(0, np.int64), tuple(place))

    def take(self, index: npt.NDArray[Any]) -> "Words":
        """The rows of an index or a mask."""
        return Words(self.codes[index], self.values)

    def narrowed(self) -> "Words":
        """The same strings without values that do not occur."""
        used, codes = np.unique(self.codes, return_inverse=True)
        return Words(codes, tuple(map(self.values.__getitem__, used.tolist())))

    def tolist(self) -> list[str]:
        """The n strings."""
        return list(map(self.values.__getitem__, self.codes.tolist()))

    def equal(self, value: str) -> npt.NDArray[np.bool_]:
        """bool[n]: which rows are this string."""
        hit: npt.NDArray[np.bool_] = self.codes == (self.values.index(value) if value in self.values else -1)
        return hit

    @cached_property
    def used(self) -> npt.NDArray[np.bool_]:
        """bool[len(values)]: which values occur."""
        return np.bincount(self.codes, minlength=len(self.values)) > 0

    def keyed(self, keys: Callable[[Iterable[str]], U64]) -> U64:
        """uint64[n]: a hash of each row, computed once a word."""
        return keys(self.values)[self.codes] if self.values else np.empty(0, np.uint64)
