"""Candidates as columns: what retrieval proposes and the ranker scores."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from snowmelt.contracts.ids import Keys


@dataclass(frozen=True)
class Candidates:
    """n candidates from S sources, best first by the merge of the sources.

    Attributes:
        keys: uint64[n], item keys, no repeats.
        sources: S names.
        scores: float32[n, S], what each source says of each candidate, proposed by it or not; NaN where it has no say.
        ranks: uint16[n, S], from 1; 0 where the source did not propose the item.
    """

    keys: Keys
    sources: tuple[str, ...]
    scores: npt.NDArray[np.float32]
    ranks: npt.NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.keys)

    @classmethod
    def empty(cls, sources: tuple[str, ...] = ()) -> "Candidates":
        """No candidates."""
        shape = (0, len(sources))
        return cls(np.empty(0, np.uint64), sources, np.empty(shape, np.float32), np.empty(shape, np.uint16))


@dataclass(frozen=True)
class StageTime:
    """A named part of the work and how long it took."""

    name: str
    duration_ms: float
